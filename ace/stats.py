"""Estimates with intervals, and what several of them say together. No models.

Two-sided intervals at confidence 1 - alpha decide everything. One that lies inside [low, high] is the test of
equivalence by two one-sided tests, each at alpha / 2: at alpha = .05 a sentence whose truth lies on a bound HOLDS with
probability .025, and no more than .05 where an interval is as far off its level as `docs/calibration.md` shows them to
be. Intervals at 1 - 2 alpha, which the test of equivalence is often given, leave no such room.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from ace.arrays import Array, Ints
from ace.check import check_count, check_fraction
from ace.errors import InputError
from ace.intervals import acceleration, binomial_limits, effective_limits, freedom, replicate_interval

RESAMPLES = 999
WITHIN = 0.3  # correlation of trials within a cluster where they do not tell it themselves


@dataclass(frozen=True)
class Estimate:
    """One value with its sampling distribution.

    Attributes:
        label: which seed, or which pair of seeds, such as "2" or "0-3".
        value: the point estimate.
        replicates: (b) bootstrap replicates, or None where `limits` gives the interval, or where the value is exact.
        limits: interval at a confidence level, for intervals that are not a bootstrap.
        count: samples behind the value.
        acceleration: a sixth of the skewness of the value's sampling distribution, from a jackknife.
        clusters: how many independent units were resampled, be they clusters or blocks of them; `count` if not given.
        freedom: degrees of freedom of the replicates' variance, from a jackknife; 0: one less than clusters.
        possible: ends of what the value can be at all, which no interval passes.

    Raises:
        InputError: replicates that are no vector of finite numbers.
    """

    label: str
    value: float
    replicates: Array | None = None
    limits: Callable[[float], tuple[float, float]] | None = field(default=None, compare=False)
    count: int = 0
    acceleration: float = 0.0
    clusters: int = 0
    freedom: float = 0.0
    possible: tuple[float, float] = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        drawn = self.replicates
        if drawn is not None and (drawn.ndim != 1 or drawn.size == 0 or not np.isfinite(drawn).all()):
            bad = int((~np.isfinite(drawn)).sum())
            raise InputError(
                f"replicates: expected (b) finite numbers for {self.label!r}, got shape {drawn.shape} with {bad} that"
                f" are NaN or infinite"
            )
        if self.clusters == 0:
            object.__setattr__(self, "clusters", self.count)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided interval that holds the value: `limits`, or BCa at expanded levels; an exact value is its own."""
        check_fraction("confidence", confidence)
        if self.limits is not None:
            return self.limits(confidence)
        if self.replicates is None:
            return self.value, self.value
        low, high = replicate_interval(
            self.value,
            self.replicates,
            confidence,
            skew=self.acceleration,
            clusters=self.clusters,
            freedom=self.freedom,
        )
        return min(max(low, self.possible[0]), self.value), max(min(high, self.possible[1]), self.value)


def exact(label: str, value: float, count: int = 0) -> Estimate:
    """A value without sampling error, such as a number of dimensions.

    Raises:
        InputError: NaN or infinity.
    """
    if not np.isfinite(value):
        raise InputError(f"value: expected a finite number for {label!r}, got {value}")
    return Estimate(label, float(value), count=count)


def proportion(label: str, hits: int, trials: int) -> Estimate:
    """A proportion of independent trials with the exact (Clopper-Pearson) binomial interval.

    Raises:
        InputError: no trials, or hits outside 0..trials.
    """
    check_count("trials", trials)
    if not 0 <= hits <= trials:
        raise InputError(f"hits: expected 0..{trials}, got {hits}")
    return Estimate(label, hits / trials, limits=partial(binomial_limits, hits, trials), count=trials)


def clustered_proportion(label: str, hits: Ints, trials: Ints) -> Estimate:
    """A proportion of trials that come in independent clusters, such as prompts about one noun: hits and trials (k).

    Clopper-Pearson limits at the effective number of trials (Korn and Graubard 1998, Confidence intervals for
    proportions with small expected number of positive counts): as many independent trials as would have the variance
    that is found between clusters, fewer for a variance known from few clusters, and never more than there are. The
    cluster that is farthest from the proportion counts twice: where few clusters have any hits, their variance is found
    too small most of the time. All hits or none show no variance: trials of one cluster are then taken to correlate by
    .3. Taken as copies of one another, a perfect share would be known far worse than one with a single miss.

    Raises:
        InputError: shapes differ, fewer than two clusters, a cluster without trials, or hits outside 0..trials.
    """
    if hits.shape != trials.shape or hits.ndim != 1 or hits.size < 2:
        raise InputError(
            f"hits: expected (k) with trials (k), at least 2 clusters, got {hits.shape} and {trials.shape}"
        )
    if (trials < 1).any():
        raise InputError(f"trials: expected at least 1 in each cluster, got {trials.min()}")
    if ((hits < 0) | (hits > trials)).any():
        raise InputError("hits: expected counts between 0 and trials")
    clusters, total = hits.size, int(trials.sum())
    share = float(hits.sum() / total)
    squares = ((hits - share * trials) / total) ** 2
    variance = float(squares.sum() + squares.max())

    def limits(confidence: float) -> tuple[float, float]:
        if share in (0.0, 1.0):
            independent = total / (1 + (total / clusters - 1) * WITHIN)
            return binomial_limits(share * independent, independent, confidence)
        return effective_limits(share, variance, total, confidence, clusters)

    return Estimate(label, share, limits=limits, count=total, clusters=clusters)


def bootstrap(
    label: str,
    clusters: Array,
    statistic: Callable[[Array], float | Array],
    *,
    vectorized: bool = False,
    possible: tuple[float, float] = (-math.inf, math.inf),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Bootstrap and jackknife, over independent clusters, of a function of their mean.

    Drawing n of n clusters with replacement is drawing multinomial counts, so the means of all resamples are one matrix
    product; `scipy.stats.bootstrap`, which calls back with every resample, agrees and takes a hundred times as long.

    Args:
        clusters: (n, ...) one entry a cluster, such as a sequence: a value, counts, or a moment matrix.
        statistic: called on a mean of clusters (...), gives a finite number.
        vectorized: it is called on stacks of means (c, ...) instead, and gives (c).
        possible: ends of what the statistic can be, such as 0 of a ratio of sizes: tails of replicates are drawn on.

    Raises:
        InputError: fewer than two clusters, no resamples, or a statistic that is not one finite number a mean.
    """
    check_count("resamples", resamples)
    values = np.asarray(clusters, dtype=np.float64)
    if values.ndim == 0 or len(values) < 2:
        raise InputError(f"clusters: expected at least 2, got shape {values.shape}")
    blocks = grouped(values)
    # Blocks may differ by one cluster in size: a mean of clusters divides by the clusters drawn, not by the blocks.
    sizes = grouped(np.ones(len(values)))

    def computed(counts: Array | Ints) -> Array:
        """(c) the statistic where each block is taken so many times (c, blocks)."""
        means = (counts / (counts @ sizes)[:, None]) @ blocks.reshape(len(blocks), -1)
        return of_each(means.reshape(-1, *values.shape[1:]))

    def of_each(means: Array) -> Array:
        results = np.asarray(statistic(means) if vectorized else [statistic(mean) for mean in means], dtype=np.float64)
        if results.shape != (len(means),):
            raise InputError(f"statistic: expected a number for each of {len(means)} means, got shape {results.shape}")
        return results

    value = float(of_each(values.mean(axis=0)[None])[0])
    replicates = computed(resample_counts(len(blocks), resamples, seed))
    left_out = computed(1 - np.eye(len(blocks)))
    if not (np.isfinite(value) and np.isfinite(replicates).all() and np.isfinite(left_out).all()):
        raise InputError(f"{label}: expected a finite statistic on every resample, got NaN or infinity")
    return Estimate(
        label,
        value,
        replicates,
        count=len(values),
        acceleration=acceleration(left_out),
        clusters=len(blocks),
        freedom=freedom(left_out),
        possible=possible,
    )


@lru_cache(maxsize=8)
def resample_counts(size: int, resamples: int, seed: int) -> Ints:
    """(resamples, size) how often each is drawn of `size` with replacement, read-only.

    Draws cost more than most statistics of them, and serve them all.
    """
    counts = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), resamples)
    counts.flags.writeable = False
    return counts


def bootstrap_mean(label: str, clusters: Array) -> Estimate:
    """Bootstrap of the mean of one number a cluster, (n).

    Raises:
        InputError: fewer than two clusters, or NaN or infinity.
    """
    return bootstrap(label, clusters, lambda means: means, vectorized=True)


def bootstrap_ratio(label: str, clusters: Array) -> Estimate:
    """Bootstrap of the mean of one number a cluster over that of another, (n, 2).

    Raises:
        InputError: fewer than two clusters, NaN or infinity, or a resample whose second numbers are 0 on average.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return bootstrap(label, clusters, lambda means: means[:, 0] / means[:, 1], vectorized=True)


def grouped(clusters: Array, groups: int = 300) -> Array:
    """Means over `groups` blocks of consecutive independent clusters (n, ...) -> (groups, ...).

    Blocks of independent clusters are themselves independent, so a bootstrap over blocks is valid and cheaper. The
    remainder n mod groups is spread so that no cluster is lost: block sums are divided by n / groups.
    """
    check_count("groups", groups)
    if len(clusters) <= groups:
        return clusters
    edges = np.linspace(0, len(clusters), groups + 1).astype(int)
    return np.add.reduceat(clusters, edges[:-1]) * (groups / len(clusters))


def quantile(values: Array, level: float) -> float:
    """Quantile of a null distribution that is itself in the sample: the ceil(level (n + 1))-th smallest value.

    Conservative: with too few draws for the level (999 for 0.999) it is the largest draw.
    """
    check_fraction("level", level)
    ordered = np.sort(values, axis=None)
    if ordered.size == 0:
        raise InputError("values: expected at least one draw of the null, got none")
    bad = int((~np.isfinite(ordered)).sum())
    if bad:
        raise InputError(f"values: expected finite draws, got NaN or infinity in {bad} of {ordered.size}")
    place = int(np.ceil(level * (ordered.size + 1) - 1e-9))
    return float(ordered[min(place, ordered.size) - 1])
