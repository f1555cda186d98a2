"""Second moments of several views, cluster by cluster, so that any regression can be bootstrapped over clusters.

A moment is the mean of x x^T over x = [1, view_1, view_2, ...]; regressions, covariances and canonical correlations are
functions of it alone. Meant for a few well-conditioned coordinates (cores), not for whole states: its errors grow with
the square of the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ace.arrays import EPS, Array
from ace.check import as_finite
from ace.errors import InputError


@dataclass(frozen=True)
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


def covariance(moment: Array, first: slice, second: slice) -> Array:
    """(k, l) covariance of two views from a moment (p, p); 0 where it is below the rounding of the moments."""
    centred = moment[first, second] - np.outer(moment[first, 0], moment[0, second])
    size = np.sqrt(np.diag(moment))
    return np.where(np.abs(centred) > 64 * EPS * np.outer(size[first], size[second]), centred, 0.0)


def regression(moment: Array, source: slice, target: slice) -> tuple[Array, Array]:
    """Least squares target = A source + b from a moment: A (l, k) and b (l), minimum norm where source is singular."""
    within = covariance(moment, source, source)
    slope = covariance(moment, target, source) @ np.linalg.pinv(within, rcond=len(within) * EPS, hermitian=True)
    return slope, moment[target, 0] - slope @ moment[source, 0]


def explained(moment: Array, source: slice, target: slice, slope: Array, offset: Array) -> float:
    """Share of the target's variance that A source + b explains, averaged over whitened target coordinates.

    1 - tr(S^+ E) / rank(S) with S the target's covariance and E the residual's second moment: unchanged by invertible
    linear maps of either view. Negative where the prediction is worse than the mean. 0 where the target is constant.
    """
    width = target.stop - target.start
    lift = np.zeros((width, moment.shape[0]))
    lift[:, target] = np.eye(width)
    lift[:, source] -= slope
    lift[:, 0] -= offset
    return _share(covariance(moment, target, target), lift @ moment @ lift.T)


def explained_beside(moment: Array, residual: slice, target: slice) -> float:
    """`explained` where what a prediction left, target minus prediction, is itself a view."""
    return _share(covariance(moment, target, target), moment[residual, residual])


def _share(spread: Array, residual: Array) -> float:
    whiten = inverse_root(spread)
    if len(whiten) == 0:
        return 0.0
    return float(1.0 - np.trace(whiten @ residual @ whiten.T) / len(whiten))


def inverse_root(matrix: Array) -> Array:
    """W (r, k) with W M W^T = identity, for symmetric M (k, k) of numerical rank r."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > max(float(values[-1]), 0.0) * len(matrix) * EPS * 16
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])).T)


def canonical_pairs(moment: Array, first: slice, second: slice) -> tuple[Array, Array]:
    """Directions A (r, k), B (r, l), rows, whose images are the canonical variates of two views, best first."""
    left = inverse_root(covariance(moment, first, first))
    right = inverse_root(covariance(moment, second, second))
    turn, _, back = np.linalg.svd(left @ covariance(moment, first, second) @ right.T, full_matrices=False)
    return np.asarray(turn.T @ left), np.asarray(back @ right)


def correlations(moment: Array, first: slice, second: slice, pairs: tuple[Array, Array]) -> Array:
    """(r) correlations of given pairs of directions on this moment; held out where it is not the one they came from."""
    ours, theirs = pairs
    across = np.einsum("rk,kl,rl->r", ours, covariance(moment, first, second), theirs)
    one = np.einsum("rk,kl,rl->r", ours, covariance(moment, first, first), ours)
    two = np.einsum("rk,kl,rl->r", theirs, covariance(moment, second, second), theirs)
    size = np.sqrt(one * two)
    return np.asarray(np.divide(across, size, out=np.zeros_like(across), where=size > 0))
