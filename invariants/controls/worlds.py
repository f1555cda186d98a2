"""Worlds: where the states of prompts lie, by a law that is known, and what is read of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ace.tasks.base import Split
from ace.tasks.prompt import Prompts

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Law = Callable[[Prompts, np.random.Generator], Numbers]
Read = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class World:
    """A model: where states lie, and what is read of them.

    Attributes:
        law: prompts and a generator -> (n, d) coordinates.
        mixing: (d, d) columns are the directions along which states move with each coordinate.
        centre: (d) what is added to all states.
        read: coordinates (..., d) -> contrasts (...).
        seed: of the prompts' coordinates: models with the same one see the same prompts.
    """

    law: Law
    mixing: Tensor
    centre: Tensor
    read: Read
    seed: int = 0

    @cached_property
    def _back(self) -> Tensor:
        return torch.linalg.inv(self.mixing)

    @property
    def width(self) -> int:
        """d."""
        return len(self.centre)

    def states(self, prompts: Prompts) -> Tensor:
        """(n, d) float64."""
        place = list(Split).index(prompts.split)
        drawn = self.law(prompts, np.random.default_rng([self.seed, place]))
        return torch.from_numpy(drawn) @ self.mixing.T + self.centre

    def contrasts(self, states: Tensor) -> Tensor:
        """(...) contrasts of states (..., d)."""
        return self.read((states - self.centre) @ self._back.T)

    def gradients(self, states: Tensor) -> Tensor:
        """(n, d) of each contrast with respect to its state."""
        leaves = states.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(self.contrasts(leaves).sum(), leaves)
        return found


@dataclass(frozen=True)
class Shape:
    """A world's parameters.

    Attributes:
        width: d.
        strength: how much of the contrast half the distance between the numbers makes.
        stretch: factor of all that states move along the axis of number: at 1 it is one direction of many, at 30 it
            varies more than any other.
        noise: standard deviation of what the contrast has from all other directions together.
        heard: a direction's part in that falls with this power of its spread: at 2 the largest are hardly read.
        tilt: how far the axis of number leans towards the direction of the largest variance.
        bend: how far from linear the contrast is.
        offset: size of the states' mean.
    """

    width: int = 24
    strength: float = 2.0
    stretch: float = 1.0
    noise: float = 0.3
    heard: float = 2.0
    tilt: float = 0.3
    bend: float = 0.04
    offset: float = 2.0


PLAIN = Shape()
FIRST_COMPONENT = replace(PLAIN, stretch=30.0, tilt=0.0)
APART = replace(PLAIN, tilt=0.0)  # nearly orthogonal to the first principal component
LARGEST, SMALLEST = 4.0, 0.1  # standard deviations of the directions that have nothing to do with number
HEAD, ATTRACTOR, SECOND = 0, 1, 2  # coordinates


def scales(width: int) -> Numbers:
    """(d) standard deviations: of number and attractor 1, of the others falling evenly in logarithm."""
    return np.concatenate([[1.0, 1.0], np.geomspace(LARGEST, SMALLEST, width - 2)])


def uneven(prompts: Prompts, rng: np.random.Generator, width: int) -> Numbers:
    """(n, d) coordinates: number of the head, of the attractor, and others of very uneven spread.

    A prompt's number coordinate is 1 or -1, with a scatter that its noun's other prompts share in part.
    """
    rows, clusters = len(prompts), prompts.clusters
    noun = rng.standard_normal((clusters.max() + 1, width))[clusters]
    own = 0.5 * noun + np.sqrt(0.75) * rng.standard_normal((rows, width))
    assert prompts.attractors is not None
    coordinates = own * scales(width)
    coordinates[:, HEAD] = 2.0 * prompts.labels - 1 + 0.25 * own[:, HEAD]
    coordinates[:, ATTRACTOR] = 2.0 * prompts.attractors - 1 + 0.25 * own[:, ATTRACTOR]
    return coordinates


def bent(reading: Tensor, bend: float) -> Tensor:
    """A mildly nonlinear function: a little of the square, and less of the cube."""
    return reading + bend * reading.square() - bend**2 * reading**3


def mixing(shape: Shape, seed: int) -> tuple[Tensor, Tensor]:
    """(d, d) directions of the coordinates in a random frame, and (d) a mean."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(shape.width, shape.width, generator=generator, dtype=torch.float64)).Q
    towards = frame.clone()
    towards[:, HEAD] = shape.stretch * (frame[:, HEAD] + shape.tilt * frame[:, SECOND])
    centre = shape.offset * torch.randn(shape.width, generator=generator, dtype=torch.float64)
    return towards, centre


def world(shape: Shape, seed: int) -> World:
    """States about whose number the contrast knows by one coordinate, with some of all others beside it."""
    generator = torch.Generator().manual_seed(seed + 1)
    spread = torch.from_numpy(scales(shape.width))
    weights = torch.randn(shape.width, generator=generator, dtype=torch.float64) * spread**-shape.heard
    weights[HEAD] = 0.0
    weights *= shape.noise / (weights * spread).norm()
    weights[HEAD] = shape.strength

    def read(coordinates: Tensor) -> Tensor:
        return bent(coordinates @ weights, shape.bend)

    def law(prompts: Prompts, rng: np.random.Generator) -> Numbers:
        return uneven(prompts, rng, shape.width)

    towards, centre = mixing(shape, seed)
    return World(law, towards, centre, read, seed)


def true_axis(of: World) -> Tensor:
    """(d) the direction along which states move with the number."""
    return of.mixing[:, HEAD] / of.mixing[:, HEAD].norm()
