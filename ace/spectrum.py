"""The spectrum of states and sensitivities, and balanced coordinates of their leading dimensions or of a given span.

Both come as row factors, A (k, d) of the centred states and B (l, d) of the sensitivities: reachability C is A^T A over
n - 1, observability O is B^T B over m. Neither Gramian is formed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ace.arrays import EPS
from ace.errors import InputError
from ace.linalg import RowFactor, balance, nested_basis, orthonormal, random_frames


@dataclass(frozen=True, eq=False)
class BalancedSpan:
    """A span with its balanced coordinates, in which both Gramians are diagonal and equal.

    Attributes:
        directions: (d, r) balanced directions, columns.
        readers: (r, d) their readers; readers @ directions = identity (r, r).
        basis: (d, r) orthonormal basis of the same span; its first k columns span what the first k directions span.
        sigma: gives the Hankel singular values (k): first the r of the span, falling, then those of what it leaves out.
    """

    directions: Tensor
    readers: Tensor
    basis: Tensor
    sigma: Callable[[], Tensor]


class FactorSpectrum:
    """The spectrum of centred states and sensitivities; each part is computed when it is first asked for."""

    def __init__(self, states: RowFactor, sensitivities: RowFactor) -> None:
        self._states, self._sensitivities, self._rounding = states.factor, sensitivities.factor, states.rounding
        self._scale = ((states.rows - 1) * sensitivities.rows) ** -0.5
        # The factors are sums over rows, C and O means: only their means are balanced, whatever the numbers of rows.
        self._stretch = (sensitivities.rows / (states.rows - 1)) ** 0.25
        self._balance = balance(self._states, self._sensitivities, rounding=self._rounding)

    @cached_property
    def sigma(self) -> Tensor:
        """(k) Hankel singular values, in falling order."""
        return self._balance.sigma * self._scale

    @property
    def numerical_rank(self) -> int:
        """How many sigma are above rounding."""
        return self._balance.rank

    def reaches(self, rank: int) -> bool:
        """Whether the numerical rank is at least `rank`, for what the leading sigma alone tell."""
        return self._balance.reaches(rank)

    def null(self, draws: int, generator: torch.Generator) -> Tensor:
        """(draws) largest sigma after the sensitivities were turned at random against the states."""
        return self._scale * _turned(self._states, self._sensitivities, draws, generator)

    def leading(self, rank: int) -> BalancedSpan:
        """The span of the leading `rank` balanced directions: the core.

        Raises:
            InputError: more than the numerical rank.
        """
        directions = self._balance.directions(rank) * self._stretch
        readers = self._balance.readers(rank) / self._stretch
        return BalancedSpan(directions, readers, orthonormal(directions), lambda: self.sigma)

    def within(self, basis: Tensor) -> BalancedSpan:
        """Balanced coordinates of the span of orthonormal columns Q (d, r), whatever they were found with.

        The oblique projector onto the span is Q (Q^T O Q)^-1 Q^T O, the one that ACE has for its own span. With
        B Q = Z T (thin QR) it is Q T^-1 Z^T B, and what of the product A B^T goes through it is A B^T Z Z^T: the
        singular values of A B^T Z are the sigma of the span, those of A B^T (1 - Z Z^T) of what it leaves out. Squared
        and summed, the latter are the mean squared error of a linear tail that sees the span's part of the states only.

        Raises:
            InputError: directions in the span that the sensitivities do not read, or along which states do not move
                as far as they are read.
        """
        rank = basis.shape[1]
        if rank == 0:
            return BalancedSpan(basis, basis.T, basis, lambda: self.sigma)
        seen = self._sensitivities @ basis
        largest = float(self._sensitivities.abs().amax())
        limit = max(self._sensitivities.shape) * EPS * largest
        read = int((torch.linalg.svdvals(seen) > limit).sum())
        if read < rank:
            raise InputError(f"basis: expected {rank} dimensions that the sensitivities read, got {read}; {_BARE}")
        outputs = torch.linalg.qr(seen).Q  # (l, r)
        inside = balance(self._states, outputs.T @ self._sensitivities, rounding=self._rounding)
        if not inside.reaches(rank):
            raise InputError(f"basis: expected {rank} dimensions that states move along, got {inside.rank}; {_BARE}")
        readers = inside.readers(rank)
        weights = torch.linalg.inv(readers @ basis)  # directions in the coordinates of the given basis
        signs = torch.where(weights.gather(0, weights.abs().argmax(dim=0)[None]) < 0, -1.0, 1.0).to(weights)
        directions = basis @ (weights * signs) * self._stretch
        return BalancedSpan(
            directions,
            readers * signs.T / self._stretch,
            basis @ nested_basis(weights * signs)[0],
            lambda: self._scale * torch.cat([inside.sigma[:rank], self._outside(outputs)]),
        )

    def _outside(self, outputs: Tensor) -> Tensor:
        """Singular values of A B^T (1 - Z Z^T) for orthonormal columns Z (l, r): l - r at most are not zero."""
        left = self._sensitivities - outputs @ (outputs.T @ self._sensitivities)
        count = min(len(self._states), len(left) - outputs.shape[1])
        return balance(self._states, left, rounding=self._rounding).sigma[:count]


_BARE = "without sensitivities the span alone is taken"


def _turned(states: Tensor, sensitivities: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draws) largest singular values of A G B^T over Haar-random rotations G; only B's row space has to be turned."""
    sizes = torch.linalg.svdvals(sensitivities)
    # Without the sizes that are rounding, so that the draws do not depend on how many rows stand for the same O.
    sizes = sizes[sizes > 8 * max(sensitivities.shape) * EPS * sizes[0]]
    width = states.shape[1]
    largest = []
    for _ in range(draws):
        frame = random_frames(width, len(sizes), 1, generator)[0]
        largest.append(torch.linalg.matrix_norm(states @ (frame * sizes), ord=2))
    return torch.stack(largest) if len(sizes) else states.new_zeros(draws)
