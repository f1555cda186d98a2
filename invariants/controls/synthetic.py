"""Language models made of numbers: states of prompts whose law is known, and contrasts that are a function of them.

What a claim about agreement measures of a real model it measures of these by the same code: `Synthetic` is a study with
states, gradients and edits of its own in the place of those of a network. A verdict takes milliseconds, so that it can
be asked a thousand times of systems whose truth is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ace.core import Core
from ace.errors import Inapplicable
from ace.extract import Extractor, extract_core
from ace.families.family import find_claim
from ace.model.continuation import Encoded
from ace.model.language import LanguageModel
from ace.model.prefix import PrefixRun
from ace.model.sites import Site
from ace.rank import RankChoice
from ace.study.language_subjects import AGREEMENT
from ace.study.memory import Memory
from ace.study.prompt_rest import few_rows, few_runs
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy, Runs
from ace.study.site_choice import Choice
from ace.tasks.agreement import COPULA
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts, PromptTask
from ace.verify import Status, Verdict, judge

NOUNS = {Split.EXTRACTION: 100, Split.SELECTION: 24, Split.EVALUATION: 24}
EACH = 4  # prompts of a noun: either number of the head, either of the attractor
SITES = (Site(0, 0.0, "below", linear_tail=False), Site(1, 1.0, "norm", linear_tail=False))  # nothing lies between

Law = Callable[[Prompts, np.random.Generator], np.ndarray[Any, np.dtype[np.float64]]]
Read = Callable[[Tensor], Tensor]


class Source(PromptTask):
    """Prompts of no words: heads and attractors of either number, crossed, four prompts a noun."""

    name, names, contrast, attractors = "synthetic", ("singular", "plural"), COPULA, True

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """The prompts of a split; `count` is not asked."""
        rows = EACH * NOUNS[split]
        numbers = np.arange(rows)
        return Prompts(
            tuple(f"{split} prompt {number}" for number in numbers),
            numbers % 2,
            self.names,
            tuple(f"{split} {number // EACH}" for number in numbers),
            (COPULA,),
            split,
            numbers // 2 % 2,
        )


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


class Run:
    """Some prompts, run once: what `PrefixRun` is of a network."""

    tails, nbytes = 1, 0

    def __init__(self, world: World, states: Tensor) -> None:
        self._world, self._states = world, states
        self.base = world.contrasts(states)

    def states(self, site: Site) -> Tensor:
        """(n, d), the same at every site."""
        return self._states

    def push(self, site: Site, edited: Tensor) -> Tensor:
        """(m, n) contrasts of edited states (m, n, d)."""
        return self._world.contrasts(edited.double())

    def push_all(self, edited: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """The same at several sites."""
        return {index: self._world.contrasts(states) for index, states in edited.items()}


@dataclass(frozen=True, eq=False)
class Group:
    """Which prompts a run has: what `Encoded` is of a network."""

    rows: Tensor


def remember(study: PromptStudy, function: Any, arguments: tuple[object, ...], value: object) -> None:
    """Put a value in the place of what a remembered function of a study would give."""
    study.memory.put((function.__wrapped__, study, arguments, ()), value)


class Synthetic(PromptStudy):
    """A study of a world.

    Args:
        fixed: take the lower site and a core of one dimension; else both are chosen as in any other study.
    """

    def __init__(
        self,
        world: World,
        *,
        extractor: Extractor = extract_core,
        own_labels: bool = False,
        fixed: bool = True,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(cast(LanguageModel, None), Source(), extractor=extractor, own_labels=own_labels, memory=memory)
        self.world, self.fixed = world, fixed
        rows = torch.from_numpy(few_rows(self))
        few = Run(world, self.world.states(self.prompts(Split.EVALUATION))[rows])
        # Where these functions would ask the network they find that they did already.
        remember(self, few_runs, (None,), ([Group(torch.arange(len(rows)))], [few]))

    @property
    def sites(self) -> tuple[Site, ...]:
        """One below, and one that stands for the final norm."""
        return SITES

    def encoded(self, split: Split) -> list[Encoded]:
        """All prompts of a split as one group."""
        return cast(list[Encoded], [Group(torch.arange(len(self.prompts(split))))])

    def runs(self, split: Split) -> Runs:
        """The same, run once."""
        return self.memory.get(
            ("run", self, split),
            lambda: Runs(cast(Sequence[PrefixRun], [Run(self.world, self.world.states(self.prompts(split)))])),
        )

    @property
    def observed(self) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """States and gradients of the extraction split at both sites."""
        states = self.runs(Split.EXTRACTION)[0].states(SITES[0])
        gradients = self.memory.get(("gradients", self), lambda: self.world.gradients(states))
        return dict.fromkeys((0, 1), states), dict.fromkeys((0, 1), gradients)

    def choice(self, projector: str = "orthogonal", *, deep: bool = False) -> Choice:
        """The lower site at rank 1, or what the selection split says."""
        if self.fixed:
            return self.memory.get(
                ("fixed", self, projector), lambda: Choice(SITES[0], RankChoice(1, "fixed 1"), projector)
            )
        return super().choice(projector, deep=deep)


class SyntheticSeeds(PromptStudies):
    """Worlds as seeds of one model.

    Args:
        alike: what the study of each world has.
    """

    def __init__(self, worlds: Sequence[World], *, memory: Memory | None = None, **alike: Any) -> None:
        super().__init__(lambda index: cast(LanguageModel, None), len(worlds), Source(), memory=memory)
        self.worlds, self.alike = worlds, alike

    def study(self, index: int, own_labels: bool = False, fewer: bool = False) -> PromptStudy:
        """One world; of twins there are as many as are asked for, the worlds over and over."""

        def make() -> PromptStudy:
            world = self.worlds[index % len(self.worlds)]
            return Synthetic(world, own_labels=own_labels, memory=self.memory, **self.alike)

        return self.memory.get(("study", self, index, own_labels), make)


def synthetic_subject(worlds: Sequence[World], twins: Sequence[World] = (), **alike: Any) -> PromptSubject:
    """Worlds as a subject, with others as its untrained twins."""
    memory = Memory()
    trained = SyntheticSeeds(worlds, memory=memory, **alike)
    untrained = SyntheticSeeds(twins, memory=memory) if twins else None
    return PromptSubject("synthetic", AGREEMENT, trained, untrained, memory=memory)


def verdict(identifier: str, subject: PromptSubject) -> Verdict:
    """A claim measured and judged; `verify_claim` without the published protocol, for which there are no words."""
    sentence = find_claim(identifier)
    try:
        if sentence.needs_behaviour:
            subject.require_behaviour()
        return judge(sentence, sentence.measure(subject), subject.name)
    except Inapplicable as reason:
        return Verdict(sentence, subject.name, Status.INAPPLICABLE, str(reason))


# --- worlds -----------------------------------------------------------------------------------------------------------
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


def scales(width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(d) standard deviations: of number and attractor 1, of the others falling evenly in logarithm."""
    return np.concatenate([[1.0, 1.0], np.geomspace(LARGEST, SMALLEST, width - 2)])


def uneven(prompts: Prompts, rng: np.random.Generator, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
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

    def law(prompts: Prompts, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
        return uneven(prompts, rng, shape.width)

    towards, centre = mixing(shape, seed)
    return World(law, towards, centre, read, seed)


def true_axis(of: World) -> Tensor:
    """(d) the direction along which states move with the number."""
    return of.mixing[:, HEAD] / of.mixing[:, HEAD].norm()


def replaced(subject: PromptSubject, change: Callable[[Core, PromptStudy], Core]) -> PromptSubject:
    """The subject with other axes in the place of its cores, to be measured with nothing else changed."""
    for study in subject.trained.studies:
        study.replace_core(SITES[0], change(study.core(SITES[0]), study))
    return subject
