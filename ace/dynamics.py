"""Linear operators in core coordinates, their spectra, and the matching of spectra."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ace.arrays import Array, Complex
from ace.check import as_matched
from ace.errors import InputError

FEW = 6  # eigenvalues, of which all 720 orders are tried at once


@dataclass(frozen=True, eq=False)
class Operator:
    """An affine step z' = A z + b in core coordinates: matrix A (r, r), offset b (r)."""

    matrix: Array
    offset: Array

    @property
    def eigenvalues(self) -> Complex:
        """(r) eigenvalues, largest modulus first."""
        return spectrum(self.matrix)


def fit_operator(before: Tensor, after: Tensor) -> Operator:
    """Least-squares affine step from coordinates (n, r) to the next coordinates (n, r).

    Directions of `before` below the relative tolerance max(n, r) eps carry no step (minimum-norm solution).

    Raises:
        InputError: different shapes, fewer than two samples, NaN or infinity.
    """
    source, target = as_matched(("before", "after"), before, after, same_width=True)
    middle, goal = source.mean(dim=0), target.mean(dim=0)
    solution, *_ = np.linalg.lstsq((source - middle).numpy(), (target - goal).numpy(), rcond=None)
    return Operator(solution.T, goal.numpy() - solution.T @ middle.numpy())


def spectrum(matrix: Array) -> Complex:
    """(r) eigenvalues of a square matrix, largest modulus first, of equal modulus by falling imaginary part.

    Raises:
        InputError: not square, or NaN or infinity.
    """
    square = np.asarray(matrix, dtype=np.float64)
    if square.ndim != 2 or square.shape[0] != square.shape[1] or not np.isfinite(square).all():
        raise InputError(f"matrix: expected a finite square matrix, got shape {square.shape}")
    values = np.linalg.eigvals(square).astype(np.complex128)
    return values[np.lexsort((-values.imag, -np.round(np.abs(values), 10)))]


@dataclass(frozen=True, eq=False)
class Match:
    """An optimal one-to-one matching of two spectra.

    Attributes:
        fitted, wanted: (r) matched eigenvalues, entry by entry.
        distances: (r) their distances in the complex plane.
    """

    fitted: Complex
    wanted: Complex
    distances: Array

    @property
    def largest(self) -> float:
        """The largest distance of a matched pair: the optimal matching distance."""
        return float(self.distances.max())


def match_spectra(fitted: Complex, wanted: Complex) -> Match:
    """Match two spectra of equal size so that the largest distance is smallest (bottleneck), ties by total distance.

    The optimal matching distance of two spectra (Bhatia, Matrix Analysis, chapter VI). The bottleneck is found over the
    sorted pairwise distances, each tried with one assignment.

    Raises:
        InputError: different or zero sizes, or NaN or infinity.
    """
    left, right = np.asarray(fitted, dtype=np.complex128), np.asarray(wanted, dtype=np.complex128)
    if left.ndim != 1 or left.shape != right.shape or left.size == 0:
        raise InputError(f"fitted: expected two spectra of equal size, got shapes {left.shape} and {right.shape}")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise InputError("fitted: expected finite eigenvalues")
    cost = np.abs(left[:, None] - right[None])
    levels = np.unique(cost)
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        rows, columns = linear_sum_assignment(cost > levels[middle])
        if (cost[rows, columns] <= levels[middle]).all():
            high = middle
        else:
            low = middle + 1
    # Pairs above the bottleneck are priced out; among the rest the total distance decides.
    priced = np.where(cost <= levels[low], cost, cost.sum() + 1.0)
    rows, columns = linear_sum_assignment(priced)
    return Match(left[rows], right[columns], np.asarray(cost[rows, columns]))


def matching_distance(fitted: Complex, wanted: Complex) -> Array:
    """(...) the largest distance in `match_spectra` of each of many spectra (..., r) with one (r).

    Raises:
        InputError: different or zero sizes, or NaN or infinity.
    """
    size = fitted.shape[-1]
    if wanted.shape != (size,) or size == 0:
        raise InputError(f"fitted: expected spectra (..., r) and one (r), got shapes {fitted.shape} and {wanted.shape}")
    if not (np.isfinite(fitted).all() and np.isfinite(wanted).all()):
        raise InputError("fitted: expected finite eigenvalues")
    if size > FEW:
        each = [match_spectra(row, wanted).largest for row in fitted.reshape(-1, size)]
        return np.array(each).reshape(fitted.shape[:-1])
    cost = np.abs(fitted[..., :, None] - wanted)
    orders = np.array(list(permutations(range(size))))
    return np.asarray(cost[..., np.arange(size), orders].max(axis=-1).min(axis=-1))
