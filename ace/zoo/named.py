"""Subjects by name: a causal language model, or the training runs that a function of one's own gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ace.errors import ArtifactError, InputError
from ace.extract import Extractor, extract_core
from ace.files import default_cache
from ace.imports import load_attribute
from ace.model.language import LanguageModel, load_language_model
from ace.study.language_subjects import AGREEMENT, language_subject
from ace.study.memory import Memory
from ace.study.prompt_seeds import PromptSubject
from ace.study.subject import LazySubject, Subject
from ace.tasks.base import Split
from ace.tasks.by_name import ENGLISH, FRAGMENT, TASKS
from ace.tasks.pairs import read_pairs
from ace.tasks.prompt import PromptTask
from ace.zoo.download import check_hub_file, did_you_mean, model_place
from ace.zoo.fixtures import StoredFixtures
from ace.zoo.obtain import Store

FEW = 40  # prompts by which it is told whether a model has the words of a task


@dataclass(frozen=True)
class ModelSource:
    """A causal language model as it is asked for.

    Attributes:
        name: folder, GGUF file, short name of a real model (`ace zoo list`), or hub name.
        revision: branch, tag or commit on the hub.
        dtype: auto, float32, bfloat16 or float16.
        device: where it runs.
        tokenizer: hub name or folder, where it does not lie with the model.
        task: prompts: a name of `ace.tasks.by_name.TASKS`, or a file of minimal pairs; by default see `prompts_for`.
        label: what results call it, in place of its full name: one name for what changes its place from run to run.
    """

    name: str
    revision: str | None = None
    dtype: str = "auto"
    device: str | None = None
    tokenizer: str | None = None
    task: str = ""
    label: str = ""

    @property
    def full_name(self) -> str:
        """What results are matched by: its label, or the folder's full path, or the hub's name with its revision."""
        if self.label:
            return self.label
        local = Path(self.name).expanduser()
        if local.exists():
            return str(local.resolve())
        return f"{self.name}@{self.revision}" if self.revision else self.name

    def prompts_for(self, language: LanguageModel) -> PromptTask:
        """The prompts that this model is asked: those of the task, by default natural English.

        A model whose tokenizer has no token for words of natural English is by default asked those of the fragment.

        Raises:
            InputError: as `prompts`.
        """
        return self.prompts() if self.task or knows_words(language, TASKS[ENGLISH]) else TASKS[FRAGMENT]

    def prompts(self, option: str = "task") -> PromptTask:
        """The prompts of the task, by default natural English.

        Args:
            option: what the task was given by, for the message.

        Raises:
            InputError: neither a known task nor a readable file.
        """
        known = TASKS.get(self.task or ENGLISH)
        if known is not None:
            return known
        try:
            return read_pairs(Path(self.task))
        except InputError as error:
            raise InputError(f"{option}: expected one of {', '.join(TASKS)}, or a file: {error}") from error

    def language(self) -> LanguageModel:
        """The model itself, with its tokenizer.

        Raises:
            ArtifactError: no such model or tokenizer, unreadable, not a causal language model, or weights with another
                digest than is known of them.
            SiteError: no recognisable blocks.
            InputError: another dtype.
        """
        place, fixed = model_place(self.name)
        try:
            loaded = load_language_model(
                place,
                revision=self.revision or fixed,
                dtype=self.dtype,
                device=self.device,
                tokenizer=self.tokenizer,
            )
        except ArtifactError as error:
            near = did_you_mean(self.name)
            if not near:
                raise
            raise type(error)(f"{error}{near}") from error
        if fixed is not None and self.revision in (None, fixed):
            check_hub_file(self.name)
        return loaded

    def load(
        self, *, extractor: Extractor = extract_core, rerun: str = "", memory: Memory | None = None
    ) -> PromptSubject:
        """The model as a subject.

        Raises:
            AceError: as `language` and `prompts`.
        """
        self.prompts()  # a file that cannot be read is told before a model is loaded
        language = self.language()
        source = self.prompts_for(language)
        return language_subject(self.full_name, language, source, extractor=extractor, rerun=rerun, memory=memory)


def knows_words(language: LanguageModel, source: PromptTask) -> bool:
    """Whether a model's tokenizer has tokens for all words of a source's first prompts to evaluate."""
    unknown = getattr(language.tokenizer, "unk_token_id", None)
    texts = source.prompts(Split.EVALUATION, FEW).texts
    return unknown is None or not any(unknown in ids for ids in language.encode_all(texts))


def load_subject(
    name: str,
    *,
    task: str = "",
    revision: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    tokenizer: str | None = None,
    fixtures: str | Path | None = None,
) -> Subject[Any]:
    """A subject by name: `package.module:factory`, or a causal language model by folder, GGUF file, short or hub name.

    Args:
        task, revision, dtype, device, tokenizer: of a language model, see `ModelSource`.
        fixtures: folder of recipes and weights; then `name` is one of its subjects, such as "markov-compact".

    Raises:
        AceError: there is no such thing; the message says which part is missing.
    """
    if fixtures is not None:
        known = {one.name: one for one in StoredFixtures(Store(Path(fixtures), default_cache())).subjects()}
        if name not in known:
            raise InputError(f"name: expected one of {', '.join(known)}, got {name!r}")
        return known[name].subject()
    if _is_factory(name):
        return factory_subject(name)
    return ModelSource(name, revision, dtype, device, tokenizer, task).load()


def _is_factory(name: str) -> bool:
    module, colon, attribute = name.partition(":")
    parts = module.split(".")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in parts)


def factory_subject(name: str) -> Subject[Any]:
    """The subject that a function of one's own gives, called without arguments.

    Raises:
        InputError: no such function, or it gives something else.
    """
    factory: Callable[[], Any] = load_attribute(name)
    made = factory() if callable(factory) else factory
    if not isinstance(made, Subject):
        raise InputError(f"{name}: expected a function that gives an ace.Subject, got {type(made).__name__}")
    return made


def lazy_model(source: ModelSource, *, extractor: Extractor = extract_core, rerun: str = "") -> LazySubject:
    """A language model that is loaded when the first claim is put to it."""
    memory = Memory()
    return LazySubject(
        source.full_name,
        AGREEMENT,
        lambda: source.load(extractor=extractor, rerun=rerun, memory=memory),
        "",
        f"{AGREEMENT}: {source.full_name}",
        rerun,
        memory=memory,
    )


def lazy_factory(
    name: str, *, extractor: Extractor = extract_core, rerun: Callable[[str], str] = lambda subject: ""
) -> LazySubject:
    """The subject of a factory, made now: only it knows its name and what claims speak of it.

    Args:
        extractor: takes the place of the factory's own, where it is not `extract_core`.
        rerun: subject's name -> the command that verifies a claim on it again.

    Raises:
        InputError: as `factory_subject`, or an extractor for a subject whose cores do not come from one.
    """
    made = factory_subject(name)
    made = replace(made, rerun=rerun(made.name) or made.rerun)
    if extractor is not extract_core:
        for study in (made.trained, made.untrained, *made.companions.values()):
            if study is not None and not hasattr(study, "extractor"):
                raise InputError(f"extractor: expected with subjects whose cores are extracted, got {name}")
            if study is not None:
                study.extractor = extractor
    return LazySubject(made.name, made.about, lambda: made, "", made.name, made.rerun, memory=made.memory)


def lazy_subject(name: str) -> LazySubject:
    """A subject by name, as `load_subject`: of a factory, made now; or a language model, loaded when it is asked for.

    Raises:
        InputError: as `lazy_factory`.
    """
    return lazy_factory(name) if _is_factory(name) else lazy_model(ModelSource(name))
