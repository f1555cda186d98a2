"""Random subspaces in a core's place: the one engine that draws them, for every family."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ace.check import check_choice, check_count
from ace.core import PROJECTORS, Core
from ace.errors import Inapplicable, InputError
from ace.linalg import weighted_frames

REST = "the rest"
ROUNDING = 1e-6  # of the states' largest spread: what is below is no direction that they vary in


@dataclass(frozen=True, eq=False)
class Subspaces:
    """Subspaces with their projectors, one a draw: the component of h - m is directions @ readers @ (h - m).

    Attributes:
        directions: (draws, d, r) float64. readers: (draws, r, d), readers @ directions = identity (r, r).
    """

    directions: Tensor
    readers: Tensor

    def __len__(self) -> int:
        return len(self.directions)

    def take(self, draws: Tensor) -> Subspaces:
        """Those of some draws (g), in that order."""
        return Subspaces(self.directions[draws], self.readers[draws])

    def edited(self, states: Tensor, mean: Tensor, mode: str | float) -> Tensor:
        """(draws, n, d) states (n, d) under keep, remove, flip or a strength of each subspace about a mean (d)."""
        centre = mean.to(states)
        component = (states - centre) @ self.readers.to(states).mT @ self.directions.to(states).mT
        if mode == "keep":
            return component.add_(centre)
        gain = mode if isinstance(mode, float) else {"remove": 0.0, "flip": -1.0}[mode]
        return component.mul_(gain - 1.0).add_(states)


def rest_subspaces(core: Core, states: Tensor, draws: int, *, seed: int, projector: str = "orthogonal") -> Subspaces:
    """The rest: random subspaces of the core's rank, drawn as the states vary and made orthogonal to the core.

    For the orthogonal projector: Gaussian combinations of the states, less their part in the core, made orthonormal.
    For the oblique one: orthonormal combinations of the *whitened* states that the core's readers do not read. Their
    readers are dual to them in the states' covariance, so that a state's part in the subspace and what is left of it
    are uncorrelated. That is coordinate-free: under h -> G h the same draws come out as G directions.

    Args:
        states: (n, d) extraction states.
        seed: of the draws; the same seed gives the same subspaces.

    Raises:
        InputError: states of another width, another projector, or no draws.
        Inapplicable: outside the core states vary in fewer directions than the core has.
    """
    check_choice("projector", projector, PROJECTORS)
    check_count("draws", draws)
    centred = _centred(core, states)
    generator = torch.Generator().manual_seed(seed)
    if projector == "orthogonal":
        outside = centred - centred @ core.basis @ core.basis.T
        _require_directions(core, torch.linalg.svdvals(torch.linalg.qr(outside, mode="r").R), centred)
        bases = weighted_frames(outside, core.dimension, draws, generator)
        return Subspaces(bases, bases.mT)
    _, spread, axes = torch.linalg.svd(torch.linalg.qr(centred, mode="r").R, full_matrices=False)
    varied = int((spread > ROUNDING * spread[:1]).sum())
    colour, white = axes[:varied].T * spread[:varied], axes[:varied] / spread[:varied, None]  # (d, k), (k, d)
    read = torch.linalg.qr((core.readers @ colour).T).Q  # (k, r) what the core's readers read of whitened states
    if varied < 2 * core.dimension:
        raise _too_few(core, varied - core.dimension)
    mixed = torch.randn(draws, varied, core.dimension, generator=generator, dtype=torch.float64)
    unread = torch.linalg.qr(mixed - read @ (read.T @ mixed)).Q
    return Subspaces(colour @ unread, unread.mT @ white)


def under_readers(core: Core, states: Tensor, draws: int, *, seed: int) -> Subspaces:
    """Random directions under the core's own readers: what is read of a state stays, where it is written is drawn.

    Gaussian combinations of the states' departures from the mean, mixed so that the readers read them as they read the
    core's own directions. They contain half of the core, so they are no control: where their flip does what the
    core's does, it is the readers that matter and not the directions.

    Args:
        states: (n, d) extraction states.
        seed: as `rest_subspaces`.

    Raises:
        InputError: states of another width, or no draws.
    """
    check_count("draws", draws)
    centred = _centred(core, states)
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(draws, core.dimension, len(centred), generator=generator, dtype=torch.float64) @ centred
    directions = mixed.mT @ torch.linalg.inv(core.readers @ mixed.mT)
    return Subspaces(directions, core.readers.expand(draws, -1, -1))


def _centred(core: Core, states: Tensor) -> Tensor:
    """(n, d) float64 departures of states (n, d) from the core's mean."""
    given = states.double().cpu()
    if given.ndim != 2 or given.shape[1] != core.width:
        raise InputError(f"states: expected shape (n, {core.width}), got {tuple(given.shape)}")
    return given - core.mean


def _require_directions(core: Core, outside: Tensor, centred: Tensor) -> None:
    varied = int((outside > ROUNDING * float(centred.norm())).sum())
    if varied < core.dimension:
        raise _too_few(core, varied)


def _too_few(core: Core, varied: int) -> Inapplicable:
    return Inapplicable(
        f"the core takes {core.dimension} of {core.width} dimensions and states vary in {max(varied, 0)} others, too"
        " few for random subspaces of its size"
    )
