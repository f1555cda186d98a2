"""Where intervals end: BCa levels against scipy, quantiles far out, binomial limits with numbers that are not whole."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from ace.arrays import Array
from ace.errors import InputError
from ace.intervals import (
    FAR,
    FEWEST,
    NEAR,
    UNBIASED,
    acceleration,
    bias,
    binomial_limits,
    corrected,
    effective_limits,
    effective_trials,
    freedom,
    reach,
    replicate_interval,
    tail_quantile,
)
from invariants.properties.strategies import gaussian, seeds

ROOT = 1e-9  # scipy's quantiles of Student's t and of beta, far below this
confidences = st.floats(0.5, 0.999)
sizes = st.integers(60, 400)
slopes = st.floats(0.01, 100.0)


def skewed(seed: int, size: int) -> Array:
    """(size) log-normal values."""
    return np.exp(np.asarray(gaussian(seed, size).numpy()) / 2)


# --- Levels -----------------------------------------------------------------------------------------------------------


@given(seed=seeds, size=st.integers(15, 40), confidence=confidences)
def test_levels_are_those_of_scipys_bca(seed: int, size: int, confidence: float) -> None:
    # Slow twin: scipy draws replicates, leaves out one value at a time, and takes quantiles at its levels. With fewer
    # values some resamples are all of them, which scipy counts as ties or not as rounding has it.
    values = skewed(seed, size)
    slow = stats.bootstrap(
        (values,),
        lambda x, axis: np.exp(x.mean(axis=axis)),
        n_resamples=400,
        confidence_level=confidence,
        method="BCa",
        rng=seed,
    )
    drawn = slow.bootstrap_distribution
    shift = bias(float(np.exp(values.mean())), drawn)
    skew = acceleration(np.array([np.exp(np.delete(values, k).mean()) for k in range(size)]))
    away = reach((1 - confidence) / 2)
    levels = stats.norm.cdf([corrected(-away, shift, skew), corrected(away, shift, skew)])
    assert np.quantile(drawn, levels) == pytest.approx(np.array(slow.confidence_interval), abs=1e-6)


@given(confidence=confidences, clusters=st.integers(2, 500))
def test_the_reach_is_students_with_the_spread_of_a_sample(confidence: float, clusters: int) -> None:
    tail = (1 - confidence) / 2
    expected = stats.t.isf(tail, clusters - 1) * math.sqrt(clusters / (clusters - 1))
    assert reach(tail, clusters) == pytest.approx(expected, rel=ROOT)
    assert reach(tail) == reach(tail, 1) == pytest.approx(stats.norm.isf(tail), rel=ROOT)
    assert reach(tail, clusters + 1) < reach(tail, clusters)
    assert reach(tail, clusters) > reach(tail)
    assert reach(tail, clusters, clusters - 1) == reach(tail, clusters)
    wider = stats.t.isf(tail, 2.5) * math.sqrt(clusters / (clusters - 1))
    assert reach(tail, clusters, 2.5) == pytest.approx(wider, rel=ROOT)


@given(seed=seeds, size=st.integers(3, 40), slope=slopes, shift=st.floats(-10, 10))
def test_the_acceleration_of_a_mean_is_a_sixth_of_its_skewness(
    seed: int, size: int, slope: float, shift: float
) -> None:
    values = skewed(seed, size)
    left_out = np.array([np.delete(values, k).mean() for k in range(size)])
    found = acceleration(left_out)
    assert found == pytest.approx(stats.skew(values) / (6 * math.sqrt(size)), abs=1e-9)
    assert -1 / 6 <= found <= 1 / 6
    assert acceleration(slope * left_out + shift) == pytest.approx(found, abs=1e-6)
    assert acceleration(-left_out) == pytest.approx(-found, abs=1e-9)
    assert acceleration(np.append(left_out, [np.nan, np.inf])) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("values", [[], [np.nan], [0.0, 0.0], [3.0, 3.0, 3.0 + 1e-15]])
def test_values_that_are_alike_but_for_rounding_have_no_acceleration(values: list[float]) -> None:
    assert acceleration(np.array(values)) == 0.0


def test_the_acceleration_of_one_cluster_that_stands_out_is_the_largest() -> None:
    assert acceleration(np.array([0.0] * 999 + [-1.0])) == pytest.approx(1 / 6, abs=2e-3)


@given(seed=seeds, size=st.integers(10, 200), slope=slopes, shift=st.floats(-10, 10))
def test_the_bias_is_the_normal_quantile_of_the_share_below(seed: int, size: int, slope: float, shift: float) -> None:
    drawn = skewed(seed, size)
    value = float(drawn[0])  # a tie with itself
    share = np.mean([1.0 if one < value else 0.5 if one == value else 0.0 for one in drawn])
    assert bias(value, drawn) == pytest.approx(stats.norm.ppf(share), abs=1e-12)
    assert bias(slope * value + shift, slope * drawn + shift) == pytest.approx(bias(value, drawn), abs=1e-12)
    assert bias(-value, -drawn) == pytest.approx(-bias(value, drawn), abs=1e-9)
    # Beyond all of them, as if half of one lay there.
    assert bias(float(drawn.max()) + 1, drawn) == pytest.approx(stats.norm.isf(0.5 / size))
    assert bias(float(drawn.min()) - 1, drawn) == pytest.approx(stats.norm.ppf(0.5 / size))
    assert bias(value, np.full(size, value)) == 0.0


def test_replicates_that_differ_from_the_value_by_rounding_count_as_equal_to_it() -> None:
    assert bias(0.3, np.array([0.1 + 0.2, 0.1 + 0.2, 0.2, 0.4])) == 0.0


@given(away=st.floats(-4, 4), shift=st.floats(-0.5, 0.5), skew=st.floats(-0.16, 0.16), step=st.floats(0.01, 1))
def test_corrected_quantiles_rise_with_the_reach_and_are_plain_without_bias_and_skew(
    away: float, shift: float, skew: float, step: float
) -> None:
    assert corrected(away) == away
    assert corrected(away, shift) == pytest.approx(away + 2 * shift, abs=1e-12)
    assert corrected(away, shift, skew) < corrected(away + step, shift, skew)
    assert corrected(-away, -shift, -skew) == pytest.approx(-corrected(away, shift, skew), abs=1e-12)


def test_an_interval_has_no_end_where_the_correction_turns_over() -> None:
    # 1 - a (z0 + z) is 0 at z0 + z = 8, -8: beyond, few clusters say nothing about that side.
    assert corrected(7.5, 0.0, 0.125) == 7.5 / (1 - 7.5 / 8)
    assert corrected(8.0, 0.0, 0.125) == corrected(20.0, 0.0, 0.125) == math.inf
    assert corrected(-8.0, 0.0, -0.125) == corrected(-20.0, 0.0, -0.125) == -math.inf
    assert corrected(-20.0, 0.0, 0.125) == pytest.approx(-20 / 3.5)
    assert corrected(6.0, 1.0, 0.125) == 1 + 7 / (1 - 7 / 8)


@given(
    seed=seeds, size=st.integers(4, 400), slope=slopes, shift=st.floats(-10, 10), shape=st.sampled_from([0.0, 0.3, 1.0])
)
def test_degrees_of_freedom_are_those_of_a_variance_of_such_values(
    seed: int, size: int, slope: float, shift: float, shape: float
) -> None:
    normal = np.asarray(gaussian(seed, size).numpy())
    values = np.sinh(shape * normal) if shape > 0 else normal  # heavier tails
    left_out = np.array([np.delete(values, k).mean() for k in range(size)])
    # Slow twin: scipy's unbiased kurtosis.
    kurtosis = max(float(stats.kurtosis(values, bias=False)), 0.0)
    expected = min(size - 1, max(FEWEST, 2 / (2 / (size - 1) + kurtosis / size)))
    found = freedom(left_out)
    assert found == pytest.approx(expected, rel=1e-6)
    assert freedom(slope * left_out + shift) == pytest.approx(found, rel=1e-4)
    assert freedom(-left_out) == pytest.approx(found, rel=1e-9)
    assert freedom(np.append(left_out, np.nan)) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 1), ([1.0], 1), ([1.0, 2.0], 1), ([1.0, 2.0, 9.0], 2), ([3.0] * 5, 4), ([0.0] * 5 + [1.0], 5)],
)
def test_few_values_and_values_that_are_alike_have_all_degrees_of_freedom(values: list[float], expected: float) -> None:
    assert freedom(np.array(values)) == expected


@pytest.mark.parametrize("unit", [1e-120, 1e120])
def test_shape_is_known_of_numbers_whose_powers_float64_cannot_hold(unit: float) -> None:
    left_out = skewed(0, 30)
    assert acceleration(unit * left_out) == pytest.approx(acceleration(left_out))
    assert freedom(unit * left_out) == pytest.approx(freedom(left_out))


def test_one_cluster_that_stands_out_leaves_the_fewest_degrees_of_freedom() -> None:
    assert freedom(np.array([0.0] * 99 + [1.0])) == FEWEST == 5
    assert freedom(np.tile([0.0, 1.0], 50)) == pytest.approx(99)


# --- Quantiles --------------------------------------------------------------------------------------------------------


@given(seed=seeds, size=sizes, level=st.floats(0.001, 0.999))
def test_quantiles_lie_between_order_statistics(seed: int, size: int, level: float) -> None:
    ordered = np.sort(skewed(seed, size))
    place = level * (size + 1)
    if NEAR <= place <= size + 1 - NEAR:
        expected = np.quantile(ordered, level, method="weibull")
        assert tail_quantile(ordered, float(stats.norm.ppf(level))) == pytest.approx(expected)


@given(seed=seeds, size=sizes, scores=st.tuples(st.floats(-40, 40), st.floats(-40, 40)))
def test_quantiles_rise_with_the_level_and_mirror(seed: int, size: int, scores: tuple[float, float]) -> None:
    ordered = np.sort(skewed(seed, size))
    low, high = sorted(scores)
    assert tail_quantile(ordered, low) <= tail_quantile(ordered, high) + ROOT
    assert -tail_quantile(-ordered[::-1], -low) == pytest.approx(tail_quantile(ordered, low), abs=ROOT)


@given(size=st.integers(2 * FAR - 1, 3000), score=st.floats(-38, 0), slope=slopes, shift=st.floats(-10, 10))
def test_the_tail_of_normal_replicates_is_normal(size: int, score: float, slope: float, shift: float) -> None:
    ordered = slope * stats.norm.ppf(np.arange(1, size + 1) / (size + 1)) + shift
    found, expected = tail_quantile(ordered, score), slope * score + shift
    if stats.norm.cdf(score) * (size + 1) <= 1:
        assert found == pytest.approx(expected, abs=1e-6 * slope + ROOT)
    elif stats.norm.cdf(score) * (size + 1) < NEAR:  # a straight line between two order statistics is farther out
        assert expected - 0.3 * slope <= found <= expected + 1e-6 * slope + ROOT


def test_a_tail_reaches_at_least_as_far_as_the_replicates() -> None:
    # Between the fifth and the 25th from the end all are alike, so the line is flat, and the smallest is far out.
    ordered = np.concatenate([[-9.0], np.zeros(98)])
    assert [tail_quantile(ordered, score) for score in (-2.33, -4.0, -math.inf)] == [-9.0] * 3
    assert tail_quantile(ordered, -1.6) == 0
    assert -9 < tail_quantile(ordered, -2.2) < 0


def test_a_tail_starts_below_the_fifth_replicate() -> None:
    # The lowest five are all alike, so that only the line can lie below them.
    ordered = np.concatenate([np.zeros(5), np.arange(1.0, 95.0)])
    fifth = float(stats.norm.ppf(5 / 100))
    assert tail_quantile(ordered, fifth + 1e-9) == pytest.approx(0.0, abs=1e-6)
    assert tail_quantile(ordered, fifth - 0.1) == pytest.approx(-0.1 * 20 / (stats.norm.ppf(25 / 100) - fifth))


@pytest.mark.parametrize("size", [1, 2, 2 * FAR - 2])
def test_few_replicates_have_no_tail_beyond_them(size: int) -> None:
    ordered = np.arange(size, dtype=float)
    assert tail_quantile(ordered, -5.0) == 0.0
    assert tail_quantile(ordered, 5.0) == size - 1


def test_as_many_replicates_as_the_line_needs_have_a_tail() -> None:
    ordered = stats.norm.ppf(np.arange(1, 2 * FAR) / (2 * FAR))
    assert tail_quantile(ordered, -5.0) == pytest.approx(-5.0)


def test_the_ends_of_the_scale_are_finite() -> None:
    ordered = stats.norm.ppf(np.arange(1, 100) / 100)
    assert tail_quantile(ordered, -math.inf) == pytest.approx(-38.0)
    assert tail_quantile(ordered, math.inf) == pytest.approx(38.0)


# --- Intervals of replicates ------------------------------------------------------------------------------------------


@given(
    seed=seeds,
    size=sizes,
    confidence=confidences,
    skew=st.floats(-0.1, 0.1),
    clusters=st.integers(3, 300),
    fewer=st.floats(1.0, 2.0),
)
def test_an_interval_is_its_two_quantiles_and_holds_the_value(
    seed: int, size: int, confidence: float, skew: float, clusters: int, fewer: float
) -> None:
    drawn = skewed(seed, size)
    value = float(np.median(drawn))
    degrees = (clusters - 1) / fewer
    low, high = replicate_interval(value, drawn, confidence, skew=skew, clusters=clusters, freedom=degrees)
    away, shift, ordered = reach((1 - confidence) / 2, clusters, degrees), bias(value, drawn), np.sort(drawn)
    assert abs(shift) <= UNBIASED
    assert low == min(value, tail_quantile(ordered, corrected(-away, shift, skew)))
    assert high == max(value, tail_quantile(ordered, corrected(away, shift, skew)))
    mirrored = replicate_interval(-value, -drawn, confidence, skew=-skew, clusters=clusters, freedom=degrees)
    assert mirrored == pytest.approx((-high, -low), rel=1e-6)


@given(seed=seeds, size=sizes, confidence=confidences, fold=st.floats(0.0, 0.3))
def test_a_folded_value_near_0_is_given_what_plain_percentiles_say_too(
    seed: int, size: int, confidence: float, fold: float
) -> None:
    drawn = np.abs(np.asarray(gaussian(seed, size).numpy()))
    assume(bias(fold, drawn) < -UNBIASED)
    low, high = replicate_interval(fold, drawn, confidence)
    plain = replicate_interval(float(np.median(drawn)), drawn, confidence)
    assert low <= fold
    assert high >= plain[1] - 1e-6


@pytest.mark.parametrize(("shift", "trusted"), [(0.48, True), (0.52, False), (-0.48, True), (-0.52, False)])
def test_a_bias_is_trusted_up_to_half_a_standard_error(shift: float, trusted: bool) -> None:
    drawn = stats.norm.ppf(np.arange(1, 10000) / 10000)
    assert bias(shift, drawn) == pytest.approx(shift, abs=0.01)
    low, high = 2 * shift - 1.96, 2 * shift + 1.96
    if not trusted:  # what is not corrected is held as well
        low, high = min(low, -1.96), max(high, 1.96)
    assert replicate_interval(shift, drawn, 0.95) == pytest.approx((low, high), abs=0.01)


def test_a_value_outside_its_replicates_lies_in_its_interval() -> None:
    drawn = np.linspace(0, 1, 99)
    assert replicate_interval(9.0, drawn, 0.9)[1] == 9.0
    assert replicate_interval(-9.0, drawn, 0.9)[0] == -9.0
    # and what is not corrected reaches as far as the percentiles do.
    assert replicate_interval(9.0, drawn, 0.9)[0] == pytest.approx(np.quantile(drawn, 0.05, method="weibull"))
    assert replicate_interval(-9.0, drawn, 0.9)[1] == pytest.approx(np.quantile(drawn, 0.95, method="weibull"))


# --- Proportions ------------------------------------------------------------------------------------------------------


@given(data=st.data(), trials=st.integers(1, 80), confidence=confidences)
def test_whole_numbers_have_scipys_exact_limits(data: st.DataObject, trials: int, confidence: float) -> None:
    hits = data.draw(st.integers(0, trials))
    ends = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert binomial_limits(hits, trials, confidence) == pytest.approx((ends.low, ends.high), abs=ROOT)


@given(share=st.floats(0.01, 0.99), trials=st.floats(1, 200), confidence=confidences)
def test_limits_of_broken_numbers_lie_between_those_of_whole_ones(
    share: float, trials: float, confidence: float
) -> None:
    hits = share * trials
    low, high = binomial_limits(hits, trials, confidence)
    assert 0 <= low < share < high <= 1
    # The two limits are one function, seen from either end.
    assert binomial_limits(trials - hits, trials, confidence) == pytest.approx((1 - high, 1 - low), abs=ROOT)
    wider = binomial_limits(hits, trials, (1 + confidence) / 2)
    assert wider[0] < low or low < ROOT
    assert wider[1] > high or high > 1 - ROOT
    assert binomial_limits(2 * hits, 2 * trials, confidence)[0] > low


@given(share=st.floats(0.01, 0.99), trials=st.floats(1, 200), most=st.floats(1, 200))
def test_trials_are_told_from_the_variance_and_are_no_more_than_there_are(
    share: float, trials: float, most: float
) -> None:
    variance = share * (1 - share) / trials
    assert effective_trials(share, variance, most) == pytest.approx(min(trials, most))
    assert effective_trials(share, 0.0, most) == most


@given(share=st.floats(0.01, 0.99), trials=st.floats(1, 200), clusters=st.integers(2, 300), confidence=confidences)
def test_a_variance_that_few_clusters_know_makes_fewer_trials(
    share: float, trials: float, clusters: int, confidence: float
) -> None:
    variance = share * (1 - share) / trials
    tail = (1 - confidence) / 2
    known = (stats.norm.isf(tail) / reach(tail, clusters)) ** 2 * trials
    found = effective_limits(share, variance, 1e6, confidence, clusters)
    assert found == pytest.approx(binomial_limits(share * known, known, confidence), abs=1e-7)
    capped = effective_limits(share, variance, known / 2, confidence, clusters)
    assert capped == pytest.approx(binomial_limits(share * known / 2, known / 2, confidence), abs=1e-7)


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: binomial_limits(1, 2, 95), "confidence: expected a number strictly between 0 and 1, got 95"),
    (lambda: binomial_limits(0, 0, 0.95), "trials: expected a positive number, got 0"),
    (lambda: binomial_limits(0, -1, 0.95), "trials: expected a positive number, got -1"),
    (lambda: binomial_limits(0, math.nan, 0.95), "trials: expected a positive number, got nan"),
    (lambda: binomial_limits(3, 2.5, 0.95), "hits: expected 0..2.5, got 3"),
    (lambda: binomial_limits(-1, 2, 0.95), "hits: expected 0..2, got -1"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_call_says_what_was_expected_and_what_came(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        call()
