"""Singular values and vectors of a matrix, each when it is asked for. Float64, no models.

Cores need the vectors of a few singular values, and often no more. Where the matrix is large and few are wanted,
Lanczos finds them from a fixed start; they count only if their residuals are rounding and nothing larger is left once
they are taken out, and a full decomposition takes their place otherwise. So a repeated value that Lanczos misses costs
time, not correctness.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, svds
from threadpoolctl import ThreadpoolController
from torch import Tensor

from ace.arrays import EPS, Array

Triplets = tuple[Tensor, Tensor, Tensor]

LARGE = 256  # below, everything costs as little as a part
FEW = 16  # Lanczos for at most one value in so many
ROUNDING = 64 * EPS


class SingularSystem:
    """A = U S V^T of a matrix (k, l), finite and float64."""

    def __init__(self, matrix: Tensor) -> None:
        self._matrix = matrix
        self._found: Triplets | None = None

    @cached_property
    def values(self) -> Tensor:
        """(min(k, l)) all singular values, in falling order."""
        if self._found is not None and len(self._found[1]) == min(self._matrix.shape):
            return self._found[1]
        if min(self._matrix.shape) >= LARGE:
            return torch.linalg.svdvals(self._matrix)
        return self._decompose()[1]

    def leading(self, count: int) -> Triplets:
        """The leading left vectors (k, count), columns, their values (count), and right vectors (count, l), rows."""
        if self._found is None or len(self._found[1]) < count:
            few = min(self._matrix.shape) >= LARGE and 0 < count * FEW <= min(self._matrix.shape)
            self._found = (self._lanczos(count) if few else None) or self._decompose()
        left, values, right = self._found
        return left[:, :count], values[:count], right[:count]

    def _decompose(self) -> Triplets:
        left, values, right = torch.linalg.svd(self._matrix, full_matrices=False)
        self._found = left, values, right
        return self._found

    def _lanczos(self, count: int) -> Triplets | None:
        """Leading triplets, or None where they cannot be vouched for."""
        start = np.random.default_rng(0).standard_normal(min(self._matrix.shape))
        try:
            # Lanczos goes to and fro between torch's products and SciPy's: where each keeps threads of its own, those
            # of one wait for the cores that those of the other hold. SciPy's are vectors; one thread does them.
            with _blas().limit(limits=1, user_api="blas"):
                left, values, right = _largest(self._matrix, count, start)
                rest = self._matrix - left * values @ right
                following = _largest(rest, 1, start, tolerance=1e-8)[1]
        except ArpackError:
            return None
        limit = ROUNDING * float(values[0])
        residuals = (self._matrix @ right.T - left * values, left.T @ self._matrix - values[:, None] * right)
        complete = float(following[0]) <= float(values[-1]) + limit
        return (left, values, right) if complete and all(float(e.abs().amax()) <= limit for e in residuals) else None


@cache
def _blas() -> ThreadpoolController:
    """The linear algebra that NumPy and SciPy brought along; finding it costs more than limiting its threads."""
    return ThreadpoolController()


def _largest(matrix: Tensor, count: int, start: Array, tolerance: float = 0.0) -> Triplets:
    u, s, v = svds(_operator(matrix), k=count, v0=start, tol=tolerance, solver="arpack")
    left, values, right = (torch.from_numpy(part.copy()) for part in (u[:, ::-1], s[::-1], v[::-1]))
    return left, values, right


def _operator(matrix: Tensor) -> LinearOperator:
    """Products by torch, as everywhere else."""

    def times(factor: Tensor) -> Callable[[Array], Array]:
        return lambda columns: (factor @ torch.from_numpy(np.ascontiguousarray(columns))).numpy()

    forth, back = times(matrix), times(matrix.T)
    return LinearOperator(matrix.shape, forth, back, forth, np.float64, back)
