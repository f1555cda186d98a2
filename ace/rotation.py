"""The shift operator of modular arithmetic: from the class mean of c to that of c + 1, its rotations and its modes.

Assumption: classes 0..p-1 on a cycle, each with a mean state. With as many dimensions as classes less one, *any* means
in general position are carried round by an operator whose eigenvalues are all p-th roots of unity but 1: a tautology.
So operators here have few dimensions and are judged on edges c -> c + 1 that they were not fitted to.
Source of the shift operator: arXiv 2602.22600, modular addition; of leave-one-out residuals: Allen 1974 (PRESS).
"""

from __future__ import annotations

import numpy as np

from ace.arrays import EPS, Array, Complex, Ints
from ace.check import check_count, check_rank
from ace.errors import InputError

TOLERANCE = 1e-3  # relative, of singular values of the class means, as published
FOLDS = 5


def class_means(values: Array, classes: Ints, count: int) -> Array:
    """(p, k) mean of values (n, k) in each of p = `count` classes (n).

    Raises:
        InputError: shapes that do not fit, NaN or infinity, or a class without values.
    """
    sizes = _class_sizes(values, classes, count)
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, classes, values)
    return np.asarray(sums / sizes[:, None])


def resampled_means(values: Array, classes: Ints, count: int, draws: int, rng: np.random.Generator) -> Array:
    """(draws, p, k) class means of values drawn with replacement within each class.

    Raises:
        InputError: as `class_means`, or no draws.
    """
    sizes = _class_sizes(values, classes, count)
    means = np.empty((check_count("draws", draws), count, values.shape[1]))
    for c in range(count):
        size = int(sizes[c])
        weights = rng.multinomial(size, np.full(size, 1 / size), draws) / size
        means[:, c] = weights @ values[classes == c]
    return means


def _class_sizes(values: Array, classes: Ints, count: int) -> Array:
    check_count("count", count, smallest=3)
    if values.ndim != 2 or classes.shape != (len(values),) or not np.isfinite(values).all():
        raise InputError(f"values: expected finite (n, k) with classes (n), got {values.shape} and {classes.shape}")
    if len(classes) and not (classes.min() >= 0 and classes.max() < count):
        raise InputError(f"classes: expected 0..{count - 1}, got {classes.min()}..{classes.max()}")
    sizes = np.bincount(classes, minlength=count).astype(np.float64)
    if (sizes == 0).any():
        raise InputError(f"classes: expected values in every class, got none in {np.flatnonzero(sizes == 0).tolist()}")
    return sizes


def _check_means(means: Array, rank: int | None = None) -> Array:
    if means.ndim < 2 or means.shape[-2] < 3 or not np.isfinite(means).all():
        raise InputError(f"means: expected finite (..., p >= 3, k), got shape {means.shape}")
    return means if rank is None else means[..., : check_rank("rank", rank, means.shape[-1])]


def rank_limit(modulus: int, dimension: int) -> int:
    """Largest even rank of at most a third of p - 1 and of the core's dimension: rotations come in pairs."""
    return min((check_count("modulus", modulus, smallest=3) - 1) // 3, dimension) // 2 * 2


def random_orders(modulus: int, draws: int, rng: np.random.Generator) -> Ints:
    """(draws, p) random orders of the classes: the label permutations of a null.

    Raises:
        InputError: fewer than three classes, or no draws.
    """
    check_count("modulus", modulus, smallest=3)
    return np.stack([rng.permutation(modulus) for _ in range(check_count("draws", draws))]).astype(np.int64)


def shift_operator(means: Array) -> Array:
    """(..., k, k) least-squares A with m[c + 1] ~ A m[c] over all edges of a cycle, means (..., p, k) centred here.

    Directions below `TOLERANCE` of the largest carry no step.

    Raises:
        InputError: fewer than three classes, or NaN or infinity.
    """
    centred = _check_means(means) - means.mean(axis=-2, keepdims=True)
    return _fit(centred, np.roll(centred, -1, axis=-2))


def held_out_eigenvalues(means: Array, rank: int) -> Complex:
    """(..., folds, rank) eigenvalues of operators that were each fitted without a fifth of the edges.

    Raises:
        InputError: fewer than three classes, NaN or infinity, or a rank outside 1..k.
    """
    leading = _check_means(means, rank)
    before, after = leading, np.roll(leading, -1, axis=-2)
    fold = np.arange(leading.shape[-2]) % FOLDS
    eigenvalues = []
    for k in range(FOLDS):
        source, target = before[..., fold != k, :], after[..., fold != k, :]
        matrix = _fit(source - source.mean(axis=-2, keepdims=True), target - target.mean(axis=-2, keepdims=True))
        eigenvalues.append(np.linalg.eigvals(matrix).astype(np.complex128))
    return np.stack(eigenvalues, axis=-2)


def _fit(source: Array, target: Array) -> Array:
    """Least squares, singular values of a source (..., n, k) below the tolerance left out.

    Where none is near it the normal equations give the same to ten digits, in a quarter of the time.
    """
    turned = np.swapaxes(source, -1, -2)
    gram = turned @ source
    squares = np.linalg.eigvalsh(gram)
    if (squares[..., 0] > 4 * TOLERANCE**2 * squares[..., -1]).all():
        return np.swapaxes(np.linalg.solve(gram, turned @ target), -1, -2)
    return np.swapaxes(np.linalg.pinv(source, rcond=TOLERANCE) @ target, -1, -2)


def ring_share(eigenvalues: Complex, modulus: int) -> Array:
    """Share of eigenvalues (..., k) within sin(pi / p) of the unit circle, over the last axis."""
    return np.asarray((np.abs(np.abs(eigenvalues) - 1) <= np.sin(np.pi / modulus)).mean(axis=-1))


def grid_distance(eigenvalues: Complex, modulus: int) -> Array:
    """Mean distance of angles to the multiples of 2 pi / p, in units of 2 pi / p: 0 on the grid, .25 by chance."""
    turns = np.angle(eigenvalues) * modulus / (2 * np.pi)
    return np.asarray(np.abs(turns - np.round(turns)).mean(axis=-1))


def held_out_r2(means: Array, rank: int, orders: Ints | None = None) -> Array:
    """R2 of the step c -> c + 1, each edge predicted by the operator fitted to the others (exact leave-one-out).

    Args:
        means: (..., p, k); the leading `rank` coordinates are used, with an offset.
        orders: (draws, p) orders of the classes to step along instead, for one set of means (p, k): the null.

    Returns:
        (...), or (draws) with orders.

    Raises:
        InputError: too many dimensions for the edges, or orders for more than one set of means.
    """
    leading = _check_means(means, rank)
    modulus = leading.shape[-2]
    if rank > modulus - 2:
        raise InputError(f"rank: expected at most p - 2 = {modulus - 2} to leave an edge out, got {rank}")
    if orders is not None and leading.ndim != 2:
        raise InputError(f"means: expected one set (p, k) with orders, got shape {means.shape}")
    centred = leading - leading.mean(axis=-2, keepdims=True)
    frame, _, _ = np.linalg.svd(centred, full_matrices=False)
    hat = frame @ np.swapaxes(frame, -1, -2) + 1 / modulus
    if orders is None:
        after = np.roll(centred, -1, axis=-2)
    else:
        successor = np.empty_like(orders)
        np.put_along_axis(successor, orders, np.roll(orders, -1, axis=1), axis=1)
        after = centred[successor]
    left_out = 1 - np.diagonal(hat, axis1=-2, axis2=-1)[..., None]
    residual = (after - hat @ after) / np.maximum(left_out, EPS)
    baseline = after * modulus / (modulus - 1)  # each mean predicted by the mean of the others
    return np.asarray(1 - (residual**2).sum(axis=(-2, -1)) / (baseline**2).sum(axis=(-2, -1)))


def mode_energy(means: Array) -> Array:
    """(..., p // 2) share of the class means' energy in each frequency 1..p // 2 of the cycle.

    The operator turns the span of a frequency by its angle, so this is the energy that each rotation moves.
    """
    waves = np.fft.rfft(_check_means(means), axis=-2)[..., 1:, :]
    energy = (np.abs(waves) ** 2).sum(axis=-1)
    return np.asarray(energy / energy.sum(axis=-1, keepdims=True))


def modes_needed(energy: Array, share: float = 0.99) -> Ints:
    """How many frequencies, the strongest first, hold a share of the energy (..., f)."""
    running = np.cumsum(-np.sort(-energy, axis=-1), axis=-1)
    return np.asarray((running < share * (1 - 1e-12)).sum(axis=-1) + 1, dtype=np.int64)


def leading_modes(energy: Array, share: float = 0.99) -> Ints:
    """The frequencies, the strongest first, that together hold a share of the energy (f) of 1..f.

    Raises:
        InputError: energy of more than one set of means.
    """
    if energy.ndim != 1:
        raise InputError(f"energy: expected (f), got shape {energy.shape}")
    return np.asarray(np.argsort(-energy, kind="stable")[: int(modes_needed(energy, share))] + 1, dtype=np.int64)


def distinct_modes(eigenvalues: Complex, modulus: int) -> int:
    """How many different frequencies 0..p // 2 the eigenvalues (k) on the ring have; the mean adds frequency 0."""
    on_ring = eigenvalues[np.abs(np.abs(eigenvalues) - 1) <= np.sin(np.pi / modulus)]
    turns = np.round(np.abs(np.angle(on_ring)) * modulus / (2 * np.pi)).astype(np.int64)
    return len({0, *turns.tolist()})
