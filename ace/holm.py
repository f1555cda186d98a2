"""Several sentences judged together by Holm's step-down, so that all are together wrong as seldom as one may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
