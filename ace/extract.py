"""Active Core Extraction by factors: (states, sensitivities) -> Core.

Reachability C = H_c^T H_c / (n - 1) says what the states reach, observability O = J^T J / m what the output reads. ACE
balances the two (square-root balanced truncation): sigma^2 are the eigenvalues of C O. Neither is ever formed.
Source: arXiv 2602.22600, section on extraction; the factor form is Laub, Heath, Paige and Ward 1987.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ace.arrays import EPS
from ace.check import as_matrix
from ace.core import Core, Energy, RankRule, span
from ace.errors import ExtractorError, InputError
from ace.linalg import RowFactor, balance, random_frames, row_factor, stream_factor


class Extractor(Protocol):
    """What can stand in for `extract_core`: the project's own, or a user's through `--ace-extractor`."""

    def __call__(self, states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
        """Core of states (n, d) and sensitivities (m, d)."""
        ...


def extract_core(
    states: Tensor,
    sensitivities: Tensor,
    *,
    rank: RankRule | None = None,
    site: str = "",
    task: str = "",
    split: str = "",
) -> Core:
    """Core of states H (n, d) and sensitivities J (m, d), both of any real dtype, computed in float64.

    Args:
        states: hidden states, one a row, n >= 2; centred here.
        sensitivities: gradients of the task's outputs with respect to the state, one a row, m >= 1; not centred.
        rank: the rule that chooses r; `Energy(0.99)` by default.
        site, task, split: provenance, copied to the core.

    Raises:
        InputError: wrong shape, fewer than two states, different widths, NaN or infinity.
    """
    columns = as_matrix("states", states, minimum_rows=2)
    rows = as_matrix("sensitivities", sensitivities, width=columns.shape[1])
    return extract_factors(
        row_factor(columns, centred=True), row_factor(rows, centred=False), rank=rank, site=site, task=task, split=split
    )


def extract_stream(
    states: Iterable[Tensor],
    sensitivities: Iterable[Tensor],
    *,
    rank: RankRule | None = None,
    site: str = "",
    task: str = "",
    split: str = "",
) -> Core:
    """`extract_core` over chunks (n_i, d) and (m_i, d) read once: memory O(d^2) whatever n and m.

    Raises:
        InputError: as `extract_core`, and for no chunk at all.
    """
    return extract_factors(
        stream_factor(states, centred=True, name="states"),
        stream_factor(sensitivities, centred=False, name="sensitivities"),
        rank=rank,
        site=site,
        task=task,
        split=split,
    )


def extract_factors(
    states: RowFactor,
    sensitivities: RowFactor,
    *,
    rank: RankRule | None = None,
    site: str = "",
    task: str = "",
    split: str = "",
) -> Core:
    """Core of two row factors of equal width; the common end of `extract_core` and `extract_stream`.

    Raises:
        InputError: fewer than two states, different widths, factors centred the wrong way round, or a rank that is no
            rule, or that exceeds the numerical rank.
    """
    if states.rows < 2:
        raise InputError(f"states: expected at least 2 rows, got {states.rows}")
    if not states.centred or sensitivities.centred:
        raise InputError("factors: expected centred states and uncentred sensitivities")
    if rank is not None and not callable(getattr(rank, "choose", None)):
        raise InputError(f"rank: expected a rank rule such as Fixed(3), got {rank!r}")
    spectrum = _FactorSpectrum(states, sensitivities)
    balanced = spectrum.balanced
    choice = (rank or Energy()).choose(spectrum)
    kept = choice.value or 0
    # The factors are sums over rows, C and O means: only their means are balanced, whatever the numbers of rows.
    stretch = (sensitivities.rows / (states.rows - 1)) ** 0.25
    directions = balanced.directions(kept) * stretch
    return Core(
        mean=states.mean,
        directions=directions,
        readers=balanced.readers(kept) / stretch,
        basis=span(directions),
        hankel=lambda: spectrum.sigma,
        rank=choice,
        samples=states.rows,
        site=site,
        task=task,
        split=split,
    )


class _FactorSpectrum:
    """The spectrum of two row factors; each part is computed when a rank rule first looks at it."""

    def __init__(self, states: RowFactor, sensitivities: RowFactor) -> None:
        self._states, self._sensitivities = states.factor, sensitivities.factor
        self._scale = ((states.rows - 1) * sensitivities.rows) ** -0.5
        self.balanced = balance(self._states, self._sensitivities, rounding=states.rounding)

    @cached_property
    def sigma(self) -> Tensor:
        return self.balanced.sigma * self._scale

    @property
    def numerical_rank(self) -> int:
        return self.balanced.rank

    def reaches(self, rank: int) -> bool:
        return self.balanced.reaches(rank)

    def null(self, draws: int, generator: torch.Generator) -> Tensor:
        return self._scale * _turned(self._states, self._sensitivities, draws, generator)


def checked(extractor: Extractor) -> Extractor:
    """An extractor whose results are checked: a `Core` of the states' width, whole, with an orthonormal basis.

    Raises (when called):
        ExtractorError: what came is no such core.
    """

    def call(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
        core = extractor(states, sensitivities, rank=rank)
        if not isinstance(core, Core):
            raise ExtractorError(f"extractor: expected an ace.Core, got {type(core).__name__}")
        if core.basis.ndim != 2 or core.width != states.shape[1]:
            raise ExtractorError(f"extractor: expected a basis ({states.shape[1]}, r), got {tuple(core.basis.shape)}")
        width, rank_found = core.basis.shape
        parts = {"basis": (width, rank_found), "directions": (width, rank_found), "readers": (rank_found, width)}
        for name, shape in {**parts, "mean": (width,)}.items():
            part = getattr(core, name)
            if part.dtype != torch.float64 or tuple(part.shape) != shape or not torch.isfinite(part).all():
                raise ExtractorError(
                    f"extractor: expected {name} {shape}, finite, in float64, got {tuple(part.shape)} in {part.dtype}"
                )
        identity = torch.eye(core.dimension, dtype=torch.float64)
        error = float((core.basis.T @ core.basis - identity).abs().amax()) if core.dimension else 0.0
        if not error < 1e-6:
            raise ExtractorError(f"extractor: expected an orthonormal basis, got Q^T Q off the identity by {error:.1e}")
        return core

    return call


def _turned(states: Tensor, sensitivities: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draws) largest singular values of A G B^T over Haar-random rotations G; only B's row space has to be turned."""
    sizes = torch.linalg.svdvals(sensitivities)
    # Without the sizes that are rounding, so that the draws do not depend on how many rows stand for the same O.
    sizes = sizes[sizes > 8 * max(sensitivities.shape) * EPS * sizes[0]]
    width = states.shape[1]
    found = []
    for _ in range(draws):
        frame = random_frames(width, len(sizes), 1, generator)[0]
        found.append(torch.linalg.matrix_norm(states @ (frame * sizes), ord=2))
    return torch.stack(found) if len(sizes) else states.new_zeros(draws)


def head_sensitivities(weight: Tensor) -> Tensor:
    """Exact sensitivities (classes, d) of logits through a linear head: its weight, centred over classes.

    A linear head has one Jacobian for every sample, so none is sampled. Logits are defined up to a shift, so the mean
    over classes is no output: W - mean(W). Its rank is at most classes - 1.

    Raises:
        InputError: not a matrix (classes >= 2, d).
    """
    matrix = as_matrix("weight", weight, minimum_rows=2)
    return matrix - matrix.mean(dim=0)
