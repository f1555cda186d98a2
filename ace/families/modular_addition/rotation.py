"""The shift operator in cores of modular addition: whether it turns them, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ace import rotation
from ace.arrays import Array
from ace.dynamics import spectrum
from ace.families.modular_addition.ablation import WHEN, at_the_end
from ace.families.modular_addition.as_published import in_sample_r2
from ace.families.modular_addition.means import (
    class_means,
    eigenvalues,
    operator_rank,
    random_orders,
    resampled_means,
)
from ace.families.modular_addition.scans import addition_of
from ace.stats import Estimate, exact, quantile
from ace.study.controls import LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.run_history import RunHistory
from ace.study.tokens import TokenStudy, TokenSubject

RANDOM_MEANS = 200
TAUTOLOGY = "random class means, in sample at rank p - 1"
NULL = "99.9% of permuted labels"

# (study, model, sample, source) -> (b), with the samples of `means.eigenvalues`
Statistic = Callable[[TokenStudy, int, str, str], Array]


def ring_share(study: TokenStudy, index: int, sample: str, source: str) -> Array:
    """(b) share of eigenvalues on the ring."""
    found = eigenvalues(study, index, sample, source)
    return np.asarray(rotation.ring_share(found, study.task.vocabulary).mean(axis=-1))


def grid_distance(study: TokenStudy, index: int, sample: str, source: str) -> Array:
    """(b) mean distance of the eigenvalues' angles to the multiples of 2 pi / p."""
    found = eigenvalues(study, index, sample, source)
    return np.asarray(rotation.grid_distance(found, study.task.vocabulary).mean(axis=-1))


def held_out_r2(study: TokenStudy, index: int, sample: str, source: str) -> Array:
    """(b) R2 of the step c -> c + 1, each edge predicted by the operator of the others."""
    rank = operator_rank(study, index, source)
    if sample == "resampled":
        return rotation.held_out_r2(resampled_means(study, index, source), rank)
    orders = random_orders(study, index) if sample == "relabelled" else None
    return np.atleast_1d(rotation.held_out_r2(class_means(study, index, source), rank, orders))


@measures("memorised", "untrained", "outputs", "permuted labels")
def rotations(subject: TokenSubject) -> Measurement:
    """Share of the shift operator's eigenvalues on the ring, at rank p / 3 or less, fitted without held-out edges."""
    history = subject.training()
    modulus = addition_of(history).modulus
    stages = {"memorised": subject.companion("memorised"), "at grokking": subject.trained}
    stages["at the end"] = history.study(history.last)
    plane = {name: [_in_the_plane(study, k) for k in history.members] for name, study in stages.items()}
    drawn = [quantile(_null(subject.trained, k, ring_share), LEVEL) for k in history.members]
    return _measured(
        subject,
        ring_share,
        references={},
        controls={"permuted labels": tuple(exact(str(k), value) for k, value in enumerate(drawn))},
        details={"classes": modulus, "eigenvalues": plane, "share by epoch": _by_epoch(history, ring_share)},
        beside={TAUTOLOGY: _tautology(rotation.ring_share(spectrum(_in_general_position(modulus)[1]), modulus))},
    )


@measures("memorised", "untrained", "outputs")
def angles(subject: TokenSubject) -> Measurement:
    """Mean distance of the eigenvalues' angles to the multiples of 2 pi / p, in units of 2 pi / p."""
    modulus = addition_of(subject.training()).modulus
    return _measured(
        subject,
        grid_distance,
        references={NULL: -_extreme(subject, grid_distance, -1)},
        details={"distance by epoch": _by_epoch(subject.training(), grid_distance)},
        beside={TAUTOLOGY: _tautology(rotation.grid_distance(spectrum(_in_general_position(modulus)[1]), modulus))},
    )


@measures("memorised", "untrained", "outputs")
def operator_r2(subject: TokenSubject) -> Measurement:
    """Held-out R2 of the step c -> c + 1 at rank p / 3 or less."""
    modulus = addition_of(subject.training()).modulus
    rank = operator_rank(subject.trained, 0)
    random = np.random.default_rng(0).standard_normal((RANDOM_MEANS, modulus, rank))
    middle = float(np.median(rotation.held_out_r2(random, rank)))
    return _measured(
        subject,
        held_out_r2,
        references={"larger of null and 0": max(0.0, _extreme(subject, held_out_r2, +1))},
        beside={
            "random class means": (exact("all", middle, count=RANDOM_MEANS),),
            TAUTOLOGY: _tautology(in_sample_r2(*_in_general_position(modulus))),
        },
    )


def _measured(
    subject: TokenSubject,
    statistic: Statistic,
    *,
    references: Mapping[str, float],
    beside: Mapping[str, tuple[Estimate, ...]],
    controls: Mapping[str, tuple[Estimate, ...]] = MappingProxyType({}),
    details: Mapping[str, Any] = MappingProxyType({}),
) -> Measurement:
    """A statistic of every model at its first checkpoint after grokking, with what it is held against."""
    study = subject.trained
    return Measurement(
        _estimates(study, statistic),
        {
            "memorised": _estimates(subject.companion("memorised"), statistic),
            "untrained": _estimates(subject.twins(), statistic),
            "outputs": _estimates(study, statistic, "outputs"),
            **controls,
        },
        references,
        {"rank": [operator_rank(study, k) for k in study.members], **details},
        site=f"{study.site}, {WHEN}",
        beside={"at the end": _estimates(at_the_end(subject), statistic), **beside},
    )


def _extreme(subject: TokenSubject, statistic: Statistic, better: int) -> float:
    """`better` times the statistic's most favourable .1 % over random orders of the answers, of any model.

    Args:
        better: +1 where a larger value speaks for the claim, -1 where a smaller one does.
    """
    study = subject.trained
    return max(quantile(better * _null(study, k, statistic), LEVEL) for k in study.members)


def _estimates(study: TokenStudy, statistic: Statistic, source: str = "core") -> tuple[Estimate, ...]:
    """A statistic of every model, with an interval over pairs resampled within their answer."""
    return tuple(
        Estimate(str(k), float(statistic(study, k, "itself", source)[0]), statistic(study, k, "resampled", source))
        for k in study.members
    )


def _null(study: TokenStudy, index: int, statistic: Statistic) -> Array:
    return statistic(study, index, "relabelled", "core")


def _by_epoch(history: RunHistory, statistic: Statistic) -> dict[str, Any]:
    """A statistic of every model at every checkpoint from its generalisation on, along the first arm."""
    return {
        str(k): {
            str(epoch): float(statistic(history.study(epoch), k, "itself", "core")[0])
            for epoch in history.epochs
            if epoch >= history.stages(k).after
        }
        for k in history.members
    }


def _in_the_plane(study: TokenStudy, index: int) -> list[list[float]]:
    """Real and imaginary parts of the eigenvalues of the operator fitted to all edges."""
    values = spectrum(rotation.shift_operator(class_means(study, index)[:, : operator_rank(study, index)]))
    return [[float(value.real), float(value.imag)] for value in values]


def _in_general_position(modulus: int) -> tuple[Array, Array]:
    """(p, p - 1) random class means and the (p - 1, p - 1) shift operator fitted to all their edges: a tautology."""
    means = np.random.default_rng(0).standard_normal((modulus, modulus - 1))
    return means, rotation.shift_operator(means)


def _tautology(value: Array | float) -> tuple[Estimate, ...]:
    return (exact("all", float(value)),)
