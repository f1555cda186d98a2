"""Subjects of the claims about agreement: the embedded models by size, and anyone's causal language model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ace.check import check_instance
from ace.extract import Extractor, extract_core
from ace.families.agreement.scales import Scales
from ace.families.family import Fixtures
from ace.model.language import LanguageModel, wrap_model
from ace.study.memory import Memory
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.subject import LazySubject, Subject
from ace.tasks.agreement import AgreementTask
from ace.tasks.prompt import PromptTask
from ace.training.language.trainer import untrained_model

GROUP = "agreement"
SIZES = ("small", "medium", "large")


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    each = [_embedded(fixtures, f"agreement-{size}") for size in SIZES]
    yield from each
    yield several_scales("agreement-family", each, rerun=fixtures.rerun("agreement-family"))


def _embedded(fixtures: Fixtures, recipe: str) -> LazySubject:
    memory, rerun = fixtures.memory(GROUP), fixtures.rerun(recipe)

    def make() -> PromptSubject:
        wanted, trained = fixtures.language_models(recipe)
        languages = [wrap_model(one.model, one.tokenizer, recipe) for one in trained]
        task = AgreementTask(fragment=True)

        def twin(index: int) -> LanguageModel:
            return wrap_model(untrained_model(wanted, index), languages[index].tokenizer, recipe)

        before, after = (
            PromptStudies(load, len(languages), task, extractor=fixtures.extractor, memory=memory)
            for load in (twin, languages.__getitem__)
        )
        return PromptSubject(recipe, "agreement", after, before, rerun=rerun, memory=memory)

    return LazySubject(recipe, "agreement", make, "", GROUP, rerun, single_thread=True, memory=memory)


def language_subject(
    name: str,
    language: LanguageModel,
    source: PromptTask,
    *,
    extractor: Extractor = extract_core,
    rerun: str = "",
    memory: Memory | None = None,
) -> PromptSubject:
    """A subject of one causal language model; its untrained twin has the same architecture with fresh weights.

    Args:
        name: what was asked for, in full. source: prompts on disjoint splits.

    Raises:
        InputError: no language model, or something that gives no prompts.
    """
    check_instance("language", language, LanguageModel)
    shared = memory or Memory()
    before, after = (
        PromptStudies(load, 1, source, extractor=extractor, memory=shared)
        for load in (lambda index: fresh_twin(language, index), lambda index: language)
    )
    return PromptSubject(name, "agreement", after, before, rerun=rerun, memory=shared)


def several_scales(name: str, each: Sequence[LazySubject], *, rerun: str = "") -> LazySubject:
    """Several models as one subject, whose coordinates are compared with each other."""
    memory = each[0].memory

    def make() -> Subject[Any]:
        return Subject(
            name, "agreement_family", Scales(tuple(one.subject() for one in each)), rerun=rerun, memory=memory
        )

    return LazySubject(
        name, "agreement_family", make, "", each[0].group, rerun, single_thread=each[0].single_thread, memory=memory
    )


def fresh_twin(language: LanguageModel, seed: int = 0) -> LanguageModel:
    """The same architecture with weights as its own code initialises them, in float32, on the same device."""
    config = copy.deepcopy(language.model.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(language.model)(config)
    return wrap_model(model.float().to(language.device), language.tokenizer, f"{language.name}, untrained")
