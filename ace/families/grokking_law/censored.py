"""Fits of log-normal times of which some did not end before they were given up, for many resamples at once.

A time that ended at y = log t has the density of a normal variable about x b with deviation s; of one that was given up
at y it is known that it is larger. In Olsen's parameters d = b / s and h = 1 / s the log-likelihood is concave (1978,
Note on the uniqueness of the maximum likelihood estimator for the tobit model), so that Newton's steps find its one
maximum. `lifelines.LogNormalAFTFitter` gives the same for one sample.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ace.arrays import Array, Bools

STEPS = 60
CLOSE = 1e-10


def fit(columns: Array, logs: Array, ended: Bools, weights: Array) -> tuple[Array, Array, Array]:
    """Maximum-likelihood fits.

    Args:
        columns: (n, k), or (b, n, k) of its own for each resample.
        logs: (n) log of the time that ended, or at which it was given up.
        ended: (n) whether it ended.
        weights: (b, n) how often each counts in a resample.

    Returns:
        coefficients (b, k), standard deviations (b) and log-likelihoods (b); NaN where a resample has too few times
        that ended to tell, or columns that do not differ in them. Without a censored time as many tell as there are
        columns, such as one a mean: a resample may draw the same seed each time.
    """
    resamples, count = weights.shape
    rows = np.broadcast_to(columns, (resamples, count, columns.shape[-1]))
    size = columns.shape[-1]
    seen = weights * ended
    whole = ~(weights[:, ~ended] > 0).any(axis=1)  # nothing censored: least squares is the maximum
    enough = ((seen > 0).sum(axis=1) >= np.where(whole, size, size + 1)) & _differ(rows, seen)
    start, spread = _least_squares(rows, logs, seen, enough)
    found, deviations = start.copy(), spread.copy()
    likelihood = _likelihood(rows, logs, ended, weights, start, spread)
    part = ~whole
    if part.any():
        climbed = _climb(rows[part], logs, ended, weights[part], start[part], spread[part], enough[part])
        found[part], deviations[part], likelihood[part] = climbed
    return found, deviations, likelihood


def _climb(
    rows: Array, logs: Array, ended: Bools, weights: Array, start: Array, spread: Array, enough: Bools
) -> tuple[Array, Array, Array]:
    """Newton's steps from least squares of those that ended, for resamples in which some are censored."""
    resamples, count, size = rows.shape
    point = np.concatenate([start / spread[:, None], 1 / spread[:, None]], axis=1)
    augmented = np.concatenate([-rows, np.broadcast_to(logs[:, None], (resamples, count, 1))], axis=2)  # z = a . point
    value = _concave(augmented, ended, weights, point)
    for _ in range(STEPS):
        slope, curve = _derivatives(augmented, ended, weights, point)
        curve[~enough] = np.eye(size + 1)
        move = np.linalg.solve(curve, slope[..., None])[..., 0]
        step = np.ones(resamples)
        for _ in range(30):  # halve steps that leave h > 0 or do not climb
            trial = point + step[:, None] * move
            with np.errstate(invalid="ignore"):
                reached = _concave(augmented, ended, weights, trial)
                short = ~((trial[:, -1] > 0) & (reached >= value - 1e-12)) & enough
            if not short.any():
                break
            step = np.where(short, step / 2, step)
        point, value, gained = trial, reached, reached - value
        if not enough.any() or np.nanmax(np.abs(gained[enough])) < CLOSE:
            break
    spread = 1 / point[:, -1]
    found = point[:, :-1] * spread[:, None]
    found[~enough], spread[~enough] = np.nan, np.nan
    return found, spread, np.where(enough, value, np.nan)


def _differ(rows: Array, seen: Array) -> Bools:
    """(b) whether the columns are independent among the times that ended."""
    moments = np.einsum("bn,bnk,bnl->bkl", seen, rows, rows)
    scale = np.sqrt(np.maximum(np.diagonal(moments, axis1=1, axis2=2), 1e-300))
    alike = moments / (scale[:, :, None] * scale[:, None, :])
    return np.asarray(np.linalg.eigvalsh(alike)[:, 0] > 1e-9)


def _least_squares(rows: Array, logs: Array, seen: Array, enough: Bools) -> tuple[Array, Array]:
    moments = np.einsum("bn,bnk,bnl->bkl", seen, rows, rows)
    right = np.einsum("bn,bnk,n->bk", seen, rows, logs)
    moments[~enough] = np.eye(rows.shape[2])
    found = np.linalg.solve(moments, right[..., None])[..., 0]
    errors = logs - np.einsum("bnk,bk->bn", rows, found)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt((seen * errors**2).sum(axis=1) / seen.sum(axis=1))
    spread = np.maximum(spread, 1e-6)
    found[~enough], spread[~enough] = np.nan, np.nan
    return found, spread


def _likelihood(rows: Array, logs: Array, ended: Bools, weights: Array, found: Array, spread: Array) -> Array:
    point = np.concatenate([found / spread[:, None], 1 / spread[:, None]], axis=1)
    augmented = np.concatenate([-rows, np.broadcast_to(logs[:, None], (*rows.shape[:2], 1))], axis=2)
    return _concave(augmented, ended, weights, point)


def _concave(augmented: Array, ended: Bools, weights: Array, point: Array) -> Array:
    """(b) log-likelihood without the constant of the normal density."""
    away = np.einsum("bnk,bk->bn", augmented, point)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.log(point[:, -1:]) - away**2 / 2
        each[:, ~ended] = special.log_ndtr(-away[:, ~ended])
    return np.asarray((weights * each).sum(axis=1))


def _derivatives(augmented: Array, ended: Bools, weights: Array, point: Array) -> tuple[Array, Array]:
    """Slope (b, k + 1) and the negative of the curvature (b, k + 1, k + 1)."""
    away = np.einsum("bnk,bk->bn", augmented, point)
    late = away[:, ~ended]
    hazard = np.exp(-(late**2) / 2 - np.log(2 * np.pi) / 2 - special.log_ndtr(-late))
    first, second = weights * -away, weights.astype(np.float64)
    first[:, ~ended] = weights[:, ~ended] * -hazard
    second[:, ~ended] = weights[:, ~ended] * (hazard * (hazard - late))
    slope = np.einsum("bn,bnk->bk", first, augmented)
    curve = np.einsum("bn,bnk,bnl->bkl", second, augmented, augmented)
    seen = (weights * ended).sum(axis=1)
    slope[:, -1] += seen / point[:, -1]
    curve[:, -1, -1] += seen / point[:, -1] ** 2
    return slope, curve
