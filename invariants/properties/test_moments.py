"""Properties of moments: every quantity read from them equals the direct computation from the raw data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ace.arrays import Array
from ace.compare import affine_map, canonical_correlations
from ace.moments import (
    Moments,
    canonical_pairs,
    correlations,
    covariance,
    explained,
    explained_beside,
    inverse_root,
    moments,
    regression,
)
from invariants.properties.strategies import conditions, distance, gaussian, invertible, rounding, seeds

CONDITION = 1e3  # of the views' covariances below, with room


@st.composite
def view_pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    """Two noisy views (n, t, k) and (n, t, l) of a common signal, with offsets."""
    seed, clusters, length = draw(seeds), draw(st.integers(12, 20)), draw(st.integers(1, 4))
    first, second = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    signal = gaussian(seed, clusters, length, 2)
    ours = signal @ gaussian(seed + 1, 2, first) + gaussian(seed + 2, clusters, length, first) + 1
    theirs = signal @ gaussian(seed + 3, 2, second) + gaussian(seed + 4, clusters, length, second) - 1
    return ours.numpy(), theirs.numpy()


def flat(view: Array) -> Array:
    """(n, t, k) -> (n t, k)."""
    return view.reshape(-1, view.shape[-1])


def size(views: tuple[Array, Array]) -> int:
    """Number of samples."""
    return views[0].shape[0] * views[0].shape[1]


def both(found: Moments) -> tuple[slice, slice]:
    """Where each of two views lies."""
    first, second = found.views
    return first, second


def fitted(found: Moments) -> Array:
    """Share of the second view that the best affine map of the first explains."""
    return explained(found.total, *both(found), *regression(found.total, *both(found)))


@given(views=view_pairs())
def test_the_covariance_is_that_of_the_raw_data(views: tuple[Array, Array]) -> None:
    found = moments(*views)
    raw = np.concatenate([flat(view) for view in views], axis=1)
    wanted = np.cov(raw.T, bias=True).reshape(raw.shape[1], -1)
    for first in found.views:
        for second in found.views:
            part = wanted[first.start - 1 : first.stop - 1, second.start - 1 : second.stop - 1]
            assert distance(covariance(found.total, first, second), part) <= rounding(size(views), 100.0)


@given(views=view_pairs())
def test_the_regression_is_that_of_the_raw_data(views: tuple[Array, Array]) -> None:
    found = moments(*views)
    slope, offset = regression(found.total, *both(found))
    direct = affine_map(*(torch.from_numpy(flat(view)) for view in views))
    assert distance(slope, direct.matrix.T) <= rounding(size(views), CONDITION)
    assert distance(offset, direct.offset) <= rounding(size(views), CONDITION)


@given(views=view_pairs(), seed=seeds)
def test_explained_variance_is_that_of_the_raw_data_for_any_prediction(views: tuple[Array, Array], seed: int) -> None:
    found = moments(*views)
    source, target = (flat(view) for view in views)
    slope = gaussian(seed, target.shape[1], source.shape[1]).numpy()
    offset = gaussian(seed + 1, target.shape[1]).numpy()
    # Slow twin: whiten the raw target, predict, and average the squares.
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(target.T, bias=True).reshape(target.shape[1], -1)))
    residual = (target - source @ slope.T - offset) @ whiten.T
    wanted = 1 - float((residual**2).mean())
    assert explained(found.total, *both(found), slope, offset) == pytest.approx(wanted, rel=rounding(1000, CONDITION))


@given(views=view_pairs(), seed=seeds)
def test_what_a_prediction_left_explains_as_much_as_the_prediction(views: tuple[Array, Array], seed: int) -> None:
    found = moments(*views)
    source, target = views
    slope = gaussian(seed, target.shape[-1], source.shape[-1]).numpy()
    offset = gaussian(seed + 1, target.shape[-1]).numpy()
    left = moments(target - source @ slope.T - offset, target)
    wanted = explained(found.total, *both(found), slope, offset)
    assert explained_beside(left.total, *both(left)) == pytest.approx(wanted, rel=rounding(1000, CONDITION))


@given(views=view_pairs())
def test_in_sample_explained_variance_is_the_mean_squared_canonical_correlation(views: tuple[Array, Array]) -> None:
    # Over whitened targets, so that it asks how many of the target's dimensions are predicted.
    direct = canonical_correlations(*(torch.from_numpy(flat(view)) for view in views))
    wanted = float((direct**2).sum()) / views[1].shape[-1]
    assert fitted(moments(*views)) == pytest.approx(wanted, abs=rounding(size(views), CONDITION))


@given(views=view_pairs(), seed=seeds, condition=conditions)
def test_explained_variance_is_invariant_under_invertible_affine_maps_of_either_view(
    views: tuple[Array, Array], seed: int, condition: float
) -> None:
    moved = [view @ invertible(seed, view.shape[-1], condition).numpy() + 2 for view in views]
    tolerance = rounding(size(views), CONDITION * condition**2)  # moments square the condition number
    assert fitted(moments(*moved)) == pytest.approx(fitted(moments(*views)), abs=tolerance)


@given(views=view_pairs(), seed=seeds)
def test_no_other_prediction_explains_more(views: tuple[Array, Array], seed: int) -> None:
    found = moments(*views)
    slope, offset = regression(found.total, *both(found))
    nudged = slope + 1e-3 * gaussian(seed, *slope.shape).numpy()
    best = fitted(found)
    assert -rounding(100, CONDITION) <= best <= 1
    assert explained(found.total, *both(found), nudged, offset) <= best
    mean = found.total[found.views[1], 0]
    assert explained(found.total, *both(found), np.zeros_like(slope), mean) == pytest.approx(
        0.0, abs=rounding(size(views), CONDITION)
    )


@given(views=view_pairs())
def test_a_target_coordinate_given_twice_counts_once(views: tuple[Array, Array]) -> None:
    ours, theirs = views
    repeated = np.concatenate([theirs, theirs[..., :1]], axis=2)
    tolerance = rounding(size(views), CONDITION)
    assert fitted(moments(ours, repeated)) == pytest.approx(fitted(moments(*views)), abs=tolerance)


@given(views=view_pairs())
def test_canonical_correlations_are_those_of_the_raw_data(views: tuple[Array, Array]) -> None:
    found = moments(*views)
    ours, theirs = canonical_pairs(found.total, *both(found))
    values = correlations(found.total, *both(found), (ours, theirs))
    direct = canonical_correlations(*(torch.from_numpy(flat(view)) for view in views))
    assert distance(values, direct) <= rounding(size(views), CONDITION)
    # The pairs read variates of unit variance that are uncorrelated with each other.
    for rows, view in ((ours, found.views[0]), (theirs, found.views[1])):
        variance = rows @ covariance(found.total, view, view) @ rows.T
        assert distance(variance, np.eye(len(rows))) <= rounding(size(views), CONDITION)


@given(views=view_pairs(), seed=seeds)
def test_held_out_correlations_are_those_of_the_variates_on_the_other_data(
    views: tuple[Array, Array], seed: int
) -> None:
    half = len(views[0]) // 2
    first, second = moments(*(view[:half] for view in views)), moments(*(view[half:] for view in views))
    pairs = canonical_pairs(first.total, *both(first))
    ours, theirs = (flat(view[half:]) @ rows.T for view, rows in zip(views, pairs, strict=True))
    wanted = [np.corrcoef(ours[:, k], theirs[:, k])[0, 1] for k in range(ours.shape[1])]
    found = correlations(second.total, *both(second), pairs)
    assert distance(found, np.array(wanted)) <= rounding(size(views), CONDITION)
    assert bool((np.abs(found) <= 1 + rounding(100)).all())


@given(views=view_pairs(), seed=seeds)
def test_resampling_clusters_of_moments_is_resampling_the_data(views: tuple[Array, Array], seed: int) -> None:
    # What makes the bootstrap over moments valid.
    chosen = np.random.default_rng(seed).integers(len(views[0]), size=len(views[0]))
    direct = moments(*(view[chosen] for view in views))
    assert distance(moments(*views).clusters[chosen].mean(axis=0), direct.total) <= rounding(size(views), 100.0)


@given(views=view_pairs(), constant=st.floats(-1e3, 1e3), seed=seeds)
def test_a_constant_view_explains_nothing_and_is_not_explained(
    views: tuple[Array, Array], constant: float, seed: int
) -> None:
    still = np.full((*views[0].shape[:2], 2), constant)
    source = moments(still, views[1])
    assert distance(regression(source.total, *both(source))[0], np.zeros(1)) == 0.0
    assert fitted(source) == pytest.approx(0.0, abs=rounding(size(views), CONDITION))
    # Not even by a prediction that is far off, as one brought from other data is: there is no variance to share.
    target = moments(views[0], still)
    slope = gaussian(seed, 2, views[0].shape[-1]).numpy()
    assert explained(target.total, *both(target), slope, np.ones(2)) == 0.0


@given(views=view_pairs(), seed=seeds)
def test_a_stack_of_moments_gives_what_each_gives(views: tuple[Array, Array], seed: int) -> None:
    found = moments(*views)
    first, second = both(found)
    pairs = canonical_pairs(found.total, first, second)
    slope, offset = regression(found.total, first, second)
    # Moments of resamples, and one in which the second view is constant.
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(found.clusters)), 3)
    stack = np.tensordot(weights, found.clusters, axes=1)
    still = moments(views[0], np.ones_like(views[1])).total
    stack = np.concatenate([stack, still[None]]).reshape(2, 2, *still.shape)
    calls: list[Callable[[Array], Array | tuple[Array, Array]]] = [
        lambda moment: covariance(moment, first, second),
        lambda moment: regression(moment, first, second),
        lambda moment: explained(moment, first, second, slope, offset),
        lambda moment: explained_beside(moment, second, second),
        lambda moment: correlations(moment, first, second, pairs),
    ]
    for call in calls:
        together = call(stack)
        for place in np.ndindex(2, 2):
            alone = call(stack[place])
            for part, same in zip(_parts(together), _parts(alone), strict=True):
                np.testing.assert_allclose(part[place], same, rtol=1e-9, atol=1e-12)


def _parts(values: Array | tuple[Array, Array]) -> tuple[Array, ...]:
    return values if isinstance(values, tuple) else (values,)


@given(seed=seeds, width=st.integers(1, 6), data=st.data())
def test_an_inverse_root_whitens_the_range(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, width))
    root = invertible(seed, width, 10.0)[:, :rank].numpy()
    found = inverse_root(root @ root.T)
    assert found.shape == (rank, width)
    assert distance(found @ root @ root.T @ found.T, np.eye(rank)) <= rounding(width, 1e4)  # moment of kappa 1e2
