"""Quantities of AUC, accuracy and separation with their intervals, against plain loops; values at their edge."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ace.arrays import Array, Ints
from ace.auc import discriminate, separations, simple_auc
from ace.discrimination import FEW, Discrimination, Quantities, Quantity
from ace.errors import InputError
from ace.intervals import acceleration, effective_limits, freedom
from ace.stats import RESAMPLES, Estimate

Case = tuple[Array, Ints, Ints]
LEVELS = (0.8, 0.95, 0.9975)


@st.composite
def cases(draw: st.DrawFn, nested: bool | None = None) -> Case:
    """Scores (m, n), labels and clusters (n): three clusters of each label at least, or of both."""
    each, rows = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    nested = draw(st.booleans()) if nested is None else nested
    clusters = draw(st.integers(6, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    if nested:
        places = np.repeat(np.arange(clusters), each)
        labels = places % 2
    else:
        places, labels = np.repeat(np.arange(clusters), 2 * each), np.tile([0, 1], clusters * each)
    order = rng.permutation(len(places))
    scores = rng.standard_normal((rows, len(places))) + 2 * labels - 1
    return scores[:, order], labels[order], 7 * places[order]


def slow(scores: Array, labels: Ints, weights: Array) -> tuple[list[float], list[float], list[float]]:
    """AUC, accuracy and separation of each row, prompt by prompt."""

    def apart(row: Array) -> float:
        means = []
        for label in (0, 1):
            chosen = [(w, x) for w, x, y in zip(weights, row, labels, strict=True) if y == label]
            means.append(sum(w * x for w, x in chosen) / sum(w for w, _ in chosen))
        return means[1] - means[0]

    def right(row: Array) -> float:
        kept = [w * ((x > 0) if y == 1 else (x < 0)) for w, x, y in zip(weights, row, labels, strict=True)]
        return float(sum(kept) / weights.sum())

    return (
        [float(roc_auc_score(labels, row, sample_weight=weights)) for row in scores],
        [right(row) for row in scores],
        [apart(row) / apart(scores[0]) for row in scores],
    )


def stacked(part: Quantities, column: int | None = None) -> Array:
    every = np.stack([part.auc, part.accuracy, part.separation])
    return every if column is None else every[:, :, column]


@given(cases())
def test_values_are_those_of_plain_loops(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, resamples=3)
    np.testing.assert_allclose(stacked(found.values), slow(scores, labels, np.ones(len(labels))), atol=1e-9)
    assert found.separation[0] == pytest.approx(1.0)
    assert (found.count, found.clusters) == (len(labels), len(np.unique(clusters)))
    np.testing.assert_array_equal(found.auc, found.values.auc)
    np.testing.assert_array_equal(found.accuracy, found.values.accuracy)
    np.testing.assert_array_equal(found.separation, found.values.separation)


@given(cases(nested=False))
def test_replicates_are_those_of_clusters_drawn_with_replacement(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, seed=3, resamples=4)
    names = np.unique(clusters)
    counts = np.random.default_rng(3).multinomial(len(names), np.full(len(names), 1 / len(names)), 4)
    for draw, drawn in enumerate(counts):
        weights = drawn[np.searchsorted(names, clusters)].astype(float)
        np.testing.assert_allclose(stacked(found.replicates, draw), slow(scores, labels, weights), rtol=1e-7, atol=1e-9)


@given(cases())
def test_the_jackknife_leaves_out_one_cluster_at_a_time(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, resamples=3)
    for place, name in enumerate(np.unique(clusters)):
        kept = clusters != name
        expected = slow(scores[:, kept], labels[kept], np.ones(int(kept.sum())))
        np.testing.assert_allclose(stacked(found.jackknife, place), expected, rtol=1e-7, atol=1e-9)


def test_a_cluster_that_is_all_of_a_class_cannot_be_left_out() -> None:
    labels, clusters = np.array([0, 1, 1, 0, 0]), np.array([0, 1, 1, 2, 2])
    found = discriminate(np.array([[0.0, 1.0, 3.0, 2.0, -1.0]]), labels, clusters)
    assert np.isnan(found.jackknife.auc[0]).tolist() == [False, True, False]
    assert np.isnan(found.jackknife.separation[0]).tolist() == [False, True, False]
    assert not np.isnan(found.jackknife.accuracy).any()
    estimate = found.estimate("s", lambda part: part.auc[0])
    assert estimate.acceleration == acceleration(found.jackknife.auc[0, [0, 2]])
    # Every draw has the one cluster of the class.
    assert np.isfinite(found.replicates.auc).all()


@given(cases())
def test_separations_without_replicates_are_the_same(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, resamples=3)
    np.testing.assert_allclose(separations(scores, scores[0], labels), found.separation, rtol=1e-9)
    np.testing.assert_allclose(separations(-2 * scores, scores[0], labels), -2 * found.separation, rtol=1e-9)
    np.testing.assert_allclose(separations(scores + 5, scores[0] - 1, labels), found.separation, rtol=1e-7)
    np.testing.assert_allclose(simple_auc(scores, labels), found.auc, atol=1e-12)


def test_a_row_that_separates_nothing_has_no_separations() -> None:
    labels, clusters = np.tile([0, 1], 4), np.repeat(np.arange(4), 2)
    scores = np.array([np.zeros(8), labels])
    found = discriminate(scores, labels, clusters)
    assert np.isnan(found.separation).all()
    with pytest.raises(InputError, match="finite"):
        found.estimate("s", lambda part: part.separation[1])
    assert found.estimate("a", lambda part: part.auc[1]).value == 1.0


@given(cases(), st.sampled_from(LEVELS))
def test_an_estimate_is_the_quantity_of_values_replicates_and_jackknife(case: Case, level: float) -> None:
    scores, labels, clusters = case
    scored = discriminate(scores, labels, clusters, resamples=200)

    def quantity(part: Quantities) -> Array:
        return np.maximum(part.separation[-1], 0.5) - part.separation[0]

    found = scored.estimate("s", quantity)
    assert found.label == "s"
    assert found.value == pytest.approx(max(scored.separation[-1], 0.5) - 1)
    assert found.replicates is not None
    np.testing.assert_allclose(found.replicates, np.maximum(scored.replicates.separation[-1], 0.5) - 1, atol=1e-9)
    left_out = quantity(scored.jackknife)
    assert found.acceleration == pytest.approx(acceleration(left_out))
    assert found.freedom == pytest.approx(freedom(left_out))
    assert (found.count, found.clusters) == (len(labels), scored.clusters)
    # No AUC or accuracy comes into it, whatever edge these may be at.
    assert found.interval(level) == pytest.approx(smooth(found).interval(level))


def first(name: str, part: Quantities) -> Array:
    """AUC or accuracy of row 0."""
    return np.asarray(getattr(part, name)[0])


def smooth(found: Estimate) -> Estimate:
    """The same without binomial limits."""
    return Estimate(
        found.label,
        found.value,
        found.replicates,
        count=found.count,
        acceleration=found.acceleration,
        clusters=found.clusters,
        freedom=found.freedom,
    )


def test_a_quantity_keeps_the_last_axis() -> None:
    scored = certain(np.tile([0.0, 1.0], 6)[None], nested=False)
    with pytest.raises(InputError, match=r"s: expected a quantity \(\) of \(1,\), got \(1,\)"):
        scored.estimate("s", lambda part: part.auc)
    with pytest.raises(InputError, match=rf"expected a quantity \({RESAMPLES},\)"):
        scored.estimate("s", lambda part: part.auc.max())


def test_a_quantity_may_be_a_yes_or_no() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 20)
    scored = discriminate((rng.standard_normal(40) + labels / 2)[None], labels, np.repeat(np.arange(10), 4))
    answers = scored.estimate("a", lambda part: np.asarray(part.auc[0] > scored.auc[0]))
    numbers = scored.estimate("a", lambda part: np.asarray(part.auc[0] > scored.auc[0], dtype=np.float64))
    assert (answers.value, answers.interval()) == (numbers.value, numbers.interval())


def test_replicates_and_value_are_both_to_be_finite() -> None:
    scored = certain(np.tile([0.0, 1.0], 6)[None], nested=False)

    def only_replicates(part: Quantities) -> Array:
        return part.auc[0] if part.auc.ndim == 1 else part.auc[0] * np.nan

    def only_value(part: Quantities) -> Array:
        return part.auc[0] * np.nan if part.auc.ndim == 1 else part.auc[0]

    for quantity in (only_replicates, only_value):
        with pytest.raises(InputError, match=r"^s: expected finite values, got NaN or infinity$"):
            scored.estimate("s", quantity)


# --- At the edge ------------------------------------------------------------------------------------------------------


def certain(scores: Array, nested: bool) -> Discrimination:
    """Scores of twelve prompts of alternating labels, about six nouns of both labels or four of the one and two."""
    labels = np.tile([0, 1], 6)
    nouns = np.array([0, 4, 0, 4, 1, 4, 1, 5, 2, 5, 3, 5]) if nested else np.repeat(np.arange(6), 2)
    return discriminate(scores, labels, nouns)


RIGHT = np.tile([-1.0, 1.0], 6)


@pytest.mark.parametrize(("nested", "clusters"), [(False, 6), (True, 2)])
@pytest.mark.parametrize("level", LEVELS)
def test_a_row_without_an_error_may_have_one_in_another_cluster(nested: bool, clusters: int, level: float) -> None:
    scored = certain(np.array([RIGHT, -RIGHT, 0 * RIGHT]), nested)
    assert scored.trials == clusters
    share = 1 - ((1 - level) / 2) ** (1 / clusters)
    for name in ("auc", "accuracy"):

        def value(row: int, name: str = name) -> tuple[float, float]:
            return scored.estimate("a", lambda part: getattr(part, name)[row]).interval(level)

        assert value(0) == pytest.approx((1 - share, 1))
        assert value(1) == pytest.approx((0, share))
    # All scores alike: half of an AUC, and clusters that are not may take it either way.
    tied = scored.estimate("a", lambda part: part.auc[2]).interval(level)
    assert tied == pytest.approx((0.5 - share / 2, 0.5 + share / 2))


@pytest.mark.parametrize("level", LEVELS)
def test_what_two_rows_may_lose_adds_up_in_squares(level: float) -> None:
    scored = certain(np.array([RIGHT, RIGHT, -RIGHT]), nested=False)
    share = 1 - ((1 - level) / 2) ** (1 / 6)
    same = scored.estimate("d", lambda part: part.auc[1] - part.auc[0]).interval(level)
    assert same == pytest.approx((-share, share))
    # Both can only lose: the difference of a perfect row and a mirrored one shrinks, from either side.
    apart = scored.estimate("d", lambda part: part.auc[0] - part.auc[2]).interval(level)
    assert apart == pytest.approx((1 - math.sqrt(2) * share, 1))
    # A folded quantity does not move out of the place where it is folded, and half a share moves both ways.
    weighed = scored.estimate("w", lambda part: 3 * part.accuracy[0] + part.separation[1]).interval(level)
    assert weighed == pytest.approx((4 - 3 * share, 4))


@given(st.integers(0, 2**20), st.sampled_from(LEVELS))
def test_limits_are_those_of_one_edge_after_the_other(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    clusters, labels = np.repeat(np.arange(10), 4), np.tile([0, 0, 1, 1], 10)
    scores = rng.standard_normal((3, 40)) + np.array([[1.0], [4.0], [-5.0]]) * (labels - 0.5)
    scored = discriminate(scores, labels, clusters, resamples=200)
    quantities: list[Quantity] = [
        lambda part: part.auc[0] - part.auc[1],
        lambda part: part.accuracy[2] + part.auc[1] * part.separation[2],
        lambda part: abs(part.auc[1] - part.accuracy[1]),
    ]
    for quantity in quantities:
        found = scored.estimate("a", quantity)
        near = smooth(found).interval(level)
        reach = [(found.value - near[0]) ** 2, (near[1] - found.value) ** 2]
        for name, row in scored._edges:
            for end in scored._at_the_edge(name, row, level):
                moved = getattr(scored.values, name).copy()
                moved[row] = end
                change = float(quantity(replace(scored.values, **{name: moved}))) - found.value
                reach[int(change > 0)] += change**2
        wanted = found.value - math.sqrt(reach[0]), found.value + math.sqrt(reach[1])
        assert found.interval(level) == pytest.approx(wanted)
        assert found.interval(level) == found.interval(level)  # kept from before


def test_more_confidence_and_fewer_clusters_widen_what_is_certain() -> None:
    intervals = [certain(RIGHT[None], False).estimate("a", lambda part: part.auc[0]).interval(x) for x in LEVELS]
    assert sorted(intervals, reverse=True) == intervals
    nested = certain(RIGHT[None], True).estimate("a", lambda part: part.auc[0]).interval(0.95)
    assert nested[0] < intervals[1][0]


@given(st.integers(0, 2**20), st.sampled_from(LEVELS), st.sampled_from([1.0, 2.0, 4.0]))
def test_next_to_no_errors_have_binomial_limits_as_well(seed: int, level: float, distance: float) -> None:
    rng = np.random.default_rng(seed)
    clusters, labels = np.repeat(np.arange(20), 4), np.tile([0, 0, 1, 1], 20)
    scored = discriminate((rng.standard_normal(80) + distance * (labels - 0.5))[None], labels, clusters, resamples=400)
    for name in ("auc", "accuracy"):
        value, drawn = float(getattr(scored, name)[0]), getattr(scored.replicates, name)[0]
        found = scored.estimate("a", partial(first, name))
        low, high = found.interval(level)
        near = smooth(found).interval(level)
        errors = (1 - value) * min(value * (1 - value) / drawn.var(), 80) if drawn.var() else 0.0
        if drawn.var() and errors < FEW:
            # Whichever of the two reaches farther, on each side.
            far = effective_limits(value, drawn.var(), 80, level, 20)
            assert (low, high) == pytest.approx((min(near[0], far[0]), max(near[1], far[1])), abs=1e-9)
        elif errors >= FEW:
            assert (low, high) == pytest.approx(near, abs=1e-12)


def test_three_errors_are_as_many_as_replicates_can_show_and_two_are_not() -> None:
    # Twelve prompts of nouns whose shares differ so little that all twelve count as independent.
    labels, nouns = np.tile([0, 1], 6), np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3])
    three = RIGHT * np.where(np.isin(np.arange(12), (0, 5, 8)), -1, 1)
    two = RIGHT * np.where(np.isin(np.arange(12), (0, 5)), -1, 1)
    for scores, enough in ((three, True), (two, False)):
        found = discriminate(scores[None], labels, nouns).estimate("a", partial(first, "accuracy"))
        assert (found.interval() == smooth(found).interval()) == enough
