"""Where an interval ends: BCa levels for few clusters, quantiles of replicates far out, binomial limits. Arrays only.

The bootstrap's own percentiles are off in three ways: by the skewness and bias of the estimate, which Efron's BCa
levels correct (1987, Better bootstrap confidence intervals); by too narrow replicates, whose variance divides by the
number of clusters instead of one less, and by a variance that is itself estimated, which Hesterberg's expanded levels
correct (2015, What teachers should know about the bootstrap), here with fewer degrees of freedom where clusters have
heavy tails. All this only chooses other quantiles of the same replicates.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from ace.arrays import Array
from ace.check import check_fraction
from ace.errors import InputError

NEAR, FAR = 5, 25  # order statistics through which tails beyond the first of them are drawn
FEWEST = 5.0  # degrees of freedom; Student's quantiles of fewer reach farther than replicates can say
UNBIASED = 0.5  # of a bias in standard errors that the correction is trusted with
FARTHEST = 38.0  # a normal quantile; beyond, tails are 0 in float64


def reach(tail: float, clusters: int = 0, freedom: float = 0.0) -> float:
    """Standard errors from the centre to the end of an interval that leaves `tail` outside on each side.

    Normal, or with a number of independent clusters k >= 2 wider: sqrt(k / (k - 1)) times Student's t.

    Args:
        freedom: degrees of freedom; 0: k - 1.
    """
    if clusters < 2:
        return float(-special.ndtri(tail))
    return float(-math.sqrt(clusters / (clusters - 1)) * special.stdtrit(freedom or clusters - 1, tail))


def acceleration(jackknife: Array) -> float:
    """A sixth of the skewness of an estimate, from its values (k) with each cluster left out; NaN are not counted.

    Lies between -1/6 and 1/6 for any values; 0 where all are alike.
    """
    away = _influence(jackknife)
    return float((away**3).sum() / (6 * (away**2).sum() ** 1.5)) if away.any() else 0.0


def freedom(jackknife: Array) -> float:
    """Degrees of freedom of an estimate's variance, from its values (k) with each cluster left out.

    The variance of a variance of k values is that of chi-square with 2 / (2 / (k - 1) + kurtosis / k) degrees of
    freedom (Satterthwaite 1946, An approximate distribution of estimates of variance components), where the kurtosis is
    the unbiased excess over that of normal values. At most k - 1, and 5 at least where there are as many.
    """
    away = _influence(jackknife)
    k = away.size
    most = max(k - 1.0, 1.0)
    if k < 4 or not away.any():
        return most
    moment = k * (away**4).sum() / (away**2).sum() ** 2 - 3
    kurtosis = (k - 1) / ((k - 2) * (k - 3)) * ((k + 1) * moment + 6)
    return float(min(most, max(FEWEST, 2 / (2 / (k - 1) + max(kurtosis, 0.0) / k))))


def _influence(jackknife: Array) -> Array:
    """Mean of the finite values less each, the largest of size 1; all 0 where they are alike but for rounding."""
    known = jackknife[np.isfinite(jackknife)]
    if known.size == 0:
        return known
    away = known.mean() - known
    largest = np.abs(away).max()
    return away / largest if largest > 1e-12 * np.abs(known).max() else np.zeros_like(away)


def bias(value: float, replicates: Array) -> float:
    """Normal quantile of the share of replicates (b) below the value, those equal to it counted half.

    Finite: a value beyond all replicates counts as half a replicate within.
    """
    away = replicates - value
    alike = 1e-9 * np.abs(away).max()
    below = (away < -alike).sum() + 0.5 * (np.abs(away) <= alike).sum()
    share = np.clip(below / away.size, 0.5 / away.size, 1 - 0.5 / away.size)
    return float(special.ndtri(share))


def corrected(reached: float, shift: float = 0.0, skew: float = 0.0) -> float:
    """Normal quantile of replicates at which an interval ends that would end at the normal quantile `reached`.

    Efron's BCa: shift is the bias z0, skew the acceleration a; z becomes z0 + (z0 + z) / (1 - a (z0 + z)).
    """
    moved = shift + reached
    curved = 1 - skew * moved
    # Where the curve turns over, which takes very few clusters, the interval has no end on that side.
    return shift + moved / curved if curved > 0 else math.copysign(math.inf, moved)


def replicate_interval(
    value: float,
    replicates: Array,
    confidence: float,
    *,
    skew: float = 0.0,
    clusters: int = 0,
    freedom: float = 0.0,
) -> tuple[float, float]:
    """BCa interval at expanded levels from replicates (b), widened where needed to hold the value.

    A bias of more than half a standard error is none that the correction is made for: such replicates are folded at
    the value (|x| near 0), or their resampling is noisier than the sampling was. The interval then also holds the
    uncorrected one.

    Args:
        confidence: strictly between 0 and 1.
        skew: the acceleration.
        clusters: how many independent clusters the replicates were drawn from; less than 2: unknown, taken as many.
        freedom: degrees of freedom of their variance; 0: one less than clusters.
    """
    ordered = np.sort(replicates)
    away, shift = reach((1 - confidence) / 2, clusters, freedom), bias(value, replicates)
    shifts = [(shift, skew)] if abs(shift) <= UNBIASED else [(shift, skew), (0.0, 0.0)]
    lows = [tail_quantile(ordered, corrected(-away, *by)) for by in shifts]
    highs = [tail_quantile(ordered, corrected(away, *by)) for by in shifts]
    return min(*lows, value), max(*highs, value)


def tail_quantile(ordered: Array, score: float) -> float:
    """Quantile of replicates (b) in rising order, at the level p whose normal quantile is `score`.

    The p (b + 1)-th, linearly between two of them. Replicates say little of a tail that fewer than five of them lie in:
    there the line, in normal quantiles, through the 5th and the 25th from that end goes on, where it is farther out
    than the replicates themselves. It ends at 38, beyond which float64 has no normal tail.
    """
    if score > 0:
        return -tail_quantile(-ordered[::-1], -score)
    size = ordered.size
    place = special.ndtr(score) * (size + 1)
    inner = float(np.interp(place, np.arange(1, size + 1), ordered))
    if place >= NEAR or size < 2 * FAR - 1:
        return inner
    near, far = special.ndtri(NEAR / (size + 1)), special.ndtri(FAR / (size + 1))
    slope = (ordered[FAR - 1] - ordered[NEAR - 1]) / (far - near)
    return min(inner, float(ordered[NEAR - 1] + slope * (max(score, -FARTHEST) - near)))


def binomial_limits(hits: float, trials: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson limits of a proportion; numbers of hits and trials need not be whole (Korn and Graubard 1998).

    Raises:
        InputError: no trials, or hits outside 0..trials.
    """
    tail = (1 - check_fraction("confidence", confidence)) / 2
    if not trials > 0:
        raise InputError(f"trials: expected a positive number, got {trials}")
    if not 0 <= hits <= trials:
        raise InputError(f"hits: expected 0..{trials}, got {hits}")
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, 1 - tail))
    return low, high


def effective_trials(share: float, variance: float, most: float) -> float:
    """As many independent trials as would give a proportion this variance, and `most` at most."""
    spread = share * (1 - share)
    return most if spread >= most * variance else spread / variance


def effective_limits(
    share: float, variance: float, most: float, confidence: float, clusters: int
) -> tuple[float, float]:
    """Clopper-Pearson limits of a proportion at its effective number of trials (Korn and Graubard 1998).

    Args:
        variance: of the proportion, as replicates have it; counted larger for what k clusters cannot know of it.
        most: trials that there are.
    """
    tail = (1 - confidence) / 2
    trials = effective_trials(share, variance * (reach(tail, clusters) / reach(tail)) ** 2, most)
    return binomial_limits(share * trials, trials, confidence)
