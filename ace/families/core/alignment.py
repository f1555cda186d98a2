"""How models of a study compare in pairs: overlap of their cores, held-out correlations of their coordinates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ace.arrays import Array
from ace.compare import overlap
from ace.moments import Moments, canonical_pairs, correlations, moments
from ace.stats import Estimate, bootstrap
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split, require_disjoint


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
        correlate = partial(correlations, first=first, second=second, pairs=pairs)
        estimates.append(bootstrap(f"{i}-{j}", tested.clusters, partial(_smallest, correlate), vectorized=True))
        every[f"{i}-{j}"] = correlate(tested.total).tolist()
        directions.append(pairs)
    return tuple(estimates), every, directions


def aligned(
    study: TokenStudy, view: Callable[[TokenStudy, int, Split], Array]
) -> tuple[tuple[Estimate, ...], dict[str, list[float]]]:
    """The smallest held-out correlation of each pair of models, and all of them, of a view (n, s, k) of every model.

    Directions come from the selection split, correlations from the evaluation split.
    """
    chosen, tested = (
        moments(*(view(study, k, split) for k in study.members)) for split in (Split.SELECTION, Split.EVALUATION)
    )
    estimates, every, _ = aligned_pairs(study, chosen, tested)
    return estimates, every


def overlaps(study: TokenStudy) -> tuple[Estimate, ...]:
    """Overlap of the cores of each pair of models, with replicates from resampled extraction sequences."""
    estimates = []
    for i, j in study.pairs:
        across = study.core_replicates(i).bases.mT @ study.core_replicates(j).bases
        drawn = across.square().sum(dim=(1, 2)) / min(across.shape[1:])
        value = overlap(study.core(i).basis, study.core(j).basis)
        estimates.append(Estimate(f"{i}-{j}", value, replicates=drawn.numpy()))
    return tuple(estimates)


def coordinates(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, s, r) core coordinates of one model: the view that most claims take."""
    return study.coordinates(index, split)


def oblique(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, s, r) the same by the oblique projector, which reads what the tail reads."""
    require_disjoint(Split.EXTRACTION.value, study.batch(split))
    return study.core(index).coordinates(study.states(index, split), "oblique").numpy()


def _smallest(correlate: Callable[[Array], Array], each: Array) -> Array:
    return np.asarray(correlate(each).min(axis=-1))
