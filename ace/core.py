"""The record `Core`: a low-dimensional subspace of a site's hidden state. Plain data: made, compared, saved, loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ace.check import as_finite, as_matrix, check_choice, check_count, check_rank
from ace.core_arrays import ARRAYS, independent_columns, skewness
from ace.core_file import PROVENANCE, read_core, write_core
from ace.errors import InputError
from ace.linalg import row_factor
from ace.rank import RankChoice, RankRule, check_rule
from ace.spectrum import FactorSpectrum

PROJECTORS = ORTHOGONAL, OBLIQUE = "orthogonal", "oblique"
REFERENCES = ("mean", "zero", "resample")
BLOCK = 4096  # rows whose coordinates are computed at a time


class Deferred:
    """A tensor that is computed when it is first read. Copied or pickled, it becomes that tensor."""

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self._compute: Callable[[], Tensor] | None = compute
        self._value: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The tensor."""
        if self._value is None:
            assert self._compute is not None
            self._value, self._compute = self._compute(), None  # what it was computed from is let go
        return self._value

    def __reduce__(self) -> tuple[Callable[[Tensor], Tensor], tuple[Tensor]]:
        return _itself, (self.value,)


def _itself(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True, eq=False)
class Core:
    """A low-dimensional subspace of a site's hidden state that carries a task. `from_basis` makes one from outside.

    Two cores are equal where all their arrays are, bit for bit, and their rank choice and provenance. As arrays can be
    written to, cores have no hash.

    Attributes:
        mean: (d) float64, mean of the extraction states, the default reference point.
        directions: (d, r) directions of the oblique projector, columns; their span is the core.
        readers: (r, d) their readers; readers @ directions = identity (r, r). In the coordinates that balanced readers
            read, both Gramians are diag(sigma[:r]).
        basis: (d, r) orthonormal basis Q of the same span; its first k columns span what the first k directions span.
        rank: the rule that chose r, with its evidence.
        samples: how many states it was extracted from; 0 where nobody said.
        site, task, split: where the states came from.
        hankel: sigma, or what computes it when it is first read, saved, pickled or compared; None for a core whose
            readers are not balanced, because no sensitivities were given.
    """

    mean: Tensor
    directions: Tensor
    readers: Tensor
    basis: Tensor
    rank: RankChoice
    samples: int = 0
    site: str = ""
    task: str = ""
    split: str = ""
    hankel: Tensor | Deferred | None = field(default=None, repr=False)

    @classmethod
    def from_basis(
        cls,
        basis: Tensor | ArrayLike,
        mean: Tensor | ArrayLike | None = None,
        *,
        states: Tensor | ArrayLike | None = None,
        sensitivities: Tensor | ArrayLike | None = None,
        rank: RankRule | None = None,
        samples: int = 0,
        site: str = "",
        task: str = "",
        split: str = "",
    ) -> Core:
        """A core of a subspace found elsewhere.

        Without sensitivities the oblique projector is the orthogonal one, the columns keep their order (the first k of
        the basis span what the first k given ones do), and there is no sigma. With states and sensitivities the core
        gets the balanced directions and readers *within the span*, so that its oblique projector is the coordinate-free
        Q (Q^T O Q)^-1 Q^T O, and the dimensions are put in the falling order of the span's sigma. The columns of a
        basis found by ACE, leading one first, are in that order already.

        Args:
            basis: (d, c) independent columns, of any lengths and angles; made orthonormal here.
            mean: (d) reference point; the mean of `states` where it is left out.
            states: H (n, d), one a row; n >= 2 where sensitivities are given.
            sensitivities: J (m, d), one a row; with `states` only.
            rank: chooses r from the spectrum of states and sensitivities, and the first r columns are taken; all of
                them by default.
            samples: how many states the basis was found from, where they are not given.
            site, task, split: provenance, copied to the core.

        Raises:
            InputError: wrong shapes, NaN or infinity, dependent columns, neither mean nor states, sensitivities without
                states, a rule without both or one that chooses more than c; with sensitivities, a span that they do not
                read, or that states do not move in, in all its dimensions.
        """
        columns = as_finite("basis", basis)
        if columns.ndim != 2 or columns.shape[0] == 0:
            raise InputError(f"basis: expected a matrix (d, r), got shape {tuple(columns.shape)}")
        least = 1 if sensitivities is None else 2
        rows = None if states is None else as_matrix("states", states, width=len(columns), minimum_rows=least)
        spectrum = None if sensitivities is None else _spectrum(rows, sensitivities)
        choice = _chosen(rank, spectrum, columns.shape[1])
        frame = independent_columns("basis", columns[:, : choice.value or 0])
        span = None if spectrum is None else spectrum.within(frame)
        return cls(
            mean=_point(mean, rows, len(columns)),
            directions=span.directions if span else frame,
            readers=span.readers if span else frame.T,
            basis=span.basis if span else frame,
            rank=choice,
            samples=check_count("samples", samples, smallest=0) if rows is None else len(rows),
            site=site,
            task=task,
            split=split,
            hankel=Deferred(span.sigma) if span else None,
        )

    @property
    def balanced(self) -> bool:
        """Whether readers and directions are balanced, and sigma known: not where a basis alone was given."""
        return self.hankel is not None

    @property
    def sigma(self) -> Tensor:
        """(k) Hankel singular values, not squared: those of the core's r dimensions, then those of what it leaves out.

        The core's fall. The others, squared, sum to the mean squared error of a linear tail that sees the core's part
        of the states only, by the oblique projector. A core that ACE extracted has all of its data's, falling.

        Raises:
            InputError: the core is not balanced.
        """
        if self.hankel is None:
            raise InputError("sigma: expected a core of states and sensitivities, got one of a basis alone")
        return self.hankel.value if isinstance(self.hankel, Deferred) else self.hankel

    @property
    def dimension(self) -> int:
        """r, the number of dimensions."""
        return self.basis.shape[1]

    @property
    def width(self) -> int:
        """d, the width of the hidden state."""
        return self.basis.shape[0]

    @property
    def dual(self) -> Tensor:
        """(d, r) dual basis D of the oblique projector: Pi = Q D^T, D^T Q = identity (r, r)."""
        return (self.basis.T @ self.directions @ self.readers).T

    def projector(self, kind: str = "orthogonal") -> Tensor:
        """(d, d) projector onto the core.

        `orthogonal` is Q Q^T, the paper's. `oblique` is directions @ readers, the coordinate-free one: under h -> G h,
        with the head composed with G^-1, it becomes G Pi G^-1.
        """
        check_choice("kind", kind, PROJECTORS)
        return self.basis @ self.basis.T if kind == "orthogonal" else self.directions @ self.readers

    def coordinates(self, states: Tensor, kind: str = "orthogonal") -> Tensor:
        """Core coordinates (..., r) float64 of states (..., d), about the mean: Q^T (h - mean) or D^T (h - mean)."""
        check_choice("kind", kind, PROJECTORS)
        floating = isinstance(states, Tensor) and states.is_floating_point()
        values = states.detach() if floating else as_finite("states", states)
        if values.shape[-1] != self.width:
            raise InputError(f"states: expected width {self.width}, got {values.shape[-1]}")
        onto = self.basis if kind == "orthogonal" else self.dual
        # Blocks stay in the cache: copies of all states in float64 would cost five times the product.
        blocks = values.reshape(-1, self.width).split(BLOCK)
        result = torch.cat([(block.to(torch.float64) - self.mean) @ onto for block in blocks])
        if not torch.isfinite(result.sum()):
            as_finite("states", states)  # which rows
        return result.view(*values.shape[:-1], onto.shape[1])

    def truncated(self, rank: int) -> Core:
        """The core of the leading `rank` dimensions."""
        check_rank("rank", rank, self.dimension)
        return replace(
            self,
            directions=self.directions[:, :rank],
            readers=self.readers[:rank],
            basis=self.basis[:, :rank],
            rank=RankChoice(rank, f"fixed {rank}", {}),
        )

    def with_basis(self, basis: Tensor) -> Core:
        """Another subspace of the same site in the core's place, for controls: same mean and provenance, Q as given.

        Unlike `from_basis` it takes orthonormal columns as they are, to the bit. The oblique projector is the
        orthogonal one, and the core is not balanced.

        Raises:
            InputError: `basis` (d, r) is not orthonormal to 1e-8.
        """
        columns = as_finite("basis", basis)
        if columns.ndim != 2 or columns.shape[0] != self.width:
            raise InputError(f"basis: expected shape ({self.width}, r), got {tuple(columns.shape)}")
        error = skewness(columns)
        if error > 1e-8:
            raise InputError(f"basis: expected orthonormal columns, got Q^T Q off the identity by {error:.1e}")
        choice = RankChoice(columns.shape[1], f"given, {columns.shape[1]} columns", {})
        return replace(self, directions=columns, readers=columns.T, basis=columns, rank=choice, hankel=None)

    def save(self, path: str | Path, use: Mapping[str, Any] | None = None) -> None:
        """Write the core to one safetensors file, whole or not at all: its arrays, and the rest as JSON beside them.

        Args:
            use: plain values for whoever edits a model with it, kept in the file and no part of the core.

        Raises:
            InputError: what `load` would refuse: arrays that make no core, or provenance of another type.
            ArtifactError: the file cannot be written.
        """
        arrays = {name: getattr(self, name) for name in ARRAYS} | ({"sigma": self.sigma} if self.balanced else {})
        write_core(Path(path), arrays, self.rank, {name: getattr(self, name) for name in PROVENANCE}, use)

    @classmethod
    def load(cls, path: str | Path) -> Core:
        """A core that `save` wrote, to the bit.

        Raises:
            ArtifactError: no such file, or one that is truncated, corrupt, foreign, of another schema, or no core.
        """
        arrays, rank, provenance = read_core(Path(path))
        sigma = arrays.pop("sigma", None)
        return cls(**arrays, **provenance, rank=rank, hankel=sigma)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Core):
            return NotImplemented
        names = [*ARRAYS, "sigma"] if self.balanced else ARRAYS
        return (
            all(getattr(self, name) == getattr(other, name) for name in ("rank", "balanced", *PROVENANCE))
            and all(torch.equal(getattr(self, name), getattr(other, name)) for name in names)  # sigma last: it may cost
        )


def _spectrum(states: Tensor | None, sensitivities: Tensor | ArrayLike) -> FactorSpectrum:
    if states is None:
        raise InputError("states: expected beside sensitivities, got none")
    rows = as_matrix("sensitivities", sensitivities, width=states.shape[1])
    return FactorSpectrum(row_factor(states, centred=True), row_factor(rows, centred=False))


def _chosen(rank: RankRule | None, spectrum: FactorSpectrum | None, columns: int) -> RankChoice:
    """How many of the columns a core from outside takes."""
    if rank is None:
        return RankChoice(columns, f"given, {columns} columns", {})
    rule = check_rule("rank", rank)
    if spectrum is None:
        raise InputError("rank: expected with states and sensitivities, whose spectrum a rule looks at, got it without")
    choice = rule.choose(spectrum)
    if (choice.value or 0) > columns:
        raise InputError(f"basis: expected at least the {choice.value} columns of {choice.rule}, got {columns}")
    return choice


def _point(mean: Tensor | ArrayLike | None, states: Tensor | None, width: int) -> Tensor:
    """The reference point (d) of a core from outside."""
    if mean is not None:
        point = as_finite("mean", mean)
        if tuple(point.shape) != (width,):
            raise InputError(f"mean: expected shape ({width},), got {tuple(point.shape)}")
        return point.clone()  # what the caller writes to later is no part of the core
    if states is None:
        raise InputError("mean: expected a point (d), or states (n, d) to take it from, got neither")
    return states.mean(dim=0)
