"""Several sentences judged together by Holm's step-down, so that all are together wrong as seldom as one may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ace.arrays import Array, Ints
from ace.errors import InputError
from ace.stats import Estimate


@dataclass(frozen=True)
class Holm:
    """One estimate's place in Holm's step-down: its label, value and the interval at its adjusted level."""

    label: str
    value: float
    low: float
    high: float
    confidence: float


def holm_intervals(
    estimates: Sequence[Estimate], margin: Callable[[float], float], confidence: float = 0.95
) -> tuple[Holm, ...]:
    """Intervals of several estimates at Holm's step-down levels, in the order given.

    The estimate with the largest margin inside its bound is judged at 1 - alpha / k, the next at 1 - alpha / (k - 1),
    down to 1 - alpha, so that all sentences "this seed is inside" are together wrong with probability at most alpha.

    Args:
        margin: how far inside its bound a value lies; orders the estimates.
    """
    if not estimates:
        raise InputError("estimates: expected at least one, got none")
    order = sorted(range(len(estimates)), key=lambda i: -margin(estimates[i].value))
    placed: dict[int, Holm] = {}
    for place, index in enumerate(order):
        level = 1 - (1 - confidence) / (len(estimates) - place)
        low, high = estimates[index].interval(level)
        placed[index] = Holm(estimates[index].label, estimates[index].value, low, high, level)
    return tuple(placed[i] for i in range(len(estimates)))


def binomial_p_values(hits: Ints, trials: Ints, chances: Array) -> Array:
    """Two-sided exact binomial p-values, Holm-adjusted (family-wise), of equal-shaped arrays.

    Twice the smaller tail: a value is below alpha exactly where the Clopper-Pearson interval at 1 - alpha excludes the
    chance. Entries without trials have p = 1.

    Raises:
        InputError: shapes differ, hits outside 0..trials, or chances that are no probabilities (rounding allowed).
    """
    if not hits.shape == trials.shape == chances.shape:
        raise InputError(f"hits: expected equal shapes, got {hits.shape}, {trials.shape}, {chances.shape}")
    if ((hits < 0) | (hits > trials)).any():
        raise InputError("hits: expected counts between 0 and trials")
    if not ((chances > -1e-9) & (chances < 1 + 1e-9)).all():
        raise InputError(f"chances: expected probabilities, got {chances.min()} to {chances.max()}")
    k, n, p = hits.ravel(), trials.ravel(), np.clip(chances.ravel(), 0.0, 1.0)
    raw = 2 * np.minimum(stats.binom.cdf(k, n, p), stats.binom.sf(k - 1, n, p))
    order = np.argsort(raw)
    steps = raw[order] * np.arange(raw.size, 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.reshape(hits.shape)
