"""Defects of subjects: fake models, wrong tasks, labels, splits, twins; cores of another model, site or output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

import ace
from ace.core import Core
from ace.extract import extract_core
from ace.linalg import random_frames, weighted_frames
from ace.model.language import LanguageModel
from ace.rank import RankRule
from ace.study import prompt_rest
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.subspaces import Subspaces
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks import Split, circulant_chain
from ace.tasks.prompt import Prompts
from invariants.calibration.defects.edits import STRONG, strong
from invariants.calibration.defects.record import by_claim, by_property, by_refusal
from invariants.calibration.verdicts import covariance_axis, haar_axis
from invariants.contracts.exact import CLASSES, FEATURES, PLACES, Exact, Largest
from invariants.controls.synthetic import (
    ATTRACTOR,
    FIRST_COMPONENT,
    Source,
    Synthetic,
    World,
    replaced,
    synthetic_subject,
    world,
)
from invariants.properties import test_tasks

SIZES = {Split.EXTRACTION: 150, Split.SELECTION: 150, Split.EVALUATION: 400}


def runs(kind: Callable[[int], nn.Module] = Exact, task: ace.Task | None = None, **more: Any) -> TokenSubject:
    """Exact models of numbers, two of them, of which core.sufficiency and core.necessity hold."""
    settings = {"sites": "readout", "sizes": SIZES, **more}
    return ace.runs_subject("runs", [kind(index) for index in range(2)], task or Largest(), **settings)


# --- fake models ------------------------------------------------------------------------------------------------------
class Constant(Exact):
    """The same logits whatever is asked, but for what rounding would leave."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        with torch.no_grad():
            self.readout.weight.mul_(1e-6)
            self.readout.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))


class Bypass(Exact):
    """Answers that the inputs give away, beside a state that hardly counts."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers) * 0.01 + numbers[..., :CLASSES]


class Blind(Exact):
    """Answers that the inputs give away; the state is computed and not read."""

    def forward(self, numbers: Tensor) -> Tensor:
        super().forward(numbers)
        return numbers[..., :CLASSES] * 2.0


class Memorised(Exact):
    """Right on the sequences of one split, and a guess elsewhere."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        batch = Largest().draw(Split.TRAINING, 200)
        self.known = {row.astype(np.float32).tobytes() for row in batch.inputs}

    def forward(self, numbers: Tensor) -> Tensor:
        known = torch.tensor([row.numpy().tobytes() in self.known for row in numbers])
        guess = torch.roll(numbers, 3, dims=-1)  # of what has nothing to do with it
        return super().forward(torch.where(known[:, None, None], numbers, guess))


class Restless(Exact):
    """Something else each time."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers + torch.randn_like(numbers))


class Broken(Exact):
    """A weight that is not a number."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        with torch.no_grad():
            self.lift.weight[0, 0] = torch.nan


class Deep(Exact):
    """The same answers by a state that is turned between two sites."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        generator = torch.Generator().manual_seed(seed + 50)
        turn = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
        self.turn = nn.Linear(16, 16, bias=False)
        with torch.no_grad():
            self.turn.weight.copy_(turn)
            self.readout.weight.copy_(self.readout.weight @ turn.T)

    def forward(self, numbers: Tensor) -> Tensor:
        found: Tensor = self.readout(self.turn(self.lift(numbers)))
        return found


# --- tasks ------------------------------------------------------------------------------------------------------------
class Changed(Largest):
    """The task with its answers changed, or its chance level."""

    def __init__(
        self,
        answers: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] = lambda targets: targets,
        chance: float | None = None,
    ) -> None:
        self.answers, self.level = answers, chance

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        batch = super().draw(split, sequences, seed)
        return replace(batch, targets=self.answers(batch.targets))

    def chance(self, batch: ace.Batch) -> np.ndarray[Any, np.dtype[np.float64]]:
        return super().chance(batch) if self.level is None else np.full(len(batch.inputs), self.level)


class OneSplit(Largest):
    """All splits are the same."""

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        return replace(super().draw(Split.TRAINING, sequences, seed), split=split)


class Neighbours(Largest):
    """A finite task, the first row of whose evaluation split is the last of its extraction split."""

    def size(self, split: Split) -> int | None:
        return SIZES[split]

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        numbers = np.random.default_rng(0).normal(size=(1000, PLACES, FEATURES))
        first = {Split.EXTRACTION: 0, Split.SELECTION: 600, Split.EVALUATION: 149}[split]
        inputs = numbers[first : first + sequences]
        return ace.Batch(inputs, inputs[..., :CLASSES].argmax(axis=-1), None, split)


def shuffled(targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows in another order."""
    return np.random.default_rng(0).permutation(targets)


CHAIN = circulant_chain(length=6)


class Chain(type(CHAIN)):  # type: ignore[misc]
    """A Markov chain, with one thing wrong."""

    def __init__(self, change: Callable[[ace.Batch], ace.Batch]) -> None:
        self.__dict__.update(CHAIN.__dict__)
        self.change = change

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        return self.change(CHAIN.draw(split, sequences, seed))


def overconfident(batch: ace.Batch) -> ace.Batch:
    """An oracle that is surer than it should be."""
    assert batch.predictive is not None
    power = batch.predictive**2
    return replace(batch, predictive=power / power.sum(axis=-1, keepdims=True))


def shifted(batch: ace.Batch) -> ace.Batch:
    """Targets one step too early."""
    return replace(batch, targets=batch.inputs)


class Prompted(Source):
    """A source of prompts, with one thing wrong."""

    def __init__(self, change: Callable[[Prompts, Split], Prompts]) -> None:
        self.change = change

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        return self.change(super().prompts(split, count, seed), split)


def of_one_split(prompts: Prompts, split: Split) -> Prompts:
    """The same texts for every split."""
    return replace(prompts, texts=tuple(f"prompt {row}" for row in range(len(prompts))))


def given_twice(prompts: Prompts, split: Split) -> Prompts:
    """Every prompt once more, under another noun."""
    groups = (*prompts.groups, *(f"another {group}" for group in prompts.groups))
    return replace(prompts.take([*range(len(prompts))] * 2), groups=groups)


def seeds_of(change: Callable[[Prompts, Split], Prompts]) -> PromptStudies:
    """Studies of such prompts, with a model that is never asked for."""
    return PromptStudies(lambda index: cast(LanguageModel, None), 1, Prompted(change))


# --- cores of something else ------------------------------------------------------------------------------------------
def with_cores(change: Callable[[TokenStudy, int], Core], **more: Any) -> TokenSubject:
    """Exact models with other cores in the place of theirs."""
    subject = runs(**more)
    for index in subject.trained.members:
        subject.trained.replace_core(index, change(subject.trained, index))
    return subject


def complement(study: TokenStudy, index: int) -> Core:
    """As many dimensions outside the core, of those that states vary in."""
    core = study.core(index)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double() - core.mean
    outside = states - states @ core.basis @ core.basis.T
    return core.with_basis(torch.linalg.svd(outside, full_matrices=False).Vh[: core.dimension].T)


def of_site(site: str, study: TokenStudy, index: int) -> Core:
    """The core of another site of the same models."""
    return TokenStudy(study.models, study.task, sites=site, sizes=SIZES).core(index)


def random_core(study: TokenStudy, index: int) -> Core:
    """A random subspace of the core's rank."""
    core = study.core(index)
    return core.with_basis(random_frames(core.width, core.dimension, 1, torch.Generator().manual_seed(index))[0])


def of_other_seed(study: TokenStudy, index: int) -> Core:
    """The core of the other model."""
    return study.core_of(1 - index, Split.EXTRACTION)


# --- synthetic language models ----------------------------------------------------------------------------------------
class Misread(World):
    """A world whose sensitivities are those of another output."""

    def gradients(self, states: Tensor) -> Tensor:
        """Of a contrast that reads the attractor."""
        return torch.linalg.inv(self.mixing)[ATTRACTOR].expand_as(states)


class Rectified(World):
    """A world whose sensitivities have lost their signs, entry by entry."""

    def gradients(self, states: Tensor) -> Tensor:
        """Absolute values."""
        return super().gradients(states).abs()


def misread(kind: type[World]) -> PromptSubject:
    """A subject with other sensitivities."""
    of = world(STRONG, 0)
    return synthetic_subject([kind(of.law, of.mixing, of.centre, of.read, of.seed)])


def mean_difference(labels: np.ndarray[Any, Any], states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """The axis between two labels, as an extractor."""
    ones = torch.from_numpy(labels == 1)
    axis = states[ones].mean(dim=0) - states[~ones].mean(dim=0)
    return extract_core(states, sensitivities, rank=rank).with_basis((axis / axis.norm())[:, None])


def by_labels(change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> PromptSubject:
    """A subject whose axis is found by labels."""
    of = world(STRONG, 0)
    labels = Synthetic(of).prompts(Split.EXTRACTION).labels
    return synthetic_subject([of], extractor=partial(mean_difference, change(labels)))


class Mislabelled(Synthetic):
    """Labels of the evaluation split in another order."""

    def labels(self, split: Split) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        labels = super().labels(split)
        return np.random.default_rng(0).permutation(labels) if split is Split.EVALUATION else labels


class Inverted(Synthetic):
    """Labels of the evaluation split the other way round."""

    def labels(self, split: Split) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        labels = super().labels(split)
        return 1 - labels if split is Split.EVALUATION else labels


def studied_as(kind: type[Synthetic]) -> PromptSubject:
    """A subject with studies of another kind."""
    subject = strong()
    seeds: Any = subject.trained
    study = kind(world(STRONG, 1), memory=subject.memory)
    subject.memory.put(("study", seeds, 0, False), study)
    return subject


def with_axis(draw: Callable[[Any, Any, int], Core]) -> PromptSubject:
    """A subject with a random axis in the place of its core."""
    return replaced(strong(), lambda core, study: draw(core, study, 0))


def with_mean_of(label: int) -> PromptSubject:
    """A subject whose reference point is the mean of one number's prompts."""

    def change(core: Core, study: Any) -> Core:
        rows = torch.from_numpy(study.labels(Split.EXTRACTION) == label)
        return replace(core, mean=study.observed[0][0][rows].mean(dim=0))

    return replaced(strong(), change)


def with_twin(shape_seed: int, *, trained: bool) -> PromptSubject:
    """A subject whose twin does not know number, or does."""
    of = world(STRONG, 1)
    ignorant = replace(of, read=lambda coordinates: coordinates[..., 7] + 0.1 * coordinates[..., 9])
    return synthetic_subject([of], [world(STRONG, shape_seed) if trained else ignorant])


def holding_the_core(core: Core, states: Tensor, draws: int, *, seed: int, **more: Any) -> Subspaces:
    """The rest drawn by the states' covariance and not made orthogonal to the core."""
    centred = states.double() - core.mean
    drawn = weighted_frames(centred, core.dimension, draws, torch.Generator().manual_seed(seed))
    return Subspaces(drawn, drawn.mT)


def first_component() -> PromptSubject:
    """A subject whose core is what varies most."""
    return synthetic_subject([world(FIRST_COMPONENT, 0)])


CORE, FAKE, LABELS, SPLIT, OUTPUT, CONTROL = (
    "wrong core",
    "fake model",
    "labels",
    "splits",
    "wrong output",
    "controls",
)
_core = partial(by_claim, CORE)

DEFECTS = (
    _core("a random axis, every direction alike", "agreement.necessity", partial(with_axis, haar_axis), strong),
    _core("a random axis by the states' covariance", "agreement.flip", partial(with_axis, covariance_axis), strong),
    _core("random subspaces", "core.sufficiency", partial(with_cores, random_core), runs),
    _core("as many dimensions outside the core", "core.sufficiency", partial(with_cores, complement), runs),
    _core("the core of another seed", "core.necessity", partial(with_cores, of_other_seed), runs),
    _core(
        "the core of the site below",
        "core.sufficiency",
        partial(with_cores, partial(of_site, "turn"), kind=Deep),
        partial(runs, Deep),
    ),
    _core(
        "the core of the site above",
        "core.sufficiency",
        partial(with_cores, partial(of_site, "readout"), kind=Deep, sites="turn"),
        partial(runs, Deep, sites="turn"),
    ),
    _core("a rank one too small", "core.sufficiency", partial(runs, rank=ace.Fixed(1)), runs),
    by_claim(
        "mis-centred",
        "the mean of one number's prompts",
        "agreement.flip",
        partial(with_mean_of, 1),
        strong,
    ),
    by_claim(FAKE, "constant logits", "core.sufficiency", partial(runs, Constant), runs),
    by_claim(FAKE, "labels in the logits, past the state", "core.necessity", partial(runs, Bypass), runs),
    by_claim(FAKE, "memorised answers", "core.sufficiency", partial(runs, Memorised), runs),
    by_refusal(
        FAKE,
        "a state that is not read",
        "core extraction",
        lambda: runs(Blind).trained.core(0),
        lambda: runs().trained.core(0),
    ),
    by_refusal(FAKE, "other answers each time", "runs_subject", partial(runs, Restless), runs),
    by_refusal(FAKE, "a weight that is not a number", "runs_subject", partial(runs, Broken), runs),
    by_claim(
        LABELS,
        "answers shuffled",
        "core.sufficiency",
        partial(runs, task=Changed(shuffled)),
        partial(runs, task=Changed()),
    ),
    by_claim(
        LABELS,
        "answers of the position before",
        "core.sufficiency",
        partial(runs, task=Changed(lambda targets: np.roll(targets, 1, axis=1))),
        partial(runs, task=Changed()),
    ),
    by_claim(LABELS, "labels shuffled at evaluation", "agreement.flip", partial(studied_as, Mislabelled), strong),
    by_claim(LABELS, "labels exchanged at evaluation", "agreement.flip", partial(studied_as, Inverted), strong),
    by_claim(
        LABELS,
        "labels shuffled before an axis is found by them",
        "agreement.necessity",
        partial(by_labels, shuffled),
        partial(by_labels, lambda labels: labels),
    ),
    by_property(
        LABELS,
        "targets one step too early",
        test_tasks.test_targets_are_the_inputs_one_step_on,
        planted={"task": Chain(shifted)},
        sound={"task": CHAIN},
    ),
    by_property(
        LABELS,
        "an oracle that is too sure",
        test_tasks.test_oracle_scores_have_their_own_expectations,
        planted={"task": Chain(overconfident)},
        sound={"task": CHAIN},
    ),
    by_refusal(SPLIT, "all splits the same", "runs_subject", partial(runs, task=OneSplit()), runs),
    by_refusal(SPLIT, "a row in two splits of a finite task", "runs_subject", partial(runs, task=Neighbours()), runs),
    by_refusal(
        SPLIT,
        "coordinates on the extraction split",
        "TokenStudy.coordinates",
        lambda: runs().trained.coordinates(0, Split.EXTRACTION),
        lambda: runs().trained.coordinates(0, Split.EVALUATION),
    ),
    by_refusal(
        SPLIT,
        "prompts that are in every split",
        "PromptStudies",
        partial(seeds_of, of_one_split),
        partial(seeds_of, lambda prompts, split: prompts),
    ),
    by_refusal(
        SPLIT,
        "prompts given twice under different nouns",
        "PromptStudies",
        partial(seeds_of, given_twice),
        partial(seeds_of, lambda prompts, split: prompts),
    ),
    by_claim(
        OUTPUT,
        "sensitivities of another output",
        "agreement.necessity",
        partial(misread, Misread),
        partial(misread, World),
    ),
    by_claim(
        OUTPUT,
        "sensitivities without their signs",
        "agreement.necessity",
        partial(misread, Rectified),
        partial(misread, World),
    ),
    by_claim(CONTROL, "a chance level of nothing", "core.necessity", partial(runs, task=Changed(chance=0.0)), runs),
    by_claim(CONTROL, "a chance level of all", "core.necessity", partial(runs, task=Changed(chance=1.0)), runs),
    by_claim(
        CONTROL,
        "a twin that is trained",
        "agreement.behaviour",
        partial(with_twin, 5, trained=True),
        partial(with_twin, 5, trained=False),
    ),
    by_claim(
        CONTROL,
        "a rest that contains the core",
        "agreement.sufficiency",
        first_component,
        first_component,
        patches=((prompt_rest, "rest_subspaces", holding_the_core),),
    ),
)
