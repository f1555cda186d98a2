"""How many dimensions a core needs: the areas under its curves of removal and of keeping, and their first crossings.

Where a curve first crosses a bound is decided by the bound, and on a plateau near it by chance: an interval of such a
rank covers the true one far too seldom. An area is decided by the whole curve. Of a curve that falls from the whole
model's accuracy to chance, it is the mean of r_nec over all bounds between the two.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ace.arrays import Array, Ints
from ace.errors import Inapplicable
from ace.families.modular_addition.scans import TOLERANCE, resampled_accuracy
from ace.model.intervene import RankScan
from ace.stats import Estimate, resample_counts
from ace.study.replicates import REPLICATES
from ace.study.run_history import HALFWAY

BOUNDS = (0.05, 0.1, 0.2, 0.5)  # of accuracy after removal, beside the published 2 / p

Size = Callable[[RankScan, Ints], Array]


def removal_area(scan: RankScan, counts: Ints, chance: float) -> Array:
    """(b) how many dimensions accuracy is spread over: the share of it left after removing r of them, summed over r.

    Over r = 0 to all ranks of the core; share is accuracy above chance over that of the whole model. At least the 1 of
    r = 0, whatever lies below chance. Where removing all ranks leaves some, the area is a least.

    Args:
        counts: (b, n) how often each pair is drawn.
        chance: accuracy of a guess, such as 1 / p.
    """
    above = _above_chance(scan, counts, chance)
    left = (resampled_accuracy(scan.remove_hits, counts) - chance) / above
    return np.asarray(1 + np.maximum(left.sum(axis=1), 0.0))


def keeping_area(scan: RankScan, counts: Ints, chance: float) -> Array:
    """(b) how many dimensions it takes to have accuracy: the share of it missing with r of them kept, summed over r.

    Over r = 0, where one constant answer is left, to all ranks of the core.
    """
    above = _above_chance(scan, counts, chance)
    missing = (chance + above - resampled_accuracy(scan.keep_hits, counts)) / above
    return np.asarray(1 + missing.sum(axis=1))


def redundancy_area(scan: RankScan, counts: Ints, chance: float) -> Array:
    """(b) dimensions that accuracy is spread over beyond those that it takes."""
    return removal_area(scan, counts, chance) - keeping_area(scan, counts, chance)


def removal_rank(scan: RankScan, counts: Ints, bound: float) -> Array:
    """(b) r_nec: smallest rank whose removal leaves at most `bound`, or one beyond the last."""
    return _first(resampled_accuracy(scan.remove_hits, counts) <= bound + 1e-12)


def keeping_rank(scan: RankScan, counts: Ints) -> Array:
    """(b) r_suf: smallest rank kept that is within the published 1e-3 of the whole model, or one beyond the last."""
    base = resampled_accuracy(scan.base_hits[None], counts)
    return _first(resampled_accuracy(scan.keep_hits, counts) >= base - TOLERANCE - 1e-12)


def redundancy_rank(scan: RankScan, counts: Ints, bound: float) -> Array:
    """(b) r_nec - r_suf."""
    return removal_rank(scan, counts, bound) - keeping_rank(scan, counts)


def grown(index: int, size: Size, late: RankScan, early: RankScan) -> Estimate:
    """A size of one model at one checkpoint over that at another, with an interval over the pairs that both share."""
    counts = pair_counts(late, index)
    ratio = size(late, counts) / size(early, counts)
    return Estimate(str(index), float(ratio[0]), ratio[1:], count=late.count)


def widened(index: int, size: Size, late: RankScan, early: RankScan) -> Estimate:
    """A size of one model at one checkpoint less that at another, in dimensions, with an interval over pairs."""
    counts = pair_counts(late, index)
    gain = size(late, counts) - size(early, counts)
    return Estimate(str(index), float(gain[0]), gain[1:], count=late.count)


def pair_counts(scan: RankScan, seed: int) -> Ints:
    """(1 + b, n) how often each held-out pair is drawn: each once, then in each of b resamples."""
    return np.vstack([once(scan), resample_counts(scan.count, REPLICATES, seed)])


def once(scan: RankScan) -> Ints:
    """(1, n) each held-out pair once."""
    return np.ones((1, scan.count), dtype=np.int64)


def _first(met: NDArray[np.bool_]) -> Array:
    return np.where(met.any(axis=1), met.argmax(axis=1) + 1.0, met.shape[1] + 1.0)


def _above_chance(scan: RankScan, counts: Ints, chance: float) -> Array:
    """(b, 1) accuracy of the whole model above chance, or of one pair where a resample has none.

    Raises:
        Inapplicable: it answers at most half of the pairs, so that little could be spread over dimensions.
    """
    if scan.base <= HALFWAY:
        raise Inapplicable(
            f"a model answers {scan.base:.3f} of the pairs, at most half of them: it has no core to size"
        )
    return np.maximum(resampled_accuracy(scan.base_hits[None], counts) - chance, 1 / scan.count)
