"""AUC and accuracy with clustered replicates, against scikit-learn and by their symmetries."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ace.arrays import Array
from ace.auc import cluster_sums, discriminate, separations, simple_auc
from ace.errors import InputError
from ace.stats import RESAMPLES

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores (m, n) with ties, labels of both classes in every cluster, clusters."""
    clusters, each, rows = draw(st.integers(2, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    places = np.repeat(np.arange(clusters), 2 * each)
    labels = np.tile([0, 1], clusters * each)
    return rng.integers(-4, 5, (rows, len(places))).astype(float), labels, places


@given(cases())
def test_values_are_scikit_learns(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, resamples=3)
    expected = [roc_auc_score(labels, row) for row in scores]
    np.testing.assert_allclose(found.auc, expected, atol=1e-12)
    np.testing.assert_allclose(simple_auc(scores, labels), expected, atol=1e-12)
    np.testing.assert_allclose(found.accuracy, [np.mean(np.where(labels == 1, row > 0, row < 0)) for row in scores])


@given(cases())
def test_replicates_are_those_of_prompts_drawn_cluster_by_cluster(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, seed=7, resamples=5)
    k = len(np.unique(clusters))
    counts = np.random.default_rng(7).multinomial(k, np.full(k, 1 / k), 5)
    for draw, weights in enumerate(counts[:, clusters]):
        expected = [roc_auc_score(labels, row, sample_weight=weights) for row in scores]
        np.testing.assert_allclose(found.replicates.auc[:, draw], expected, atol=1e-12)
        right = np.where(labels == 1, scores > 0, scores < 0)
        np.testing.assert_allclose(found.replicates.accuracy[:, draw], (right * weights).sum(axis=1) / weights.sum())


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float32])
def test_scores_of_any_kind_of_number_are_told_apart_alike(kind: type) -> None:
    scores, clusters = np.array([[0, 1, 0, 0, 1, 1, 0, 1]]), np.repeat(np.arange(4), 2)
    labels = np.tile([0, 1], 4)
    found, wide = (discriminate(cast(Array, scores.astype(each)), labels, clusters) for each in (kind, np.float64))
    for name in ("auc", "accuracy", "separation"):
        np.testing.assert_array_equal(getattr(found.replicates, name), getattr(wide.replicates, name))


@given(cases())
def test_negated_scores_mirror_the_auc_and_rising_maps_leave_it(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, resamples=4)
    mirrored = discriminate(-scores, labels, clusters, resamples=4)
    np.testing.assert_allclose(mirrored.replicates.auc, 1 - found.replicates.auc, atol=1e-12)
    np.testing.assert_allclose(discriminate(np.exp(scores / 3), labels, clusters, resamples=4).auc, found.auc)


def test_scores_that_tell_nothing_lie_within_the_half_width() -> None:
    # Mann and Whitney's U has variance n1 n0 (n1 + n0 + 1) / 12 where nothing is told, and the AUC is U / (n1 n0).
    labels = np.tile([0, 1], 100)
    halfwidth = 1.959964 * np.sqrt(201 / (12 * 100 * 100))
    drawn = simple_auc(np.random.default_rng(0).standard_normal((2000, 200)), labels)
    assert np.mean(np.abs(drawn - 0.5) <= halfwidth) == pytest.approx(0.95, abs=0.015)


ONE, TWO = np.zeros((1, 4)), np.ones((2, 4))
BITS, PAIRS = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
SHAPES = "scores: expected (m, n) with labels and clusters (n), got "
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: discriminate(ONE[0], BITS, PAIRS), SHAPES + "((4,), (4,), (4,))"),
    (lambda: discriminate(ONE, BITS[:3], PAIRS[:3]), SHAPES + "((1, 4), (3,), (3,))"),
    (lambda: discriminate(ONE, BITS, PAIRS[:3]), SHAPES + "((1, 4), (4,), (3,))"),
    (lambda: discriminate(ONE + np.inf, BITS, PAIRS), "scores: expected finite values, got NaN or infinity"),
    (lambda: discriminate(ONE, 0 * BITS, PAIRS), "labels: expected both classes and at least two clusters"),
    (lambda: discriminate(ONE, 0 * BITS + 1, PAIRS), "labels: expected both classes and at least two clusters"),
    (lambda: discriminate(ONE, BITS, 0 * PAIRS), "labels: expected both classes and at least two clusters"),
    (lambda: discriminate(ONE, BITS, PAIRS, resamples=0), "resamples: expected an integer of at least 1, got 0"),
    (
        lambda: separations(ONE[0], BITS, BITS),
        "scores: expected (m, n) with base and labels (n), got (4,), (4,), (4,)",
    ),
    (
        lambda: separations(TWO, BITS[:3], BITS),
        "scores: expected (m, n) with base and labels (n), got (2, 4), (3,), (4,)",
    ),
    (
        lambda: separations(TWO, BITS, BITS[:3]),
        "scores: expected (m, n) with base and labels (n), got (2, 4), (4,), (3,)",
    ),
    (
        lambda: separations(TWO, BITS[:3], BITS[:3]),
        "scores: expected (m, n) with base and labels (n), got (2, 4), (3,), (3,)",
    ),
    (lambda: separations(TWO, BITS, 0 * BITS), "labels: expected both classes"),
    (lambda: separations(TWO, BITS, 0 * BITS + 1), "labels: expected both classes"),
    (
        lambda: separations(TWO, TWO[0], BITS),
        "base: expected a mean contrast that differs between labels, got a difference of 0.0",
    ),
    (
        lambda: separations(TWO, TWO[0] * np.nan, BITS),
        "base: expected a mean contrast that differs between labels, got a difference of nan",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_call_says_what_was_expected_and_what_came(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        call()


@given(cases(), st.integers(1, 3))
def test_sums_over_clusters_are_those_of_a_loop(case: Case, width: int) -> None:
    scores, _, clusters = case
    values = np.stack([scores[0] + k for k in range(width)], axis=1)
    expected = [values[clusters == name].sum(axis=0) for name in np.unique(clusters)]
    np.testing.assert_allclose(cluster_sums(values, 5 * clusters), expected)
    np.testing.assert_allclose(cluster_sums(values[:, 0], clusters), np.array(expected)[:, 0])


def test_resamples_without_a_class_are_drawn_again() -> None:
    # One noun has all prompts of label 1: a third of resamples of three lack it.
    scores = np.array([[0.0, 2.0, 1.0, 5.0]])
    drawn = discriminate(scores, np.array([0, 1, 0, 0]), np.array([0, 1, 1, 2]))
    assert np.isfinite(drawn.replicates.auc).all()
    assert len(drawn.replicates.auc[0]) == RESAMPLES
    # Of the prompts of label 0 those with scores 0 and 1 lie below, the one with 5 above.
    assert np.unique(drawn.replicates.auc.round(9)).tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    # All three clusters once in six of 27 draws, of which 19 have the noun.
    assert np.mean(drawn.replicates.auc.round(3) == 0.667) == pytest.approx((6 + 3) / 19, abs=0.05)


@pytest.mark.parametrize("clusters", [2, 30])
def test_a_class_that_lies_in_one_cluster_is_in_every_resample(clusters: int) -> None:
    places = np.arange(clusters)
    drawn = discriminate(places[None].astype(np.float64), (places == 0).astype(np.int64), places)
    assert (drawn.replicates.auc == 0).all()
    assert np.isnan(drawn.jackknife.auc[0, 0])


def test_resamples_follow_the_seed() -> None:
    scores, labels, clusters = np.arange(24.0)[None] % 7, np.tile([0, 1], 12), np.repeat(np.arange(6), 4)
    first, again, other, default = (
        discriminate(scores, labels, clusters, **options).replicates.auc
        for options in ({"seed": 0}, {"seed": 0}, {"seed": 1}, {})
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, default)
    assert (first != other).any()
