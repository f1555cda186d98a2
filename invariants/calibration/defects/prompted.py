"""Defects of language models' subjects: labels, splits, sensitivities, reference points, twins, the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ace.core import Core
from ace.extract import extract_core
from ace.linalg import weighted_frames
from ace.model.language import LanguageModel
from ace.rank import RankRule
from ace.study import prompt_rest
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.subspaces import Subspaces
from ace.tasks import Split
from ace.tasks.prompt import Prompts
from invariants.calibration.axes import covariance_axis, haar_axis
from invariants.calibration.defects.edits import STRONG, strong
from invariants.calibration.defects.fakes import shuffled
from invariants.calibration.defects.record import by_claim, by_refusal
from invariants.controls.synthetic import Source, Synthetic, replaced, synthetic_subject
from invariants.controls.worlds import ATTRACTOR, FIRST_COMPONENT, World, world


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


def with_twins(shape_seed: int, *, trained: bool) -> PromptSubject:
    """A subject whose twins each read something else than number, or all read number."""
    of = world(STRONG, 1)

    def ignorant(place: int) -> World:
        return replace(of, read=lambda coordinates: coordinates[..., place] + 0.1 * coordinates[..., 9])

    return synthetic_subject([of], [world(STRONG, shape_seed)] if trained else [ignorant(k) for k in range(1, 11)])


def holding_the_core(core: Core, states: Tensor, draws: int, *, seed: int, **more: Any) -> Subspaces:
    """The rest drawn by the states' covariance and not made orthogonal to the core."""
    centred = states.double() - core.mean
    drawn = weighted_frames(centred, core.dimension, draws, torch.Generator().manual_seed(seed))
    return Subspaces(drawn, drawn.mT)


def first_component() -> PromptSubject:
    """A subject whose core is what varies most."""
    return synthetic_subject([world(FIRST_COMPONENT, 0)])


CORE, LABELS, SPLIT, OUTPUT, CONTROL = "wrong core", "labels", "splits", "wrong output", "controls"

DEFECTS = (
    by_claim(
        CORE, "a random axis, every direction alike", "agreement.necessity", partial(with_axis, haar_axis), strong
    ),
    by_claim(
        CORE, "a random axis by the states' covariance", "agreement.flip", partial(with_axis, covariance_axis), strong
    ),
    by_claim(
        "mis-centred",
        "the mean of one number's prompts",
        "agreement.flip",
        partial(with_mean_of, 1),
        strong,
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
    by_claim(
        CONTROL,
        "a twin that is trained",
        "agreement.behaviour",
        partial(with_twins, 5, trained=True),
        partial(with_twins, 5, trained=False),
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
