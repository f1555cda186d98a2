"""Float64 linear algebra on row factors. No models, no sampling of data.

Assumption: a tall matrix X (n, d) matters only through X^T X, so a factor R (k, d) with R^T R = X^T X and k <= d
stands for it. Factors are accumulated by Householder QR, never through X^T X, so errors grow with the condition number
kappa and not with kappa^2. Cost: O(n d^2) time, O(d^2) memory whatever n.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ace.arrays import EPS
from ace.check import as_finite, as_matrix, check_count
from ace.errors import InputError
from ace.singular import SingularSystem

BLOCK = 16  # rows of a block, in widths


@dataclass(frozen=True, eq=False)
class RowFactor:
    """What is kept of the rows of a matrix X (n, d).

    Attributes:
        factor: (k, d) float64 with factor^T factor = (X - mean)^T (X - mean), k <= max(d, rows of one chunk).
        mean: (d) float64, the mean of the rows, or zeros where the factor is not centred.
        rows: n.
        centred: whether the mean was taken out.
        rounding: size (spectral norm) of the rounding that taking the mean out left in the factor. It grows with the
            mean, not with the spread, so it is what remains of states that do not vary at all.
    """

    factor: Tensor
    mean: Tensor
    rows: int
    centred: bool
    rounding: float = 0.0

    @property
    def width(self) -> int:
        """d, the number of columns."""
        return self.factor.shape[1]


def row_factor(rows: Tensor, *, centred: bool) -> RowFactor:
    """Factor of one chunk of rows (n, d). A chunk with n <= d is its own factor: no QR is paid for.

    Raises:
        InputError: not a matrix of at least one row, or NaN or infinity.
    """
    rows = as_matrix("rows", rows)
    count, width = rows.shape
    # Blocks stay in the cache: copies of all rows at once would cost more than the arithmetic on them.
    blocks = rows.split(BLOCK * width)
    if not centred:
        return RowFactor(_stack(map(_compress, blocks)), rows.new_zeros(width), count, centred)
    mean = rows.mean(dim=0)
    largest = torch.stack([block.abs().amax(dim=0) for block in blocks]).amax(dim=0)
    rounding = 4 * EPS * count**0.5 * float(largest.norm())
    return RowFactor(_stack(_compress(block - mean) for block in blocks), mean, count, centred, rounding)


def merge(first: RowFactor, second: RowFactor) -> RowFactor:
    """Factor of two sets of rows stacked. Chan, Golub and LeVeque's update of the mean, in factor form.

    Raises:
        InputError: widths differ, or only one of the two is centred.
    """
    if first.width != second.width:
        raise InputError(f"factors: expected equal widths, got {first.width} and {second.width}")
    if first.centred != second.centred:
        raise InputError("factors: expected both centred or both uncentred")
    rows = first.rows + second.rows
    parts = [first.factor, second.factor]
    mean = first.mean
    if first.centred:
        shift = second.mean - first.mean
        parts.append(shift[None] * (first.rows * second.rows / rows) ** 0.5)
        mean = first.mean + shift * (second.rows / rows)
    rounding = (first.rounding**2 + second.rounding**2) ** 0.5
    return RowFactor(_stack(parts), mean, rows, first.centred, rounding)


def stream_factor(chunks: Iterable[Tensor], *, centred: bool, name: str = "chunks") -> RowFactor:
    """Factor of all rows of all chunks, each (n_i, d), read once and in order.

    Raises:
        InputError: no chunk at all, an empty chunk, NaN or infinity, or chunks of different widths.
    """
    total: RowFactor | None = None
    for index, chunk in enumerate(chunks):
        width = None if total is None else total.width
        part = row_factor(as_matrix(f"{name}[{index}]", chunk, width=width), centred=centred)
        total = part if total is None else merge(total, part)
    if total is None:
        raise InputError(f"{name}: expected at least one chunk of rows, got none")
    return total


def _compress(rows: Tensor) -> Tensor:
    return rows if rows.shape[0] <= rows.shape[1] else torch.linalg.qr(rows, mode="r").R


def _stack(factors: Iterable[Tensor]) -> Tensor:
    """Factor of the blocks that these are factors of."""
    first, *others = factors
    return _compress(torch.cat([first, *others])) if others else first


@dataclass(frozen=True, eq=False)
class Balance:
    """Balanced coordinates of a pair of factors (A, B), scaled to unit size where extreme: A B^T = U S V^T."""

    _states: Tensor
    _sensitivities: Tensor
    _unit: SingularSystem
    _sizes: tuple[float, float]
    _rounding: float

    @cached_property
    def sigma(self) -> Tensor:
        """(k) singular values of A B^T in falling order, sizes restored, k = min(rows of A, rows of B)."""
        return self._unit.values * self._sizes[0] * self._sizes[1]

    @cached_property
    def rank(self) -> int:
        """Numerical rank: how many sigma are above the rounding of the product and of the factors."""
        return int((self._unit.values > self._limit(self._unit.values)).sum())

    def reaches(self, count: int) -> bool:
        """Whether the numerical rank is at least `count`, for what the leading sigma alone tell."""
        if count > min(len(self._states), len(self._sensitivities)):
            return False
        values = self._unit.leading(count)[1]
        return count == 0 or float(values[-1]) > self._limit(values)

    def _limit(self, values: Tensor) -> float:
        # A product of |A| |B| in size carries rounding in proportion, however small sigma_1 is beside it.
        heard = float(self._sensitivities.norm())
        return max(
            max(*self._states.shape, *self._sensitivities.shape) * EPS * float(values[0]),
            (8 * EPS * float(self._states.norm()) + self._rounding / self._sizes[0]) * heard,
        )

    def directions(self, count: int) -> Tensor:
        """(d, count) columns A^T u_i / sqrt(sigma_i): the leading balanced directions that states move along.

        Raises:
            InputError: count outside 0..rank; beyond the rank there is only rounding to divide by.
        """
        self._check(count)
        left, values, _ = self._unit.leading(count)
        return self._states.T @ left / values.sqrt() * (self._sizes[0] / self._sizes[1]) ** 0.5

    def readers(self, count: int) -> Tensor:
        """(count, d) rows v_i^T B / sqrt(sigma_i); readers(k) @ directions(k) is the identity (k, k).

        Raises:
            InputError: count outside 0..rank.
        """
        self._check(count)
        _, values, right = self._unit.leading(count)
        return right @ self._sensitivities / values[:, None].sqrt() * (self._sizes[0] / self._sizes[1]) ** -0.5

    def _check(self, count: int) -> None:
        if not self.reaches(check_count("count", count, smallest=0)):
            raise InputError(f"count: expected at most the numerical rank {self.rank}, got {count}")


def balance(state_factor: Tensor, sensitivity_factor: Tensor, *, rounding: float = 0.0) -> Balance:
    """Square-root balancing of two factors (k, d), (l, d) (Laub et al. 1987; Tombs and Postlethwaite 1987).

    A zero product gives rank 0, never NaN. A factor of extreme size is scaled to unit size first, so that Gramians down
    to 1e-300 neither underflow nor lose rank. Cost: the product (k, l), and of its singular values and vectors what is
    asked for; nothing of size d x d is formed.

    Args:
        state_factor, sensitivity_factor: A (k, d) and B (l, d).
        rounding: size of the error that A came with, `RowFactor.rounding`; no sigma below its effect counts.

    Raises:
        InputError: the widths differ, no matrices of at least one row, or NaN or infinity.
    """
    state_factor = as_matrix("state_factor", state_factor)
    sensitivity_factor = as_matrix("sensitivity_factor", sensitivity_factor)
    if state_factor.shape[1] != sensitivity_factor.shape[1]:
        raise InputError(
            f"factors: expected equal widths, got {state_factor.shape[1]} and {sensitivity_factor.shape[1]}"
        )
    states, state_size = _moderate(state_factor)
    sensitivities, sensitivity_size = _moderate(sensitivity_factor)
    unit = SingularSystem(states @ sensitivities.T)
    return Balance(states, sensitivities, unit, (state_size, sensitivity_size), rounding)


def _moderate(factor: Tensor) -> tuple[Tensor, float]:
    """A factor whose products neither overflow nor underflow, and what it was divided by: 1 as a rule, and no copy."""
    low, high = torch.aminmax(factor)
    size = max(-float(low), float(high))
    return (factor, 1.0) if size == 0 or 1e-50 < size < 1e50 else (factor / size, size)


def orthonormal(columns: Tensor) -> Tensor:
    """Orthonormal basis (d, r) of the span of r independent columns (d, r), nested: the first k span the first k.

    Columns are scaled to unit length first, so a wide range of lengths costs no accuracy.

    Raises:
        InputError: not a matrix, more columns than rows, or NaN or infinity.
    """
    columns = as_finite("columns", columns)
    if columns.ndim != 2 or columns.shape[1] > columns.shape[0]:
        raise InputError(f"columns: expected a matrix (d, r) with r <= d, got shape {tuple(columns.shape)}")
    if columns.shape[1] == 0:
        return columns
    return torch.linalg.qr(columns / columns.norm(dim=0).clamp_min(torch.finfo(columns.dtype).tiny)).Q


def nested_basis(columns: Tensor) -> tuple[Tensor, Tensor]:
    """`orthonormal`, each vector on its column's side, and (r) the part of each column that is new.

    The part is relative to the column's length: 1 where it is orthogonal to the columns before it, rounding where it
    lies in their span.

    Raises:
        InputError: as `orthonormal`.
    """
    frame = orthonormal(columns)
    new = (frame * columns).sum(dim=0) / columns.norm(dim=0).clamp_min(torch.finfo(columns.dtype).tiny)
    return torch.where(new < 0, -frame, frame), new.abs()


def whitener(moment: Tensor, *, tolerance: float | None = None) -> Tensor:
    """W (k, d) with W M W^T = identity (k, k) for a symmetric positive semidefinite M (d, d) of numerical rank k.

    Raises:
        InputError: not a square matrix, or NaN or infinity.
    """
    moment = as_matrix("moment", moment)
    if moment.shape[0] != moment.shape[1]:
        raise InputError(f"moment: expected a square matrix, got shape {tuple(moment.shape)}")
    values, vectors = torch.linalg.eigh(moment)
    largest = float(values[-1]) if values.numel() else 0.0
    limit = (moment.shape[0] * EPS if tolerance is None else tolerance) * largest
    kept = values > max(limit, 0.0)
    return (vectors[:, kept] / values[kept].sqrt()).T.flip(0)


def random_frames(width: int, rank: int, draws: int, generator: torch.Generator) -> Tensor:
    """Haar-distributed orthonormal frames (draws, width, rank): QR of Gaussian matrices, signs made unique.

    Raises:
        InputError: no draws, or a rank outside 0..width.
    """
    check_count("draws", draws)
    if check_count("rank", rank, smallest=0) > check_count("width", width):
        raise InputError(f"rank: expected at most the width {width}, got {rank}")
    gaussian = torch.randn(draws, width, rank, generator=generator, dtype=torch.float64)
    frames, triangle = torch.linalg.qr(gaussian)
    return frames * torch.diagonal(triangle, dim1=-2, dim2=-1).sign()[:, None, :]


def weighted_frames(states: Tensor, rank: int, draws: int, generator: torch.Generator) -> Tensor:
    """Orthonormal frames (draws, d, rank) of Gaussian vectors with the covariance of centred states (n, d).

    A subspace so drawn leans towards the directions that the states use most.
    """
    root = torch.linalg.qr(states, mode="r").R
    gaussian = torch.randn(draws, root.shape[0], rank, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(root.T @ gaussian).Q
