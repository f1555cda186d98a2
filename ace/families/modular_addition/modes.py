"""The rotation modes of the shift operator in cores of modular addition: how many there are, and their growth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ace import rotation
from ace.arrays import Array, Ints
from ace.dynamics import spectrum
from ace.families.modular_addition.growth import NO_DECAY, RESET
from ace.families.modular_addition.means import answers, class_means, coordinates
from ace.families.modular_addition.scans import addition_of
from ace.stats import Estimate, exact
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.replicates import REPLICATES
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


def effective_modes(energy: Array) -> Array:
    """(...) how many modes of equal energy would be as unequal as these (..., f): (sum e)^2 / sum e^2.

    In the place of a first crossing: where six modes hold 98 % of the energy, and noise the rest, it may take thirteen
    to hold 99 %.
    """
    return np.asarray(energy.sum(axis=-1) ** 2 / (energy**2).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class EffectiveModes:
    """Effective modes of one model's core coordinates.

    Attributes:
        value: of class means, less what the scatter of pairs about them adds to every mode.
        drawn: (b) the same of pairs resampled within their answer.
        raw: of class means as they are, which the resamples are drawn about.
    """

    value: float
    drawn: Array
    raw: float

    @classmethod
    def of(cls, values: Array, classes: Ints, count: int, rng: np.random.Generator) -> EffectiveModes:
        """Of values (n, k) in each of `count` classes (n)."""
        sizes = np.bincount(classes, minlength=count)
        squares = np.column_stack([values, (values**2).sum(axis=1)])  # with them every resample knows its scatter
        means = rotation.class_means(squares, classes, count)
        drawn = rotation.resampled_means(squares, classes, count, REPLICATES, rng)
        return cls(
            float(effective_modes(_energies(means, sizes))),
            effective_modes(_energies(drawn, sizes)),
            float(effective_modes(rotation.mode_energy(means[:, :-1]))),
        )

    def over(self, early: EffectiveModes, label: str) -> Estimate:
        """How many times as many as early ones. Resamples scatter about the raw value, and tell how far values do."""
        value = self.value / early.value
        return Estimate(label, value, value * (self.drawn / self.raw) / (early.drawn / early.raw))


def _energies(means: Array, sizes: Ints) -> Array:
    """(..., f) energy of each mode of class means, less that of their errors: white noise, the same in every mode.

    Args:
        means: (..., p, k + 1) with the mean square of values in the last place. sizes: (p) values behind each.
    """
    middle, square = means[..., :-1], means[..., -1]
    error = (square - (middle**2).sum(axis=-1)) / np.maximum(sizes - 1, 1)
    waves = np.fft.rfft(middle, axis=-2)[..., 1:, :]
    return np.asarray((np.abs(waves) ** 2).sum(axis=-1) - error.sum(axis=-1, keepdims=True))


@measures(NO_DECAY)
def mode_growth(subject: TokenSubject) -> Measurement:
    """How many times as many effective modes the operator's energy is in at the end as at grokking."""
    history = subject.training()
    after = history.study(tuple(history.stages(k).after for k in history.members))
    branch = history.study(history.branch)
    ends = {arm: history.study(history.last_of(arm), arm) for arm in ("decay", "free", "reset")}

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


@remembered
def _effective(study: TokenStudy, index: int) -> EffectiveModes:
    values, rng = coordinates(study, index), np.random.default_rng(index)
    return EffectiveModes.of(values, answers(study), study.task.vocabulary, rng)


def _grown(late: TokenStudy, early: TokenStudy) -> tuple[Estimate, ...]:
    return tuple(_effective(late, k).over(_effective(early, k), str(k)) for k in late.members)


def _energy(history: RunHistory, index: int) -> list[Array]:
    """(p // 2) share of each frequency at every checkpoint of the first arm."""
    return [rotation.mode_energy(class_means(history.study(epoch), index)) for epoch in history.epochs]
