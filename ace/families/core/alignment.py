"""Held-out canonical correlations between the models of a study."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ace.arrays import Array
from ace.moments import Moments, canonical_pairs, correlations
from ace.stats import Estimate, bootstrap
from ace.study.tokens import TokenStudy


def aligned_pairs(
    study: TokenStudy, chosen: Moments, tested: Moments
) -> tuple[tuple[Estimate, ...], dict[str, list[float]], list[tuple[Array, Array]]]:
    """Held-out canonical correlations of each pair of a study's models, view k being model k.

    Directions come from the moments `chosen`, correlations from `tested`.

    Returns:
        the smallest correlation of each pair with its interval, all correlations by pair, and the directions.
    """
    estimates, every, directions = [], {}, []
    for i, j in study.pairs:
        first, second = tested.views[i], tested.views[j]
        pairs = canonical_pairs(chosen.total, first, second)
        found = partial(correlations, first=first, second=second, pairs=pairs)
        estimates.append(bootstrap(f"{i}-{j}", tested.clusters, partial(_smallest, found)))
        every[f"{i}-{j}"] = found(tested.total).tolist()
        directions.append(pairs)
    return tuple(estimates), every, directions


def _smallest(found: Callable[[Array], Array], moment: Array) -> float:
    return float(found(moment).min())
