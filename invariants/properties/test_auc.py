"""AUC and accuracy with clustered replicates, against scikit-learn and by their symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ace.auc import chance_halfwidth, discriminate, simple_auc
from ace.errors import InputError

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
        np.testing.assert_allclose(found.auc_replicates[:, draw], expected, atol=1e-12)
        right = np.where(labels == 1, scores > 0, scores < 0)
        np.testing.assert_allclose(found.accuracy_replicates[:, draw], (right * weights).sum(axis=1) / weights.sum())


@given(cases())
def test_negated_scores_mirror_the_auc_and_rising_maps_leave_it(case: Case) -> None:
    scores, labels, clusters = case
    found = discriminate(scores, labels, clusters, resamples=4)
    mirrored = discriminate(-scores, labels, clusters, resamples=4)
    np.testing.assert_allclose(mirrored.auc_replicates, 1 - found.auc_replicates, atol=1e-12)
    np.testing.assert_allclose(discriminate(np.exp(scores / 3), labels, clusters, resamples=4).auc, found.auc)


def test_scores_that_tell_nothing_lie_within_the_half_width() -> None:
    labels = np.tile([0, 1], 100)
    drawn = simple_auc(np.random.default_rng(0).standard_normal((2000, 200)), labels)
    assert np.mean(np.abs(drawn - 0.5) <= chance_halfwidth(labels)) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("scores", "labels", "clusters", "named"),
    [
        (np.zeros(4), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), "scores"),
        (np.full((1, 4), np.nan), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), "scores"),
        (np.zeros((1, 4)), np.array([1, 1, 1, 1]), np.array([0, 0, 1, 1]), "labels"),
        (np.zeros((1, 4)), np.array([0, 1, 0, 1]), np.zeros(4, dtype=int), "labels"),
    ],
)
def test_bad_calls_name_the_argument(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray, named: str) -> None:
    with pytest.raises(InputError, match=named):
        discriminate(scores, labels, clusters)
