"""Language models, of numbers and real ones, on which a control of the claims `agreement.*` lies inside its bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ace.core import PROJECTORS, Core
from ace.families.agreement import generation
from ace.families.agreement.generation import CLEAN, FLIPPED, OBLIQUE_TEXTS, OTHERWISE, RANDOM, RANDOM_TEXTS, TEXTS
from ace.model.language import LanguageModel, wrap_model
from ace.rank import RankRule
from ace.study.language_subjects import AGREEMENT, AGREEMENT_FAMILY, Scales
from ace.study.memory import Memory
from ace.study.prompt_rest import rest_at
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import DRAWS
from ace.study.site_choice import rank_of
from ace.study.subject import Subject
from ace.study.subspaces import Subspaces
from ace.tasks import Split
from ace.tasks.agreement import COPULA, AgreementTask
from ace.tasks.fragment.words import COPULAS, vocabulary
from ace.tasks.prompt import Contrast, Prompts
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.tokenizer import word_tokenizer
from ace.training.language.trainer import untrained_model
from invariants.controls.synthetic import remember, synthetic_subject
from invariants.controls.worlds import LARGEST, PLAIN, World, world

Numbers = np.ndarray[Any, np.dtype[np.float64]]
STRONG = replace(PLAIN, stretch=2 * LARGEST)
QUIET = 8  # from the direction that states vary least along


# --- two axes, of which the core is one -------------------------------------------------------------------------------
def first_axis(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """An extractor that gives the first axis whatever else there is."""
    return Core.from_basis(torch.eye(states.shape[1], dtype=torch.float64)[:, :1], states=states)


def two_axes(law: Callable[[Prompts, np.random.Generator], Numbers], read: Callable[[Tensor], Tensor]) -> PromptSubject:
    """States that vary along two axes and nowhere else, so that the rest of the first is the second."""
    eye = torch.eye(2, dtype=torch.float64)
    return synthetic_subject(
        [World(law, eye, torch.tensor([1.0, -2.0], dtype=torch.float64), read)], extractor=first_axis
    )


def copies(prompts: Prompts, rng: np.random.Generator) -> Numbers:
    """Both axes carry number, and a prompt's distance from its number's mean."""
    number = 2.0 * prompts.labels - 1 + 0.25 * rng.standard_normal(len(prompts))
    return np.column_stack([number, number + 0.01 * rng.standard_normal(len(prompts))])


def larger(coordinates: Tensor) -> Tensor:
    """What either axis says, whichever says more."""
    one, other = coordinates[..., 0], coordinates[..., 1]
    return torch.where(one.abs() >= other.abs(), one, other)


def factors(prompts: Prompts, rng: np.random.Generator) -> Numbers:
    """Number is the product of both axes, and neither alone says anything of it."""
    sign = np.where(rng.random(len(prompts)) < 0.5, -1.0, 1.0)
    scatter = 1 + 0.1 * rng.standard_normal((len(prompts), 2))
    return np.column_stack([sign * (2.0 * prompts.labels - 1), sign]) * scatter


def product(coordinates: Tensor) -> Tensor:
    """Of the two axes."""
    return coordinates[..., 0] * coordinates[..., 1]


def one_of_two_copies() -> PromptSubject:
    """Either axis suffices, explains the contrast and codes the head."""
    return two_axes(copies, larger)


def one_of_two_factors() -> PromptSubject:
    """Without either axis nothing is left, and either reflected mirrors number."""
    return two_axes(factors, product)


# --- twins ------------------------------------------------------------------------------------------------------------
def trained_twins() -> PromptSubject:
    """Twins that are as well trained as the models."""
    return synthetic_subject([world(STRONG, 1)], [world(STRONG, 5)])


def of_one_scale(name: str, seed: int, law_seed: int, change: Callable[[Prompts, Numbers], Numbers]) -> PromptSubject:
    """A model of one scale, and as its twin another trained one; all scales see the same prompts."""

    def one(place: int) -> World:
        made = world(STRONG, place)

        def law(prompts: Prompts, rng: np.random.Generator) -> Numbers:
            return change(prompts, made.law(prompts, rng))

        return replace(made, law=law, seed=law_seed)

    return replace(synthetic_subject([one(seed)], [one(seed + 1)]), name=name)


def scales_of(change: Callable[[Prompts, Numbers], Numbers]) -> Subject[Scales]:
    """Three scales of worlds."""
    each = tuple(of_one_scale(name, 10 * place, 3, change) for place, name in enumerate(("small", "medium", "large")))
    return Subject("scales", AGREEMENT_FAMILY, Scales(each))


def trained_scales() -> Subject[Scales]:
    """Twins of every scale are trained."""
    return scales_of(lambda prompts, coordinates: coordinates)


def told_by_the_attractor() -> Subject[Scales]:
    """Within a number the coordinate is the attractor's number, and the same for every noun."""

    def change(prompts: Prompts, coordinates: Numbers) -> Numbers:
        assert prompts.attractors is not None
        coordinates[:, 0] = 2.0 * prompts.labels - 1 + 0.4 * (2.0 * prompts.attractors - 1)
        return coordinates

    return scales_of(change)


# --- a real network of random weights ---------------------------------------------------------------------------------
SIZES = {Split.EXTRACTION: 120, Split.SELECTION: 60, Split.EVALUATION: 120}


@cache
def network(seed: int) -> LanguageModel:
    """Two blocks of width 24 as they are initialised."""
    recipe = LanguageRecipe("tiny", (1, 2), 32, 2, 24, 2, 1e-3, 0.1, 1.0, 1, 2, 2, 1)
    return wrap_model(untrained_model(recipe, seed), word_tokenizer(vocabulary(), 32), "tiny")


@dataclass(frozen=True)
class Again(AgreementTask):
    """Prompts whose other verbs are the copula once more, in another order."""

    transfers = MappingProxyType({"again": Contrast(COPULA.wanted[::-1], COPULA.other)})


class Tiny(PromptStudies):
    """A random network, labelled by its own contrast: it agrees with that, as any does."""

    def __init__(self, seed: int, memory: Memory) -> None:
        super().__init__(lambda index: network(seed), 1, Again(capital=True), memory=memory)

    def study(self, index: int, own_labels: bool = False, fewer: bool = False) -> PromptStudy:
        """The same whichever is asked for."""

        def make() -> PromptStudy:
            return PromptStudy(self.language(0), self.source, own_labels=True, sizes=SIZES, memory=self.memory)

        return self.memory.get(("tiny", self), make)


def tiny_subject(seed: int = 3) -> PromptSubject:
    """A random network, and itself as its twin."""
    memory = Memory()
    return PromptSubject("tiny", AGREEMENT, Tiny(seed, memory), Tiny(seed, memory), memory=memory)


def another_tiny() -> PromptSubject:
    """A random network whose tail is more nearly linear below the norm."""
    return tiny_subject(6)


def like_the_core(make: Callable[[], PromptSubject], *, deep: bool = False) -> PromptSubject:
    """A subject with draws in the place of the rest that do what the core does: its own axis, over and over.

    Where no network can be built cheaply whose rest does so, this shows that the control counts such draws.
    """
    subject = make()
    for study in subject.trained.studies:
        for projector in PROJECTORS:
            choice = study.choice(projector, deep=deep)
            rank = rank_of(choice)
            core = study.core(choice.site, rank)
            pair = (core.basis, core.basis.T) if projector == "orthogonal" else (core.directions, core.readers)
            drawn = Subspaces(*(part.expand(DRAWS, -1, -1) for part in pair))
            remember(study, rest_at, (choice.site, rank, projector), drawn)
    return subject


def tiny_like_the_core() -> PromptSubject:
    """A random network with such draws, whose contrast is turned over."""
    return like_the_core(tiny_subject)


def selective_like_the_core() -> PromptSubject:
    """A random network with such draws, whose axis moves its contrast and little else."""
    return like_the_core(lambda: tiny_subject(1))


def numbers_like_the_core() -> PromptSubject:
    """A synthetic model with such draws."""
    return like_the_core(lambda: synthetic_subject([world(STRONG, 1)]), deep=True)


def quiet_axis() -> PromptSubject:
    """The core is a direction that states hardly vary along: removing it leaves all text alone."""
    subject = tiny_subject()
    for study in subject.trained.studies:
        site = study.choice().site
        core = study.core(site, rank_of(study.choice()))
        states = study.observed[0][site.index].double() - core.mean
        axes = torch.linalg.svd(states, full_matrices=True).Vh
        study.replace_core(site, core.with_basis(axes[-QUIET : core.dimension - QUIET].T))
    return subject


def written_alike() -> PromptSubject:
    """Text along draws of the rest has copulas of the other number, as text along the core has."""
    subject = tiny_subject()
    for study in subject.trained.studies:
        prompts, _ = generation._prompts(study, TEXTS)

        def texts(wrong: int, count: int = TEXTS, prompts: Prompts = prompts) -> tuple[str, ...]:
            return tuple(
                f"{text} {COPULAS['present'][abs(wrong - number)]} ."
                for text, number in zip(prompts.texts[:count], prompts.labels, strict=False)
            )

        written = {
            CLEAN: texts(0),
            FLIPPED: texts(1),
            RANDOM: texts(1, RANDOM_TEXTS),
            OTHERWISE: texts(1, OBLIQUE_TEXTS),
        }
        remember(study, generation._texts, (TEXTS,), written)
    return subject
