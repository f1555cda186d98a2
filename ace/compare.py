"""Comparing cores, states and weights of different models: overlap, angles, CCA, consensus, affine transplants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import subspace_angles
from torch import Tensor, nn

from ace.arrays import EPS, Array
from ace.check import as_matched, as_matrix, check_count, check_rank
from ace.errors import InputError
from ace.linalg import random_frames, row_factor

CHUNK = 4096  # rows taken at a time


def _basis(name: str, value: Tensor, width: int | None = None) -> Tensor:
    matrix = as_matrix(name, value)
    if width is not None and len(matrix) != width:
        raise InputError(f"{name}: expected {width} rows (d, r) as first has, got {len(matrix)}")
    identity = torch.eye(matrix.shape[1], dtype=torch.float64)
    if float((matrix.T @ matrix - identity).abs().max()) > 1e-8:
        raise InputError(f"{name}: expected orthonormal columns (d, r)")
    return matrix


def overlap(first: Tensor, second: Tensor) -> float:
    """Mean squared cosine of the principal angles of two subspaces, bases (d, r) and (d, s): 0 orthogonal, 1 nested.

    |Q1^T Q2|_F^2 / min(r, s). Two independent Haar subspaces have max(r, s) / d on average.
    """
    left = _basis("first", first)
    right = _basis("second", second, width=left.shape[0])
    return float((left.T @ right).square().sum() / min(left.shape[1], right.shape[1]))


def overlap_null(width: int, rank: int, draws: int, generator: torch.Generator) -> Array:
    """(draws) overlaps of independent Haar subspaces of equal rank; one may be held fixed.

    Raises:
        InputError: no draws, or a rank outside 1..width.
    """
    check_rank("rank", rank, width)
    frames = random_frames(width, rank, draws, generator)
    return np.asarray((frames[:, :rank].square().sum(dim=(1, 2)) / rank).numpy())


def principal_angles(first: Tensor, second: Tensor) -> Array:
    """(min(r, s)) principal angles in radians, largest first (scipy.linalg.subspace_angles)."""
    left = _basis("first", first)
    right = _basis("second", second, width=left.shape[0])
    return np.asarray(subspace_angles(left.numpy(), right.numpy()))


def canonical_correlations(first: Tensor, second: Tensor) -> Array:
    """(r) canonical correlations of two views (n, k) and (n, l) of the same n samples, in [0, 1], largest first.

    Both views are centred; directions without variance are left out. Through orthonormal bases of the columns (Bjorck
    and Golub 1973), so no covariance is inverted.

    Raises:
        InputError: different n, fewer than two samples, NaN or infinity.
    """
    left, right = as_matched(("first", "second"), first, second)
    values = torch.linalg.svdvals(_column_space(left).T @ _column_space(right))
    return np.asarray(values.clamp(0.0, 1.0).numpy())


def _column_space(view: Tensor) -> Tensor:
    centred = view - view.mean(dim=0)
    size = view.abs().amax(dim=0)
    # A constant column is only rounding after centring: it has no direction. Scaling leaves the span alone.
    varied = centred.abs().amax(dim=0) > 64 * EPS * size
    columns = centred[:, varied]
    columns = columns / columns.norm(dim=0)
    left, sizes, _ = torch.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > max(columns.shape) * EPS * sizes[0]] if len(sizes) else columns


@dataclass(frozen=True, eq=False)
class Consensus:
    """Subspaces of several state spaces that vary together (generalised CCA, MAXVAR; Kettenring 1971).

    Attributes:
        agreement: (c) in [1/m, 1], mean squared correlation of each consensus variate with the m views, best first.
        loadings: per view (d, c): the direction in state space that the variate is read along, unit columns.
    """

    agreement: Tensor
    loadings: tuple[Tensor, ...]

    def basis(self, view: int, rank: int) -> Tensor:
        """(d, rank) orthonormal basis of the leading `rank` consensus directions in one view.

        Raises:
            InputError: no such view, or a rank outside 1..c.
        """
        check_rank("rank", rank, len(self.agreement))
        if check_count("view", view, smallest=0) >= len(self.loadings):
            raise InputError(f"view: expected 0..{len(self.loadings) - 1}, got {view}")
        return torch.linalg.qr(self.loadings[view][:, :rank]).Q


def consensus(views: Sequence[Tensor]) -> Consensus:
    """Generalised CCA of m views (n, d_i) of the same n samples.

    The consensus variates are the leading eigenvectors of the mean of the projectors onto the views' column spaces.
    As many are returned as the narrowest view has dimensions.

    Raises:
        InputError: fewer than two views, different n, NaN or infinity.
    """
    if len(views) < 2:
        raise InputError(f"views: expected at least 2, got {len(views)}")
    matrices = [as_matrix(f"views[{i}]", view, minimum_rows=2) for i, view in enumerate(views)]
    if len({len(matrix) for matrix in matrices}) != 1:
        raise InputError(f"views: expected equal numbers of rows, got {[len(m) for m in matrices]}")
    means, readers = [], []
    for matrix in matrices:
        factor = row_factor(matrix, centred=True)
        _, sizes, axes = torch.linalg.svd(factor.factor, full_matrices=False)
        kept = sizes > len(sizes) * EPS * sizes[0] * 1e2
        means.append(factor.mean)
        readers.append((axes[kept] / sizes[kept, None]).T)  # (d, k): whitens the centred view

    def joined(parts: tuple[Tensor, ...]) -> Tensor:
        """The same rows of all views, whitened, side by side."""
        return torch.cat([(p - m) @ r for p, m, r in zip(parts, means, readers, strict=True)], dim=1)

    # Block by block: all rows of all whitened views at once would be the largest thing in memory. Their products are
    # summed, not their factors: whitened views have the identity for theirs, so that all leading eigenvalues are at
    # least 1 and their rounding is that of the sum.
    blocks = zip(*(matrix.split(CHUNK) for matrix in matrices), strict=True)
    products = sum(rows.T @ rows for rows in map(joined, blocks))
    sizes, axes = torch.linalg.eigh(products)
    count = min(reader.shape[1] for reader in readers)
    leading = axes.flip(1)[:, :count].split([reader.shape[1] for reader in readers])
    loadings = tuple(_unit(reader @ part) for reader, part in zip(readers, leading, strict=True))
    return Consensus(sizes.flip(0)[:count] / len(views), loadings)


def _unit(columns: Tensor) -> Tensor:
    return columns / columns.norm(dim=0).clamp_min(torch.finfo(torch.float64).tiny)


@dataclass(frozen=True, eq=False)
class AffineMap:
    """y = x @ matrix + offset, matrix (k, l), offset (l)."""

    matrix: Tensor
    offset: Tensor

    def __call__(self, source: Tensor) -> Tensor:
        """Images (..., l) of sources (..., k)."""
        return source @ self.matrix + self.offset


def affine_map(source: Tensor, target: Tensor) -> AffineMap:
    """Least-squares affine map of core coordinates (n, k) onto those of another model (n, l), same samples.

    Raises:
        InputError: different n, fewer than two samples, NaN or infinity.
    """
    left, right = as_matched(("source", "target"), source, target)
    middle, goal = left.mean(dim=0), right.mean(dim=0)
    solution = torch.linalg.lstsq(left - middle, right - goal, driver="gelsd").solution
    return AffineMap(solution, goal - middle @ solution)


def weight_cosine(first: nn.Module, second: nn.Module) -> float:
    """Cosine of all weights of two models of one architecture, flattened; by absolute value it is what `same` means.

    Raises:
        InputError: different parameter names or shapes, or a model whose weights are all zero or not all finite.
    """
    ours, theirs = dict(first.named_parameters()), dict(second.named_parameters())
    if {n: p.shape for n, p in ours.items()} != {n: p.shape for n, p in theirs.items()}:
        raise InputError("second: expected the same parameter names and shapes as first")
    one = torch.cat([ours[name].detach().flatten().to(torch.float64) for name in ours])
    two = torch.cat([theirs[name].detach().flatten().to(torch.float64) for name in ours])
    size = float(one.norm() * two.norm())
    if size == 0 or not np.isfinite(size):
        raise InputError(f"first: expected finite weights that are not all zero, got |first| |second| = {size}")
    return float(one @ two) / size
