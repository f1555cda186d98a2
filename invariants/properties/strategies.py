"""Shared builders: random problems small enough to print, from integer seeds and sizes alone.

Hypothesis draws seeds and sizes, never arrays, so a failing example is one short line and shrinks to small sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from ace.arrays import EPS, Array
from ace.core import Core
from ace.extract import extract_core
from ace.model.sites import Anatomy, find_sites
from ace.rank import Energy, Fixed, Full, Gap, Null, RankRule
from ace.tasks.base import Batch
from ace.training.transformer import Architecture, SmallTransformer, initialise

LIMITS = {"max_value": 2**32 - 1, "min_value": 0}

seeds = st.integers(**LIMITS)
widths = st.integers(1, 7)
conditions = st.floats(1.0, 10.0)


def rounding(size: int, condition: float = 1.0) -> float:
    """Backward-stable error bound: a modest constant (64) times eps, the largest size and the condition number."""
    return 64 * EPS * size * condition


def hoeffding(draws: int, spread: float = 1.0) -> float:
    """Deviation of a mean of independent values in a range `spread` that chance exceeds with probability 1e-12."""
    return spread * math.sqrt(math.log(2e12) / (2 * draws))


def distance(first: Tensor | NDArray[np.generic], second: Tensor | NDArray[np.generic] | float) -> float:
    """Largest absolute difference; NaN where either has one, so that no comparison with it holds."""
    # Through NumPy, because torch reads Python's floats as float32.
    left, right = (x if isinstance(x, Tensor) else torch.from_numpy(np.asarray(x)) for x in (first, second))
    return float((left - right).abs().max()) if left.numel() else 0.0


def predicted(batch: Batch) -> Array:
    """(n, s, v) the oracle's distributions, of a batch that comes with them."""
    assert batch.predictive is not None
    return batch.predictive


def gaussian(seed: int, *shape: int) -> Tensor:
    """Independent standard normal entries, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def frame(seed: int, rows: int, columns: int) -> Tensor:
    """Orthonormal columns (rows, columns)."""
    return torch.linalg.qr(gaussian(seed, rows, columns)).Q


def centred_frame(seed: int, rows: int, columns: int) -> Tensor:
    """Orthonormal columns (rows, columns), each of mean zero; rows > columns."""
    raw = gaussian(seed, rows, columns)
    return torch.linalg.qr(raw - raw.mean(dim=0)).Q


def invertible(seed: int, width: int, condition: float) -> Tensor:
    """(width, width) with singular values spread evenly in logarithm over 1/sqrt(condition)..sqrt(condition)."""
    sizes = torch.logspace(-0.5, 0.5, width, dtype=torch.float64, base=condition) if width > 1 else torch.ones(1)
    return frame(seed, width, width) * sizes @ frame(seed + 1, width, width).T


def projector(basis: Tensor) -> Tensor:
    """Orthogonal projector (d, d) onto orthonormal columns (d, r)."""
    return basis @ basis.T


def gramians(states: Tensor, sensitivities: Tensor) -> tuple[Tensor, Tensor]:
    """Reachability C and observability O (d, d), formed as they are defined: the slow twin of the factors."""
    centred = states - states.mean(dim=0)
    return centred.T @ centred / (len(states) - 1), sensitivities.T @ sensitivities / len(sensitivities)


@dataclass(frozen=True)
class Problem:
    """Generic well-scaled states (2 d + extra, d) with an offset and sensitivities (outputs, d)."""

    seed: int
    width: int
    extra: int
    outputs: int

    @cached_property
    def states(self) -> Tensor:
        """(n, d), n >= 2 d + 2, so that the Gaussian's condition number is modest."""
        return gaussian(self.seed, 2 * self.width + 2 + self.extra, self.width) + gaussian(self.seed + 1, self.width)

    @cached_property
    def sensitivities(self) -> Tensor:
        """(m, d)."""
        return gaussian(self.seed + 2, self.outputs, self.width)

    @property
    def size(self) -> int:
        """Largest of all sizes."""
        return max(*self.states.shape, *self.sensitivities.shape)


problems = st.builds(Problem, seed=seeds, width=widths, extra=st.integers(0, 10), outputs=st.integers(1, 12))


@dataclass(frozen=True)
class Planted:
    """A system with known Hankel singular values, built from balanced factors.

    In coordinates x = T z the Gramians are C = T diag(c) T^T and O = T^-T diag(o) T^-1, so C O = T diag(c o) T^-1 and
    the columns of T are the balanced directions. Of the inert coordinates every other one is reached but not observed
    (c = 1, o = 0), the rest observed but not reached: both outweigh the core in their own Gramian.
    """

    seed: int
    ratios: tuple[float, ...]
    inert: int
    condition: float
    extra: int = 4
    offset: float = 1.0

    @property
    def rank(self) -> int:
        """How many sigma are not zero."""
        return len(self.ratios)

    @property
    def width(self) -> int:
        """d."""
        return self.rank + self.inert

    @property
    def sigma(self) -> Tensor:
        """(rank) falling from 1, each smaller than the last by its ratio."""
        return 1 / torch.tensor(self.ratios, dtype=torch.float64).cumprod(dim=0) * self.ratios[0]

    @cached_property
    def turn(self) -> Tensor:
        """(d, d) T, columns the balanced directions."""
        return invertible(self.seed, self.width, self.condition)

    @cached_property
    def states(self) -> Tensor:
        """(n, d) with exactly the Gramian C about their mean."""
        samples = self.width + 2 + self.extra
        sizes = torch.cat([self.sigma, (torch.arange(self.inert) % 2 == 0).double()]).sqrt()
        factor = centred_frame(self.seed + 2, samples, self.width) * sizes @ self.turn.T
        return (samples - 1) ** 0.5 * factor + self.offset * gaussian(self.seed + 3, self.width)

    @cached_property
    def sensitivities(self) -> Tensor:
        """(m, d) with exactly the Gramian O."""
        outputs = self.width + self.extra
        sizes = torch.cat([self.sigma, (torch.arange(self.inert) % 2 == 1).double()]).sqrt()
        return outputs**0.5 * frame(self.seed + 4, outputs, self.width) * sizes @ torch.linalg.inv(self.turn)

    def projector(self, rank: int) -> Tensor:
        """(d, d) the oblique projector onto the leading `rank` balanced directions."""
        return self.turn[:, :rank] @ torch.linalg.inv(self.turn)[:rank]

    def basis(self, rank: int) -> Tensor:
        """(d, rank) orthonormal basis of the leading `rank` balanced directions."""
        return torch.linalg.qr(self.turn[:, :rank]).Q

    def tolerance(self, rank: int) -> float:
        """Error of the leading span: rounding of the factors (kappa of T, twice) over the relative gap after `rank`."""
        after = float(self.sigma[rank]) if rank < self.rank else 0.0
        return rounding(2 * self.width + 6, self.condition**2 / (float(self.sigma[rank - 1]) - after))


ratios = st.lists(st.floats(1.5, 4.0), min_size=1, max_size=4).map(tuple)
planted_systems = st.builds(
    Planted, seed=seeds, ratios=ratios, inert=st.integers(0, 4), condition=conditions, extra=st.integers(0, 8)
)


def moved(system: Planted, change: Tensor) -> tuple[Tensor, Tensor]:
    """The same system after h -> G h, with the head composed with G^-1."""
    return system.states @ change.T, system.sensitivities @ torch.linalg.inv(change)


def moved_tolerance(system: Planted, rank: int, condition: float) -> float:
    """Rounding of both systems, and of the change itself, whose condition number multiplies T's."""
    return system.tolerance(rank) * condition**2


def planted_core(seed: int, width: int, rank: int, condition: float = 4.0) -> Core:
    """A core of `rank` dimensions in a space of `width`, oblique unless `condition` is 1."""
    system = Planted(seed, (1.5,) * rank, width - rank, condition)
    return extract_core(system.states, system.sensitivities, rank=Fixed(rank))


RULES: dict[str, RankRule] = {
    "energy": Energy(0.9),
    "gap": Gap(),
    "full": Full(),
    "null": Null(quantile=0.9, draws=20),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def head_problem(seed: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Generic states (n, d) and the weight (classes, d) of a linear head."""
    return gaussian(seed, 2 * width + 4, width) + 1, gaussian(seed + 1, classes, width)


def crossed_moment(states: Tensor, weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Of a head's outputs z but for redundant ones: Cov(h, z) (d, rank), Cov(z), their head (rank, d), condition."""
    reach, _ = gramians(states, weight)
    _, sizes, right = torch.linalg.svd(weight - weight.mean(dim=0), full_matrices=False)
    head = sizes[:rank, None] * right[:rank]
    inner = head @ reach @ head.T
    return reach @ head.T, inner, head, float(torch.linalg.cond(inner) * torch.linalg.cond(reach))


def padded(problem: Problem, place: int, constant: float, silent: bool) -> tuple[Tensor, Tensor]:
    """A problem with a column more: of no gradient, whatever its variance, or of no variance, whatever its gradient."""
    states, gradients = problem.states, problem.sensitivities
    still = torch.full((len(states), 1), constant, dtype=torch.float64)
    live = gaussian(problem.seed + 5, len(states), 1)
    heard = gaussian(problem.seed + 6, len(gradients), 1)
    added, read = (live, torch.zeros_like(heard)) if silent else (still, heard)
    wider = torch.cat([states[:, :place], added, states[:, place:]], dim=1)
    return wider, torch.cat([gradients[:, :place], read, gradients[:, place:]], dim=1)


def repeating(seed: int, width: int, repeats: int, condition: float) -> Planted:
    """A system whose largest sigma, 1, comes `repeats` times, and then one half."""
    return Planted(seed, (1.5,) + (1.0,) * (repeats - 1) + (2.0,), width, condition)


def steep(seed: int) -> Planted:
    """A system of two sigma; the square of the second is below eps."""
    return Planted(seed, (1.0, EPS**-0.6), 0, 1.0, offset=0.0)


def hankel_values(states: Tensor, sensitivities: Tensor) -> Tensor:
    """(min(n, m)) sigma by their definition: singular values of H_c J^T over the roots of n - 1 and m."""
    product = (states - states.mean(dim=0)) @ sensitivities.T
    return torch.linalg.svdvals(product) / ((len(states) - 1) * len(sensitivities)) ** 0.5


def span_error(core: Core, basis: Tensor) -> float:
    """Distance of a core's span from that of an orthonormal basis (d, r)."""
    return distance(core.projector(), projector(basis))


@dataclass(frozen=True)
class Language:
    """A small random transformer in float64 with token sequences to run it on."""

    seed: int
    blocks: int
    sequences: int
    length: int

    @cached_property
    def model(self) -> SmallTransformer:
        """In evaluation mode, width 8, 5 tokens, all weights frozen."""
        model = SmallTransformer(Architecture(5, self.length, self.blocks, width=8, heads=2, hidden=12))
        initialise(model, torch.Generator().manual_seed(self.seed))
        return model.double().eval().requires_grad_(False)

    @cached_property
    def inputs(self) -> Tensor:
        """(n, t) token ids."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        return torch.randint(5, (self.sequences, self.length), generator=generator)

    @cached_property
    def anatomy(self) -> Anatomy:
        """The model's sites."""
        return find_sites(self.model)

    @property
    def tolerance(self) -> float:
        """Rounding of a forward or backward pass: layer norms amplify by at most about 1e2 each, two a block."""
        return rounding(64, 1e2 * (1 + self.blocks))


languages = st.builds(
    Language, seed=seeds, blocks=st.integers(1, 2), sequences=st.integers(1, 5), length=st.integers(1, 5)
)
batches = st.builds(
    Language, seed=seeds, blocks=st.integers(1, 2), sequences=st.integers(2, 5), length=st.integers(2, 5)
)
