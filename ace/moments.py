"""Second moments of several views, cluster by cluster, so that any regression can be bootstrapped over clusters.

A moment is the mean of x x^T over x = [1, view_1, view_2, ...]; regressions, covariances and canonical correlations are
functions of it alone, and take stacks of moments too, such as one a resample. Meant for a few well-conditioned
coordinates (cores), not for whole states: its errors grow with the square of the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ace.arrays import EPS, Array, Bools
from ace.check import as_finite
from ace.errors import InputError


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of several views of the same clusters.

    Attributes:
        clusters: (n, p, p) mean of x x^T over the positions of each cluster, p = 1 + total width.
        views: where each view lies in x.
    """

    clusters: Array
    views: tuple[slice, ...]

    @property
    def total(self) -> Array:
        """(p, p) mean over all clusters."""
        return np.asarray(self.clusters.mean(axis=0))


def moments(*views: Array) -> Moments:
    """Moments of views (n, t, k_i): n clusters of t positions each, the same for every view.

    Raises:
        InputError: no view, other than three axes, different n or t, or NaN or infinity (naming view and clusters).
    """
    if not views or any(view.ndim != 3 or view.shape[:2] != views[0].shape[:2] for view in views):
        raise InputError(f"views: expected arrays (n, t, k) of equal n and t, got {[v.shape for v in views]}")
    for index, view in enumerate(views):
        as_finite(f"views[{index}]", view)
    sequences, length = views[0].shape[:2]
    joined = np.concatenate([np.ones((sequences, length, 1)), *views], axis=2)
    edges = np.cumsum([1] + [view.shape[2] for view in views])
    slices = tuple(slice(int(a), int(b)) for a, b in pairwise(edges))
    return Moments(joined.transpose(0, 2, 1) @ joined / length, slices)


def pooled(*views: Array) -> Moments:
    """Moments of all positions of all clusters together, as one cluster: where nothing is resampled.

    Raises:
        InputError: as `moments`.
    """
    if any(view.ndim != 3 for view in views):
        return moments(*views)
    return moments(*(view.reshape(1, -1, view.shape[2]) for view in views))


def covariance(moment: Array, first: slice, second: slice) -> Array:
    """(..., k, l) covariance of two views from a moment (..., p, p); 0 where it is below the moments' rounding."""
    centred = moment[..., first, second] - moment[..., first, :1] * moment[..., :1, second]
    size = np.sqrt(np.diagonal(moment, axis1=-2, axis2=-1))
    rounding = 64 * EPS * (size[..., first, None] * size[..., None, second])
    return np.where(np.abs(centred) > rounding, centred, 0.0)


def regression(moment: Array, source: slice, target: slice) -> tuple[Array, Array]:
    """Least squares target = A source + b from a moment (..., p, p): A (..., l, k), b (..., l).

    The minimum norm where the source is singular.
    """
    within = covariance(moment, source, source)
    slope = covariance(moment, target, source) @ np.linalg.pinv(within, rcond=within.shape[-1] * EPS, hermitian=True)
    return slope, moment[..., target, 0] - (slope @ moment[..., source, :1])[..., 0]


def explained(moment: Array, source: slice, target: slice, slope: Array, offset: Array) -> Array:
    """(...) share of the target's variance that A source + b explains, averaged over whitened target coordinates.

    Args:
        moment: (..., p, p).
        slope, offset: A (l, k) and b (l), the same for all.

    1 - tr(S^+ E) / rank(S) with S the target's covariance and E the residual's second moment: unchanged by invertible
    linear maps of either view. Negative where the prediction is worse than the mean. 0 where the target is constant.
    """
    width = target.stop - target.start
    lift = np.zeros((width, moment.shape[-1]))
    lift[:, target] = np.eye(width)
    lift[:, source] -= slope
    lift[:, 0] -= offset
    return _share(covariance(moment, target, target), lift @ moment @ lift.T)


def explained_beside(moment: Array, residual: slice, target: slice) -> Array:
    """(...) `explained` where what a prediction left, target minus prediction, is itself a view."""
    return _share(covariance(moment, target, target), moment[..., residual, residual])


def _share(spread: Array, residual: Array) -> Array:
    values, vectors = np.linalg.eigh(spread)
    kept = _above_rounding(values)
    left = np.einsum("...ki,...kl,...li->...i", vectors, residual, vectors)
    whitened = np.divide(left, values, out=np.zeros_like(left), where=kept)
    rank = kept.sum(axis=-1)
    return np.where(rank > 0, 1.0 - whitened.sum(axis=-1) / np.maximum(rank, 1), 0.0)


def _above_rounding(values: Array) -> Bools:
    """Which eigenvalues (..., k), rising, of a symmetric matrix are more than rounding."""
    largest = np.maximum(values[..., -1:], 0.0)
    return np.asarray(values > largest * values.shape[-1] * EPS * 16)


def inverse_root(matrix: Array) -> Array:
    """W (r, k) with W M W^T = identity, for symmetric M (k, k) of numerical rank r."""
    values, vectors = np.linalg.eigh(matrix)
    kept = _above_rounding(values)
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])).T)


def canonical_pairs(moment: Array, first: slice, second: slice) -> tuple[Array, Array]:
    """Directions A (r, k), B (r, l), rows, whose images are the canonical variates of two views, best first."""
    left = inverse_root(covariance(moment, first, first))
    right = inverse_root(covariance(moment, second, second))
    turn, _, back = np.linalg.svd(left @ covariance(moment, first, second) @ right.T, full_matrices=False)
    return np.asarray(turn.T @ left), np.asarray(back @ right)


def correlations(moment: Array, first: slice, second: slice, pairs: tuple[Array, Array]) -> Array:
    """(..., r) correlations of given pairs of directions on a moment (..., p, p).

    Held out where that is not the moment they came from.
    """
    ours, theirs = pairs
    across = np.einsum("rk,...kl,rl->...r", ours, covariance(moment, first, second), theirs)
    one = np.einsum("rk,...kl,rl->...r", ours, covariance(moment, first, first), ours)
    two = np.einsum("rk,...kl,rl->...r", theirs, covariance(moment, second, second), theirs)
    size = np.sqrt(one * two)
    return np.asarray(np.divide(across, size, out=np.zeros_like(across), where=size > 0))
