"""Properties of estimates: intervals that mean what they say, order what they should and repeat exactly."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ace.arrays import Array, Ints
from ace.errors import InputError
from ace.holm import holm_intervals
from ace.intervals import acceleration, binomial_limits, effective_limits, freedom, replicate_interval
from ace.stats import (
    RESAMPLES,
    Estimate,
    bootstrap,
    bootstrap_mean,
    bootstrap_ratio,
    clustered_proportion,
    exact,
    grouped,
    proportion,
    quantile,
    resample_counts,
)
from invariants.properties.strategies import distance, gaussian, hoeffding, rounding, seeds

confidences = st.floats(0.5, 0.999)
counts = st.integers(1, 60).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))
ROOT = 1e-9  # scipy finds Clopper-Pearson limits as roots or beta quantiles, far below this


def sample(seed: int, size: int) -> Array:
    """(size) normal values."""
    return np.asarray(gaussian(seed, size).numpy())


def clustered(seed: int, clusters: int, each: int) -> tuple[Ints, Ints]:
    """Hits and trials (clusters), up to `each` trials a cluster."""
    rng = np.random.default_rng(seed)
    trials = rng.integers(1, each + 1, clusters)
    return rng.binomial(trials, rng.random()), trials


# --- Proportions ------------------------------------------------------------------------------------------------------


@given(count=counts, confidence=confidences)
def test_clopper_pearson_limits_leave_exactly_half_the_error_in_each_tail(
    count: tuple[int, int], confidence: float
) -> None:
    hits, trials = count
    low, high = proportion("0", hits, trials).interval(confidence)
    tail = (1 - confidence) / 2
    # The definition: at the lower limit so many hits or more are just that improbable, at the upper so many or fewer.
    assert low == 0.0 if hits == 0 else stats.binom.sf(hits - 1, trials, low) == pytest.approx(tail, abs=ROOT)
    assert high == 1.0 if hits == trials else stats.binom.cdf(hits, trials, high) == pytest.approx(tail, abs=ROOT)


@given(trials=st.integers(1, 25), chance=st.floats(0.001, 0.999), confidence=confidences)
def test_clopper_pearson_covers_at_least_its_level(trials: int, chance: float, confidence: float) -> None:
    # Summed over every possible outcome: exact coverage, no sampling.
    outcomes = range(trials + 1)
    weights = stats.binom.pmf(outcomes, trials, chance)
    limits = [proportion("0", hits, trials).interval(confidence) for hits in outcomes]
    covered = sum(weight for weight, (low, high) in zip(weights, limits, strict=True) if low <= chance <= high)
    assert covered >= confidence - ROOT


@given(count=counts, confidence=confidences)
def test_the_interval_of_misses_mirrors_that_of_hits(count: tuple[int, int], confidence: float) -> None:
    hits, trials = count
    low, high = proportion("0", hits, trials).interval(confidence)
    mirrored = proportion("0", trials - hits, trials).interval(confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=ROOT)


@given(count=counts, confidence=confidences, factor=st.integers(2, 5))
def test_more_hits_raise_an_interval_and_more_trials_narrow_it(
    count: tuple[int, int], confidence: float, factor: int
) -> None:
    hits, trials = count
    low, high = proportion("0", hits, trials).interval(confidence)
    assert 0 <= low <= hits / trials <= high <= 1
    if hits < trials:
        above = proportion("0", hits + 1, trials).interval(confidence)
        assert above[0] > low
        assert above[1] > high - ROOT
    longer = proportion("0", factor * hits, factor * trials)
    assert longer.value == pytest.approx(hits / trials)
    assert longer.interval(confidence)[1] - longer.interval(confidence)[0] < high - low


@given(count=counts, seed=seeds, first=confidences, second=confidences)
def test_intervals_are_nested_in_the_confidence(count: tuple[int, int], seed: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    estimates = [proportion("0", *count), bootstrap_mean("0", sample(seed, 20)), exact("0", 0.3)]
    for estimate in estimates:
        inner, outer = estimate.interval(low), estimate.interval(high)
        assert outer[0] - ROOT <= inner[0] <= inner[1] <= outer[1] + ROOT


@given(seed=seeds, clusters=st.integers(2, 30), each=st.integers(1, 10), confidence=confidences)
def test_a_clustered_proportion_has_as_many_trials_as_its_variance_tells(
    seed: int, clusters: int, each: int, confidence: float
) -> None:
    hits, trials = clustered(seed, clusters, each)
    share, total = hits.sum() / trials.sum(), trials.sum()
    found = clustered_proportion("0", hits, trials)
    assert found.value == pytest.approx(share)
    assert (found.count, found.clusters) == (total, clusters)
    # Slow twin: cluster by cluster, the farthest of them twice.
    away = [(int(k) - share * int(n)) / total for k, n in zip(hits, trials, strict=True)]
    variance = sum(one**2 for one in away) + max(one**2 for one in away)
    if 0 < share < 1:
        expected = effective_limits(share, variance, total, confidence, clusters)
    else:
        independent = total / (1 + 0.3 * (total / clusters - 1))
        expected = binomial_limits(share * independent, independent, confidence)
    assert found.interval(confidence) == pytest.approx(expected, abs=ROOT)
    low, high = found.interval(confidence)
    assert low <= share <= high
    mirrored = clustered_proportion("0", trials - hits, trials)
    assert mirrored.interval(confidence) == pytest.approx((1 - high, 1 - low), abs=1e-7)


@given(seed=seeds, clusters=st.integers(3, 30), copies=st.integers(2, 4), confidence=confidences)
def test_copies_of_the_trials_of_every_cluster_tell_nothing_new(
    seed: int, clusters: int, copies: int, confidence: float
) -> None:
    hits, trials = clustered(seed, clusters, 3)
    plain = clustered_proportion("0", hits, trials).interval(confidence)
    more = clustered_proportion("0", copies * hits, copies * trials).interval(confidence)
    # Narrower only where more trials were told from the variance than there had been.
    assert more[0] >= plain[0] - ROOT
    assert more[1] <= plain[1] + ROOT


@given(clusters=st.integers(2, 40), each=st.integers(1, 10), confidence=confidences)
def test_all_hits_count_for_more_than_one_trial_a_cluster_and_less_than_all(
    clusters: int, each: int, confidence: float
) -> None:
    trials = np.full(clusters, each)
    tail = (1 - confidence) / 2
    low, high = clustered_proportion("0", trials, trials).interval(confidence)
    assert high == 1
    assert tail ** (1 / clusters) - ROOT <= low <= tail ** (1 / trials.sum()) + ROOT
    assert low <= tail ** (0.3 / clusters) + ROOT  # however many trials a cluster has
    none = clustered_proportion("0", 0 * trials, trials).interval(confidence)
    assert none == pytest.approx((0, 1 - low))


def test_a_perfect_share_is_known_nearly_as_well_as_one_with_a_single_miss() -> None:
    trials = np.full(30, 8)
    missed = trials.copy()
    missed[0] -= 1
    low, below = (clustered_proportion("0", hits, trials).interval(0.95)[0] for hits in (trials, missed))
    assert 0.025 ** (1 / 30) < 0.9 < low < below < low + 0.03  # with one trial a cluster it would be far worse known


def test_clusters_that_are_all_alike_have_every_trial() -> None:
    hits, trials = np.array([1, 1, 1]), np.array([4, 4, 4])
    assert clustered_proportion("0", hits, trials).interval() == pytest.approx(proportion("0", 3, 12).interval())


# --- Nulls ------------------------------------------------------------------------------------------------------------


@given(seed=seeds, draws=st.integers(1, 200), data=st.data())
def test_the_null_quantile_is_an_order_statistic_of_the_sample(seed: int, draws: int, data: st.DataObject) -> None:
    values = sample(seed, draws)
    place = data.draw(st.integers(1, draws))
    # At level k / (n + 1) the k-th smallest, exactly, although k / (n + 1) is rounded.
    assert quantile(values, float(Fraction(place, draws + 1))) == np.sort(values)[place - 1]


@given(seed=seeds, draws=st.integers(1, 60), level=st.floats(0.01, 0.999))
def test_exchangeable_values_exceed_their_null_quantile_no_more_often_than_the_level_allows(
    seed: int, draws: int, level: float
) -> None:
    # The theorem behind it: with the observed value one of n + 1 exchangeable ones, count over which one it is.
    values = sample(seed, draws + 1)
    above = sum(value > quantile(np.delete(values, index), level) for index, value in enumerate(values))
    if level <= draws / (draws + 1):
        assert above <= (1 - level) * (draws + 1) + 1e-6
    else:  # too few draws for the level: the largest of them, as documented
        assert above == 1


@given(seed=seeds, draws=st.integers(1, 60), first=st.floats(0.01, 0.999), second=st.floats(0.01, 0.999))
def test_the_null_quantile_grows_with_the_level_and_ignores_order(
    seed: int, draws: int, first: float, second: float
) -> None:
    values = sample(seed, draws)
    low, high = sorted((first, second))
    assert quantile(values, low) <= quantile(values, high)
    assert quantile(values[::-1], low) == quantile(values, low)
    assert quantile(np.stack([values, values + 1]), low) == quantile(np.concatenate([values, values + 1]), low)


# --- Holm intervals ---------------------------------------------------------------------------------------------------


@given(seed=seeds, size=st.integers(1, 6), confidence=confidences)
def test_holm_intervals_step_down_from_bonferroni_to_the_plain_level(seed: int, size: int, confidence: float) -> None:
    estimates = [bootstrap_mean(str(index), sample(seed + index, 12)) for index in range(size)]
    found = holm_intervals(estimates, lambda value: value, confidence)
    assert [one.label for one in found] == [one.label for one in estimates]
    by_margin = sorted(found, key=lambda one: -one.value)
    errors = [(1 - confidence) / (size - place) for place in range(size)]
    assert [1 - one.confidence for one in by_margin] == pytest.approx(errors)
    for estimate, one in zip(estimates, found, strict=True):
        plain, bonferroni = estimate.interval(confidence), estimate.interval(1 - (1 - confidence) / size)
        assert bonferroni[0] - ROOT <= one.low <= plain[0] + ROOT
        assert plain[1] - ROOT <= one.high <= bonferroni[1] + ROOT


@given(seed=seeds, size=st.integers(1, 6), bound=st.floats(-1, 1))
def test_all_holm_intervals_lie_inside_exactly_when_the_step_down_rejects_all(
    seed: int, size: int, bound: float
) -> None:
    # Slow twin: Holm's procedure on one-sided normal p-values of "the value is above the bound", at alpha / 2.
    values = sample(seed, size)

    def normal(index: int) -> Estimate:
        def limits(confidence: float) -> tuple[float, float]:
            reach = float(stats.norm.isf((1 - confidence) / 2))
            return values[index] - reach, values[index] + reach

        return Estimate(str(index), float(values[index]), limits=limits)

    found = holm_intervals([normal(k) for k in range(size)], lambda value: value - bound, 0.9)
    p_values = np.sort(stats.norm.sf(values - bound))
    rejected = bool((p_values * np.arange(size, 0, -1) < 0.05).all())
    assert all(one.low > bound for one in found) == rejected


# --- Bootstrap --------------------------------------------------------------------------------------------------------


@given(seed=seeds, clusters=st.integers(2, 30), stream=seeds)
def test_the_bootstrap_is_fixed_by_its_seed(seed: int, clusters: int, stream: int) -> None:
    values = sample(seed, clusters)
    first, second, other = (
        bootstrap("0", values, np.exp, seed=number, resamples=50).replicates for number in (stream, stream, stream + 1)
    )
    assert first is not None
    assert second is not None
    assert other is not None
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_draws_are_the_same_in_every_process_and_cannot_be_written_to() -> None:
    first = resample_counts(5, 40, 3)
    resample_counts.cache_clear()
    again = resample_counts(5, 40, 3)
    assert again is not first
    assert np.array_equal(again, first)
    assert (first.sum(axis=1) == 5).all()
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


@given(seed=seeds, clusters=st.integers(2, 30), slope=st.floats(-5, 5), shift=st.floats(-5, 5))
def test_the_bootstrap_of_an_affine_statistic_is_affine(seed: int, clusters: int, slope: float, shift: float) -> None:
    values = sample(seed, clusters)
    plain = bootstrap("0", values, float, resamples=50)
    moved = bootstrap("0", slope * values + shift, float, resamples=50)
    assert plain.replicates is not None
    assert moved.replicates is not None
    assert moved.value == pytest.approx(slope * plain.value + shift, abs=rounding(clusters, 100.0))
    assert distance(moved.replicates, slope * plain.replicates + shift) <= rounding(clusters, 100.0)


@given(seed=seeds, clusters=st.integers(2, 40))
def test_bootstrap_means_have_the_known_mean_and_variance(seed: int, clusters: int) -> None:
    # A mean of n of n drawn with replacement has the sample's mean and its population variance over n.
    values = np.tanh(sample(seed, clusters))  # within -1..1, for Hoeffding
    found = bootstrap_mean("0", values).replicates
    assert found is not None
    assert found.mean() == pytest.approx(values.mean(), abs=hoeffding(len(found), spread=2.0))
    squares = (found - values.mean()) ** 2 * clusters / max(values.var(), 1e-12)
    # The standardised squares have mean 1 and, with so many replicates, a mean within a factor of two of it.
    assert 0.5 < squares.mean() < 2.0


@given(seed=seeds, clusters=st.integers(2, 400))
def test_a_vectorized_statistic_gives_what_it_gives_one_by_one(seed: int, clusters: int) -> None:
    columns = 3 + sample(seed, 2 * clusters).reshape(clusters, 2) % 1
    slow = bootstrap("0", columns, lambda mean: float(mean[0] / mean[1]), resamples=30)
    stacked = bootstrap("0", columns, lambda means: means[:, 0] / means[:, 1], vectorized=True, resamples=30)
    assert (slow.value, slow.acceleration, slow.freedom) == (stacked.value, stacked.acceleration, stacked.freedom)
    np.testing.assert_array_equal(slow.replicates, stacked.replicates)
    default, ratio = bootstrap("0", columns, lambda mean: float(mean[0] / mean[1])), bootstrap_ratio("0", columns)
    for field in fields(Estimate):
        np.testing.assert_array_equal(getattr(default, field.name), getattr(ratio, field.name), field.name)


@given(seed=seeds, clusters=st.integers(5, 30))
def test_the_bootstrap_over_counts_agrees_with_resampling_the_clusters(seed: int, clusters: int) -> None:
    # Slow twin: scipy calls the statistic on every resample of whole clusters.
    values = sample(seed, clusters)
    slow = stats.bootstrap(
        (values,), lambda x, axis: np.exp(x.mean(axis=axis)), n_resamples=400, method="percentile", rng=seed
    )
    fast = bootstrap("0", values, np.exp, seed=seed, resamples=400)
    assert fast.value == pytest.approx(np.exp(values.mean()))
    assert stats.ks_2samp(slow.bootstrap_distribution, fast.replicates).pvalue > 1e-9


@given(seed=seeds, clusters=st.integers(3, 30), confidence=confidences)
def test_the_bootstrap_leaves_out_each_cluster_once(seed: int, clusters: int, confidence: float) -> None:
    values = sample(seed, 2 * clusters).reshape(clusters, 2)

    def statistic(mean: Array) -> float:
        return float(np.exp(mean[0]) + mean[1])

    found = bootstrap("0", values, statistic, resamples=100)
    left_out = np.array([statistic(np.delete(values, k, axis=0).mean(axis=0)) for k in range(clusters)])
    assert found.acceleration == pytest.approx(acceleration(left_out), abs=1e-9)
    assert found.freedom == pytest.approx(freedom(left_out), rel=1e-6)
    assert (found.count, found.clusters) == (clusters, clusters)
    assert found.replicates is not None
    assert found.interval(confidence) == replicate_interval(
        found.value,
        found.replicates,
        confidence,
        skew=found.acceleration,
        clusters=clusters,
        freedom=found.freedom,
    )


def test_narrow_floats_are_averaged_as_wide_ones_are() -> None:
    narrow = (1e6 + np.random.default_rng(0).random(1000)).astype(np.float32)
    found, wide = bootstrap_mean("0", cast(Array, narrow)), bootstrap_mean("0", narrow.astype(np.float64))
    assert (found.value, found.interval()) == (wide.value, wide.interval())


@pytest.mark.parametrize("shift", [0.0, 0.2, -0.2])
def test_a_statistic_may_be_a_yes_or_no(shift: float) -> None:
    values = sample(0, 20) + shift
    answers = bootstrap("0", values, lambda mean: bool(mean > 0))
    numbers = bootstrap("0", values, lambda mean: float(mean > 0))
    assert (answers.value, answers.interval()) == (numbers.value, numbers.interval())


def test_the_bootstrap_of_many_clusters_draws_blocks_of_them() -> None:
    values = sample(0, 1001)
    found = bootstrap_mean("0", values)
    assert (found.count, found.clusters, len(found.replicates if found.replicates is not None else [])) == (
        1001,
        300,
        RESAMPLES,
    )
    sums = [block.sum() for block in np.split(values, np.linspace(0, 1001, 301).astype(int)[1:-1])]
    sizes = np.diff(np.linspace(0, 1001, 301).astype(int))
    left_out = np.array([(values.sum() - one) / (1001 - size) for one, size in zip(sums, sizes, strict=True)])
    assert found.acceleration == pytest.approx(acceleration(left_out), abs=1e-9)


def test_replicates_suffice_for_the_first_of_twenty_levels() -> None:
    # In each tail at 1 - .05 / 20, of so many replicates, lies one; what lies beyond the fifth is drawn on from there.
    assert 0.05 / 20 / 2 * (RESAMPLES + 1) >= 1


def test_an_estimate_made_elsewhere_has_as_many_clusters_as_samples() -> None:
    drawn = sample(0, 99)
    given, counted = Estimate("0", 0.0, drawn, count=9, clusters=5), Estimate("0", 0.0, drawn, count=9)
    assert (given.clusters, counted.clusters, Estimate("0", 0.0, drawn).clusters) == (5, 9, 0)
    assert (counted.acceleration, counted.freedom) == (0.0, 0.0)
    assert counted.interval(0.9) == replicate_interval(0.0, drawn, 0.9, clusters=9)
    assert Estimate("0", 0.0, drawn).interval(0.9) == replicate_interval(0.0, drawn, 0.9)
    assert exact("0", 2.0, count=3) == Estimate("0", 2.0, count=3, clusters=3)


def test_limits_take_the_place_of_replicates() -> None:
    found = Estimate("0", 0.0, sample(0, 99), limits=lambda confidence: (-confidence, confidence))
    assert found.interval(0.9) == (-0.9, 0.9)


@given(constant=st.floats(-100, 100), clusters=st.integers(2, 400))
def test_clusters_that_are_all_alike_have_no_sampling_error(constant: float, clusters: int) -> None:
    found = bootstrap_mean("0", np.full(clusters, constant))
    assert found.interval(0.99) == pytest.approx((constant, constant), abs=rounding(clusters, 1 + abs(constant)))


@given(seed=seeds, clusters=st.integers(1, 400), groups=st.integers(1, 300))
def test_grouping_keeps_the_mean_and_loses_no_cluster(seed: int, clusters: int, groups: int) -> None:
    values = sample(seed, clusters * 2).reshape(clusters, 2)
    blocks = grouped(values, groups)
    assert len(blocks) == min(clusters, groups)
    assert distance(blocks.mean(axis=0), values.mean(axis=0)) <= rounding(clusters)
    # Each cluster counts once: an indicator of any one of them is found in one block only.
    marked = np.zeros(clusters)
    marked[seed % clusters] = 1.0
    assert np.count_nonzero(grouped(marked, groups)) == 1


@given(seed=seeds, clusters=st.integers(2, 20), groups=st.integers(2, 20))
def test_grouping_keeps_the_variance_of_the_mean_on_average(seed: int, clusters: int, groups: int) -> None:
    # Blocks of equal size: the population variance of block means, times the block size, estimates that of clusters.
    many = sample(seed, 400 * clusters * groups).reshape(400, clusters * groups)
    blocks = np.array([grouped(row, groups) for row in many])
    # Var of a block mean is 1 / clusters; 400 groups of them estimate it to sqrt(2 / (400 groups)), taken ten times.
    assert blocks.var() * clusters == pytest.approx(1.0, abs=10 * math.sqrt(2 / (400 * groups)))


def test_no_interval_passes_what_a_value_can_be() -> None:
    clusters = np.array([0.0] * 18 + [1.0, 30.0])

    def ratio(mean: np.ndarray) -> float:
        return float(mean)

    free = bootstrap("ratio", clusters, ratio)
    kept = bootstrap("ratio", clusters, ratio, possible=(0.5, 2.0))
    assert free.interval(0.999)[0] < 0.5
    assert kept.interval(0.999) == (0.5, max(2.0, kept.value))


# --- Bad calls --------------------------------------------------------------------------------------------------------

PAIR = np.ones(2, dtype=np.int64)
BAD: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Estimate("x", 0.0, np.zeros((2, 2))),
        "replicates: expected (b) finite numbers for 'x', got shape (2, 2) with 0 that are NaN or infinite",
    ),
    (
        lambda: Estimate("x", 0.0, np.zeros(0)),
        "replicates: expected (b) finite numbers for 'x', got shape (0,) with 0 that are NaN or infinite",
    ),
    (
        lambda: Estimate("x", 0.0, np.array([0.0, math.nan, math.inf])),
        "replicates: expected (b) finite numbers for 'x', got shape (3,) with 2 that are NaN or infinite",
    ),
    (lambda: exact("x", 0.0).interval(95), "confidence: expected a number strictly between 0 and 1, got 95"),
    (lambda: exact("x", math.inf), "value: expected a finite number for 'x', got inf"),
    (lambda: proportion("x", 0, 0), "trials: expected an integer of at least 1, got 0"),
    (lambda: proportion("x", 4, 3), "hits: expected 0..3, got 4"),
    (lambda: proportion("x", -1, 3), "hits: expected 0..3, got -1"),
    (
        lambda: clustered_proportion("x", PAIR[:1], PAIR[:1]),
        "hits: expected (k) with trials (k), at least 2 clusters, got (1,) and (1,)",
    ),
    (
        lambda: clustered_proportion("x", PAIR, PAIR[:1]),
        "hits: expected (k) with trials (k), at least 2 clusters, got (2,) and (1,)",
    ),
    (
        lambda: clustered_proportion("x", PAIR[:, None], PAIR[:, None]),
        "hits: expected (k) with trials (k), at least 2 clusters, got (2, 1) and (2, 1)",
    ),
    (lambda: clustered_proportion("x", 0 * PAIR, 0 * PAIR), "trials: expected at least 1 in each cluster, got 0"),
    (lambda: clustered_proportion("x", 2 * PAIR, PAIR), "hits: expected counts between 0 and trials"),
    (lambda: clustered_proportion("x", -PAIR, PAIR), "hits: expected counts between 0 and trials"),
    (lambda: bootstrap("x", np.ones(3), float, resamples=0), "resamples: expected an integer of at least 1, got 0"),
    (lambda: bootstrap("x", np.ones(1), float), "clusters: expected at least 2, got shape (1,)"),
    (lambda: bootstrap("x", np.array(1.0), float), "clusters: expected at least 2, got shape ()"),
    (
        lambda: bootstrap("x", np.array([1.0, math.nan]), float),
        "x: expected a finite statistic on every resample, got NaN or infinity",
    ),
    (
        lambda: bootstrap("x", np.array([1.0, 2.0, 3.0]), lambda mean: float(mean) if mean == 2 else math.inf),
        "x: expected a finite statistic on every resample, got NaN or infinity",
    ),
    (
        lambda: bootstrap("x", np.array([1.0, 2.0, 3.0]), lambda mean: math.nan if mean == 2 else float(mean)),
        "x: expected a finite statistic on every resample, got NaN or infinity",
    ),
    (
        # Drawn with this seed, no resample leaves out just the one.
        lambda: bootstrap("x", np.arange(9.0), lambda m: float(m) if m != 4.5 else math.nan, resamples=1),
        "x: expected a finite statistic on every resample, got NaN or infinity",
    ),
    (
        lambda: bootstrap_ratio("x", np.column_stack([np.ones(3), np.zeros(3)])),
        "x: expected a finite statistic on every resample, got NaN or infinity",
    ),
    (
        lambda: bootstrap("x", np.ones(3), lambda means: means[:1], vectorized=True),
        "statistic: expected a number for each of 999 means, got shape (1,)",
    ),
    (
        lambda: bootstrap_ratio("x", np.zeros((3, 2))),
        "x: expected a finite statistic on every resample, got NaN or infinity",
    ),
    (lambda: grouped(np.ones(3), 0), "groups: expected an integer of at least 1, got 0"),
    (lambda: holm_intervals([], float), "estimates: expected at least one, got none"),
    (lambda: quantile(np.ones(3), 99.9), "level: expected a number strictly between 0 and 1, got 99.9"),
    (lambda: quantile(np.ones(0), 0.9), "values: expected at least one draw of the null, got none"),
    (
        lambda: quantile(np.array([1.0, math.nan, math.inf]), 0.9),
        "values: expected finite draws, got NaN or infinity in 2 of 3",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_call_says_what_was_expected_and_what_came(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        call()


def test_the_first_seed_is_0() -> None:
    plain, first = (bootstrap("0", sample(0, 9), float, **options) for options in ({}, {"seed": 0}))  # type: ignore[arg-type]
    assert plain.replicates is not None
    assert first.replicates is not None
    assert plain.replicates.tolist() == first.replicates.tolist()
    # Blocks of matrices are means of matrices.
    matrices = sample(0, 4 * 3).reshape(4, 3, 1)
    assert distance(grouped(matrices, 2), matrices.reshape(2, 2, 3, 1).mean(axis=1)) <= ROOT


def test_names_and_counts_come_through() -> None:
    trials = np.array([4, 4])
    assert proportion("p", 1, 4).label == "p"
    assert (proportion("p", 1, 4).count, proportion("p", 1, 4).clusters) == (4, 4)
    assert clustered_proportion("c", trials - 1, trials).label == "c"
    assert bootstrap("b", sample(0, 5), float).label == bootstrap_mean("b", sample(0, 5)).label == "b"
    assert exact("e", 1.0) == Estimate("e", 1.0, count=0)
    default = holm_intervals([exact("h", 1.0)], float)[0]
    assert (default.label, default.value, default.confidence) == ("h", 1.0, 0.95)
    assert exact("e", 1.0).interval() == (1.0, 1.0)
    assert proportion("p", 1, 4).interval() == proportion("p", 1, 4).interval(0.95)
