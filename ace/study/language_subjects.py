"""Subjects of causal language models under prompts: one model, or several that are compared with each other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ace.check import check_instance
from ace.errors import Inapplicable
from ace.extract import Extractor, extract_core
from ace.model.language import LanguageModel, wrap_model
from ace.study.memory import Memory
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import SIZES
from ace.study.subject import LazySubject, Subject
from ace.tasks.base import Split
from ace.tasks.prompt import PromptTask

TWIN_SIZES = {**SIZES, Split.EVALUATION: 120}  # enough to tell an untrained model's AUC from .7
INITIALISED = (torch.float32, torch.bfloat16, torch.float16)  # dtypes that random weights can be drawn in
AGREEMENT, AGREEMENT_FAMILY = "agreement", "agreement_family"  # what claims about such subjects are about


@dataclass(frozen=True, eq=False)
class Scales:
    """Models of several scales on the same prompts.

    Attributes:
        subjects: one for each scale, smallest first.
    """

    subjects: tuple[PromptSubject, ...]

    @property
    def site(self) -> str:
        """Each model's own site."""
        return "each model's chosen site"

    def require_behaviour(self, name: str) -> None:
        """Refuse to compare models that do not agree with their subjects, or one scale with itself.

        Raises:
            Inapplicable: a model lacks the behaviour, or there are fewer than two scales.
        """
        if len(self.subjects) < 2:
            raise Inapplicable("one model alone has no other scale to be compared with")
        for subject in self.subjects:
            subject.require_behaviour()


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
    after = PromptStudies(lambda index: language, 1, source, extractor=extractor, memory=shared)
    before = PromptStudies(
        lambda index: fresh_twin(language, index),
        1,
        source,
        extractor=extractor,
        memory=shared,
        sizes=TWIN_SIZES,
        in_place_of=language,
    )
    return PromptSubject(name, AGREEMENT, after, before, rerun=rerun, memory=shared)


def several_scales(name: str, each: Sequence[LazySubject], *, rerun: str = "") -> LazySubject:
    """Several models as one subject, whose coordinates are compared with each other, from the smallest on.

    A model that cannot be judged, or lacks the behaviour, is left out by name: the others are compared all the same.
    """
    memory = each[0].memory

    def make() -> Subject[Any]:
        compared, left_out = list[PromptSubject](), dict[str, str]()
        for one in each:
            try:
                subject = one.subject()
                if len(each) > 1:
                    subject.require_behaviour()
                compared.append(subject)
            except Inapplicable as reason:
                left_out[one.name] = str(reason)
        scales = Scales(tuple(sorted(compared, key=_size_and_name)))
        return Subject(name, AGREEMENT_FAMILY, scales, left_out=left_out, rerun=rerun, memory=memory)

    return LazySubject(
        name, AGREEMENT_FAMILY, make, "", each[0].group, rerun, single_thread=each[0].single_thread, memory=memory
    )


def _size_and_name(subject: PromptSubject) -> tuple[int, str]:
    """Parameters of a subject's first model, and its name: an order that does not hang on who was named first."""
    return sum(weight.numel() for weight in subject.trained.language(0).model.parameters()), subject.name


def fresh_twin(language: LanguageModel, seed: int = 0) -> LanguageModel:
    """The same architecture with weights as its own code initialises them, on the same device and as precise.

    Not written over the trained weights: whatever holds the trained model would run the untrained one. For memory see
    `PromptStudies.alone`.
    """
    config = copy.deepcopy(language.model.config)
    usual = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(language.dtype if language.dtype in INITIALISED else torch.float32)
        try:
            model = type(language.model)(config)
        finally:
            torch.set_default_dtype(usual)
    twin = wrap_model(model.to(language.device), language.tokenizer, f"{language.name}, untrained")
    twin.as_whole.update(language.as_whole)  # a matter of the architecture's code, not of its weights
    return twin
