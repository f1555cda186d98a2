"""The rotation modes of the shift operator in cores of modular addition: how many there are, and their growth."""

from __future__ import annotations

import numpy as np

from ace import rotation
from ace.arrays import Array
from ace.dynamics import spectrum
from ace.families.modular_addition.growth import NO_DECAY, RESET
from ace.families.modular_addition.means import class_means, resampled_means
from ace.families.modular_addition.scans import addition_of
from ace.stats import Estimate, exact
from ace.study.measurement import Measurement, measures
from ace.study.run_history import RunHistory
from ace.study.tokens import TokenStudy, TokenSubject

BY_COUNT = "by modes for 99 % of the energy"


@measures("random class means", "memorised")
def modes(subject: TokenSubject) -> Measurement:
    """Distinct modes, the constant one with them, of the operator on all core coordinates late in training."""
    history = subject.training()
    modulus = addition_of(history).modulus
    late, memorised = history.study(history.last), subject.companion("memorised")
    dimensions = [late.core(k).dimension for k in history.members]

    def counts(study: TokenStudy, source: str = "core") -> tuple[Estimate, ...]:
        return tuple(exact(str(k), mode_count(class_means(study, k, source))) for k in history.members)

    def random(sizes: list[int]) -> tuple[Estimate, ...]:
        rng = np.random.default_rng(0)
        return tuple(exact(str(k), mode_count(rng.standard_normal((modulus, size)))) for k, size in enumerate(sizes))

    whole = {"untrained": subject.twins(), "memorised": memorised, "at the end": late}
    return Measurement(
        counts(late),
        {
            "random class means": random(dimensions),
            "memorised": counts(memorised),
        },
        {"p // 2 + 1": float(modulus // 2 + 1)},
        {"dimensions": dimensions, "epoch": history.last},
        site=f"{late.site}, at the end",
        beside={
            "random class means, p - 1 dimensions": random([modulus - 1] * len(history)),
            **{f"whole states, {when}": counts(study, "states") for when, study in whole.items()},
        },
    )


def mode_count(means: Array) -> float:
    """How many distinct modes the operator on class means (p, k) has, in sample, the constant one with them."""
    return float(rotation.distinct_modes(spectrum(rotation.shift_operator(means)), len(means)))


def mode_spread(means: Array) -> Array:
    """(...) how many modes energy is spread over: the share outside the k strongest, summed over k = 0, 1, ...

    Of class means (..., p, k). As `sizes.removal_area`, an area in the place of a first crossing: where six modes hold
    98 % of the energy, and noise the rest, it may take thirteen to hold 99 %.
    """
    energy = -np.sort(-rotation.mode_energy(means), axis=-1)
    return np.asarray((energy * np.arange(1, energy.shape[-1] + 1)).sum(axis=-1))


@measures(NO_DECAY)
def mode_growth(subject: TokenSubject) -> Measurement:
    """How many times as many modes the operator's energy is spread over at the end as at grokking."""
    history = subject.training()
    after = history.study(tuple(history.stages(k).after for k in history.members))
    branch = history.study(history.branch)
    ends = {arm: history.study(history.last, arm) for arm in ("decay", "free", "reset")}

    def needed(study: TokenStudy, index: int) -> float:
        return float(rotation.modes_needed(rotation.mode_energy(class_means(study, index))))

    return Measurement(
        _grown(ends["decay"], after),
        {NO_DECAY: _grown(ends["free"], branch)},
        details={
            "energy": {"epochs": history.epochs, "share": [_energy(history, k) for k in history.members]},
            "modes after grokking": [needed(after, k) for k in history.members],
            **{f"modes at the end, {arm}": [needed(end, k) for k in history.members] for arm, end in ends.items()},
        },
        beside={
            BY_COUNT: tuple(exact(str(k), needed(ends["decay"], k) / needed(after, k)) for k in history.members),
            RESET: _grown(ends["reset"], after),
            "without weight decay": _grown(ends["free"], after),
        },
    )


def _grown(late: TokenStudy, early: TokenStudy) -> tuple[Estimate, ...]:
    """Ratio of spreads with an interval over pairs resampled within their answer.

    Resampled means carry the scatter of pairs twice, and scatter has energy in every mode: replicates lie to one side
    of the value as far as the value does of the truth. They are reflected at it.
    """
    estimates = []
    for k in late.members:
        value = float(mode_spread(class_means(late, k)) / mode_spread(class_means(early, k)))
        drawn = mode_spread(resampled_means(late, k)) / mode_spread(resampled_means(early, k))
        estimates.append(Estimate(str(k), value, value**2 / drawn))
    return tuple(estimates)


def _energy(history: RunHistory, index: int) -> list[Array]:
    """(p // 2) share of each frequency at every checkpoint of the first arm."""
    return [rotation.mode_energy(class_means(history.study(epoch), index)) for epoch in history.epochs]
