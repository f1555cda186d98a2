"""Subjects of the claims about agreement: the embedded models by size, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator

from ace.families.family import Fixtures
from ace.model.activations import fuse_activations
from ace.model.language import LanguageModel, wrap_model
from ace.study.language_subjects import AGREEMENT, several_scales
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.subject import LazySubject
from ace.tasks.agreement import AgreementTask
from ace.training.language.trainer import untrained_model

SIZES = ("small", "medium", "large")


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    each = [_embedded(fixtures, f"agreement-{size}") for size in SIZES]
    yield from each
    yield several_scales("agreement-family", each, rerun=fixtures.rerun("agreement-family"))


def _embedded(fixtures: Fixtures, recipe: str) -> LazySubject:
    memory, rerun = fixtures.memory(AGREEMENT), fixtures.rerun(recipe)

    def make() -> PromptSubject:
        wanted, trained = fixtures.language_models(recipe)
        languages = [wrap_model(fuse_activations(one.model), one.tokenizer, recipe) for one in trained]
        task = AgreementTask(fragment=True)

        def twin(index: int) -> LanguageModel:
            return wrap_model(fuse_activations(untrained_model(wanted, index)), languages[0].tokenizer, recipe)

        before, after = (
            PromptStudies(load, len(languages), task, extractor=fixtures.extractor, memory=memory)
            for load in (twin, languages.__getitem__)
        )
        return PromptSubject(recipe, AGREEMENT, after, before, rerun=rerun, memory=memory)

    return LazySubject(recipe, AGREEMENT, make, "", AGREEMENT, rerun, single_thread=True, memory=memory)
