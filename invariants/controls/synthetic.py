"""Language models made of numbers: states of prompts whose law is known, and contrasts that are a function of them.

What a claim about agreement measures of a real model it measures of these by the same code: `Synthetic` is a study with
states, gradients and edits of its own in the place of those of a network. A verdict takes milliseconds, so that it can
be asked a thousand times of systems whose truth is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from ace.study.memory import Memory, key_of
from ace.study.prompt_rest import few_runs
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy, Runs
from ace.study.site_choice import Choice
from ace.tasks.agreement import COPULA
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts, PromptTask
from ace.verify import Status, Verdict, judge
from invariants.controls.worlds import World

NOUNS = {Split.EXTRACTION: 100, Split.SELECTION: 24, Split.EVALUATION: 24}
EACH = 4  # prompts of a noun: either number of the head, either of the attractor
SITES = (Site(0, 0.0, "below", linear_tail=False), Site(1, 1.0, "norm", linear_tail=False))  # nothing lies between


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
    study.memory.put(key_of(function.__wrapped__, study, *arguments), value)


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
        rows = torch.from_numpy(self.few_rows(Split.EVALUATION))
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


def replaced(subject: PromptSubject, change: Callable[[Core, PromptStudy], Core]) -> PromptSubject:
    """The subject with other axes in the place of its cores, to be measured with nothing else changed."""
    for study in subject.trained.studies:
        study.replace_core(SITES[0], change(study.core(SITES[0]), study))
    return subject
