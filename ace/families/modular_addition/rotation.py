"""The shift operator in cores of modular addition: rotations, what they predict, and the modes they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ace import rotation
from ace.arrays import Array, Ints
from ace.dynamics import spectrum
from ace.families.modular_addition.scans import addition_of
from ace.stats import Estimate, exact, quantile
from ace.study.controls import DRAWS, LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.replicates import REPLICATES
from ace.study.run_history import RunHistory
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

MEDIAN = 0.5
TAUTOLOGY = "random class means, in sample at rank p - 1"


@measures("memorised", "permuted labels", "at the end", "random class means, in sample at rank p - 1")
def rotations(subject: TokenSubject) -> Measurement:
    """Share of the shift operator's eigenvalues on the ring, at rank p / 3 or less, fitted without held-out edges."""
    modulus = addition_of(subject.training()).modulus

    def share(means: Array) -> Array:
        values = rotation.held_out_eigenvalues(means, _rank(means))
        return rotation.ring_share(values, modulus).mean(axis=-1)

    history = subject.training()
    stages = {"memorised": subject.companion("memorised"), "at grokking": subject.trained}
    stages["at the end"] = history.study(history.last)
    plane = {name: [_eigenvalues(class_means(study, k)) for k in history.members] for name, study in stages.items()}
    details = {"classes": modulus, "eigenvalues": plane, "share by epoch": _by_epoch(history, share)}
    measured = _measured(subject, share, +1, LEVEL, details)
    return _beside(measured, TAUTOLOGY, rotation.ring_share(spectrum(_in_general_position(modulus)[1]), modulus))


@measures("memorised", "permuted labels", "at the end", "random class means, in sample at rank p - 1")
def angles(subject: TokenSubject) -> Measurement:
    """Mean distance of the eigenvalues' angles to the multiples of 2 pi / p, in units of 2 pi / p."""
    modulus = addition_of(subject.training()).modulus

    def distance(means: Array) -> Array:
        values = rotation.held_out_eigenvalues(means, _rank(means))
        return rotation.grid_distance(values, modulus).mean(axis=-1)

    measured = _measured(subject, distance, -1, MEDIAN, {"distance by epoch": _by_epoch(subject.training(), distance)})
    return _beside(measured, TAUTOLOGY, rotation.grid_distance(spectrum(_in_general_position(modulus)[1]), modulus))


@measures("memorised", "permuted labels", "random class means", "at the end", TAUTOLOGY)
def operator_r2(subject: TokenSubject) -> Measurement:
    """Held-out R2 of the step c -> c + 1 at rank p / 3 or less."""
    measured = _measured(subject, lambda means: rotation.held_out_r2(means, _rank(means)), +1, MEDIAN, {})
    modulus = addition_of(subject.training()).modulus
    rng = np.random.default_rng(0)
    random = rng.standard_normal((DRAWS, modulus, _rank(class_means(subject.trained, 0))))
    drawn = rotation.held_out_r2(random, random.shape[-1])
    beside_random = Measurement(
        measured.estimates,
        {**measured.controls, "random class means": (exact("all", float(np.median(drawn)), count=DRAWS),)},
        {"larger of null and 0": max(0.0, *measured.references.values())},
        measured.details,
    )
    return _beside(beside_random, TAUTOLOGY, _in_sample_r2(*_in_general_position(modulus)))


@measures(
    "random class means",
    "memorised",
    "whole states, untrained",
    "whole states, memorised",
    "whole states, at the end",
)
def modes(subject: TokenSubject) -> Measurement:
    """Distinct modes, the constant one with them, of the operator on all core coordinates late in training."""
    history = subject.training()
    modulus = addition_of(history).modulus
    late = history.study(history.last)

    def count(means: Array) -> float:
        return float(rotation.distinct_modes(spectrum(rotation.shift_operator(means)), modulus))

    def whole(study: TokenStudy) -> tuple[Estimate, ...]:
        return tuple(exact(str(k), count(_state_means(study, k))) for k in history.members)

    rng = np.random.default_rng(0)
    random = [rng.standard_normal((modulus, 2 * modulus)) for _ in history.members]
    return Measurement(
        tuple(exact(str(k), count(class_means(late, k))) for k in history.members),
        {
            "random class means": tuple(exact(str(k), count(means)) for k, means in enumerate(random)),
            "memorised": tuple(
                exact(str(k), count(class_means(subject.companion("memorised"), k))) for k in history.members
            ),
            "whole states, untrained": whole(subject.twins()),
            "whole states, memorised": whole(subject.companion("memorised")),
            "whole states, at the end": whole(late),
        },
        {"p // 2 + 1": float(modulus // 2 + 1)},
        {"dimensions": [late.core(k).dimension for k in history.members], "epoch": history.last},
    )


@measures("without weight decay", "random class means")
def mode_growth(subject: TokenSubject) -> Measurement:
    """Modes that hold 99 % of the operator's energy at the end, over those at the first checkpoint after grokking."""
    history = subject.training()
    after = history.study(tuple(history.stages(k).after for k in history.members))
    rng = np.random.default_rng(0)
    modulus = addition_of(history).modulus

    def needed(means: Array) -> Array:
        return rotation.modes_needed(rotation.mode_energy(means)).astype(np.float64)

    def grown(late: TokenStudy) -> tuple[Estimate, ...]:
        estimates = []
        for k in history.members:
            ratio = [_resampled(study, k, needed) for study in (late, after)]
            estimates.append(Estimate(str(k), ratio[0][0] / ratio[1][0], ratio[0][1] / ratio[1][1]))
        return tuple(estimates)

    random = needed(rng.standard_normal((2, len(history), modulus, modulus - 1)))
    arms = list(history.course.arms)
    return Measurement(
        grown(history.study(history.last)),
        {
            "without weight decay": grown(history.study(history.last, "free")),
            "random class means": tuple(exact(str(k), random[0, k] / random[1, k]) for k in history.members),
        },
        details={
            "energy": {
                "epochs": history.epochs,
                "share": [
                    [rotation.mode_energy(class_means(history.study(epoch), k)) for epoch in history.epochs]
                    for k in history.members
                ],
            },
            "modes after grokking": [float(needed(class_means(after, k))) for k in history.members],
            **{
                f"modes at the end, {arm}": [
                    float(needed(class_means(history.study(history.last, arm), k))) for k in history.members
                ]
                for arm in arms
            },
        },
    )


def class_means(study: TokenStudy, index: int) -> Array:
    """(p, r) means of one model's core coordinates on the evaluation pairs of each answer."""
    values, classes = _coordinates(study, index)
    return rotation.class_means(values, classes, study.task.vocabulary)


def _state_means(study: TokenStudy, index: int) -> Array:
    """(p, d) means of one model's states on the evaluation pairs of each answer."""
    states = study.states(index, Split.EVALUATION)[:, -1].double().numpy()
    return rotation.class_means(states, _coordinates(study, index)[1], study.task.vocabulary)


def _in_general_position(modulus: int) -> tuple[Array, Array]:
    """(p, p - 1) random class means and the (p - 1, p - 1) shift operator fitted to all their edges: a tautology."""
    means = np.random.default_rng(0).standard_normal((modulus, modulus - 1))
    return means, rotation.shift_operator(means)


def _beside(measured: Measurement, name: str, value: Array | float) -> Measurement:
    """The measurement with one more number reported beside it."""
    return replace(measured, controls={**measured.controls, name: (exact("all", float(value)),)})


def _coordinates(study: TokenStudy, index: int) -> tuple[Array, Ints]:
    values = study.coordinates(index, Split.EVALUATION)[:, -1]
    return values, study.batch(Split.EVALUATION).targets[:, -1]


def _rank(means: Array) -> int:
    return rotation.rank_limit(means.shape[-2], means.shape[-1])


def _eigenvalues(means: Array) -> list[list[float]]:
    values = spectrum(rotation.shift_operator(means[:, : _rank(means)]))
    return [[float(value.real), float(value.imag)] for value in values]


def _resampled(study: TokenStudy, index: int, statistic: Callable[[Array], Array]) -> tuple[float, Array]:
    """A statistic of class means, and its replicates over pairs resampled within their class."""
    values, classes = _coordinates(study, index)
    drawn = rotation.resampled_means(values, classes, study.task.vocabulary, REPLICATES, np.random.default_rng(index))
    return float(statistic(class_means(study, index))), statistic(drawn)


def _measured(
    subject: TokenSubject,
    statistic: Callable[[Array], Array],
    better: int,
    level: float,
    details: Mapping[str, Any],
) -> Measurement:
    """A statistic of class means after grokking, at the end, on the memorised models, and on relabelled classes.

    Args:
        better: +1 where a larger value speaks for the claim, -1 where a smaller one does.
        level: quantile of the relabelled values, counted towards the favourable, that stands as the control.
    """
    study, memorised = subject.trained, subject.companion("memorised")
    history = subject.training()
    late = history.study(history.last)
    members = range(len(study))

    def estimates(of: TokenStudy) -> tuple[Estimate, ...]:
        return tuple(Estimate(str(k), *_resampled(of, k, statistic)) for k in members)

    null = [better * _relabelled(study, k, statistic) for k in members]
    # The bound is an extreme quantile of the null, which its extreme draws reach: the control is a typical draw.
    labelled = [better * quantile(drawn, level) for drawn in null]
    favourable = better * max(quantile(drawn, LEVEL) for drawn in null)
    return Measurement(
        estimates(study),
        {
            "memorised": estimates(memorised),
            "permuted labels": tuple(exact(str(k), value, count=DRAWS) for k, value in enumerate(labelled)),
            "at the end": estimates(late),
        },
        {"99.9% of permuted labels": favourable},
        {"rank": [_rank(class_means(study, k)) for k in members], **details},
    )


def _by_epoch(history: RunHistory, statistic: Callable[[Array], Array]) -> dict[str, Any]:
    """A statistic of every model at every checkpoint from its generalisation on, along the first arm."""
    return {
        str(k): {
            str(epoch): float(statistic(class_means(history.study(epoch), k)))
            for epoch in history.epochs
            if epoch >= history.stages(k).after
        }
        for k in history.members
    }


def _relabelled(study: TokenStudy, index: int, statistic: Callable[[Array], Array]) -> Array:
    """(draws) the statistic after the classes are put in random orders."""
    orders = rotation.random_orders(study.task.vocabulary, DRAWS, np.random.default_rng(index))
    return np.asarray(statistic(class_means(study, index)[orders]))


def _in_sample_r2(means: Array, operator: Array) -> float:
    centred = means - means.mean(axis=0)
    after = np.roll(centred, -1, axis=0)
    left = after - centred @ operator.T
    return float(1 - (left**2).sum() / (after**2).sum())
