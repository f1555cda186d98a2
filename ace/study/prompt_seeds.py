"""Seeds of one language model under the same prompts: the study of a subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TypeVar

from ace.check import check_count, check_instance
from ace.errors import InputError
from ace.extract import Extractor, extract_core
from ace.model.aside import weights_aside
from ace.model.language import LanguageModel
from ace.study.checks import require_different_prompts
from ace.study.memory import Memory, remembered
from ace.study.prompts import OTHER_SIZES, SIZES, PromptStudy
from ace.study.subject import Subject
from ace.tasks.base import Split
from ace.tasks.prompt import PromptTask

Value = TypeVar("Value")

TWINS = 3  # untrained ones at least: one alone may tell plurals by their spelling, by luck


class PromptStudies:
    """Seeds of one language model on one source of prompts, or their twins before training.

    Args:
        load: gives the model of seed k, called when it is first needed.
        count: how many seeds there are.
        source: the prompts, and what is known of them.
        extractor, memory: as for `PromptStudy`.
        sizes: prompts of each split.
        in_place_of: a model that these are the twins of, before training. Only the last twin asked for is then kept, so
            that those of a large model take the memory of one, and one that is asked for again is loaded again; see
            also `alone`. None: every model is kept.

    Raises:
        InputError: a `load` that cannot be called, no seeds, something that gives no prompts, or a text in two groups.
        SplitError: a text in two splits.
    """

    def __init__(
        self,
        load: Callable[[int], LanguageModel],
        count: int,
        source: PromptTask,
        *,
        extractor: Extractor = extract_core,
        memory: Memory | None = None,
        sizes: Mapping[Split, int] = SIZES,
        in_place_of: LanguageModel | None = None,
    ) -> None:
        if not callable(load):
            raise InputError(f"load: expected a function of the seed's number, got {type(load).__name__}")
        check_instance("source", source, PromptTask)
        require_different_prompts(source, SIZES)
        self._sizes = sizes
        self._load, self._count, self._in_place_of = load, check_count("count", count), in_place_of
        self._last: tuple[int, LanguageModel] | None = None
        self.source, self.extractor = source, extractor
        self.memory = memory or Memory()

    def __len__(self) -> int:
        return self._count

    @property
    def studies(self) -> tuple[PromptStudy, ...]:
        """One study for each seed."""
        return tuple(self.study(index) for index in range(len(self)))

    def language(self, index: int) -> LanguageModel:
        """The model of one seed."""
        if self._in_place_of is None:
            return self.memory.get(("language", self, index), lambda: self._load(index))
        if self._last is None or self._last[0] != index:
            self._last = None  # before the next one takes memory
            self._last = index, self._load(index)
        return self._last[1]

    @remembered
    def study(self, index: int, *, own_labels: bool = False) -> PromptStudy:
        """One seed on the prompts; under `own_labels` on fewer, labelled by its own contrast: see `PromptStudy`.

        Twins before training have more seeds than models that were trained: any number has one.
        """
        return PromptStudy(
            self.language(index) if self._in_place_of is None else partial(self.language, index),
            self.source,
            own_labels=own_labels,
            extractor=self.extractor,
            sizes=OTHER_SIZES if own_labels else self._sizes,
            memory=self.memory,
        )

    @contextmanager
    def alone(self, index: int, *, own_labels: bool = False) -> Iterator[PromptStudy]:
        """The study of one seed, for the time of a `with` in which no other model is run; then it is released.

        On a GPU, whose memory is little, a twin takes the place of the model that it is one of: that one's weights wait
        in main memory, and come back as the twin is let go of. In main memory both stay: weights that are mapped from
        their file take none that could not be had back.
        """
        twin_of = self._in_place_of
        with weights_aside(twin_of.model) if twin_of is not None else nullcontext():
            try:
                yield self.study(index, own_labels=own_labels)
            finally:
                self.release(index)

    def each_alone(self, count: int, measure: Callable[[int, PromptStudy], Value]) -> list[Value]:
        """What is measured of so many seeds labelled by their own contrast, one by one: of each no more is kept."""
        found = []
        for index in range(count):
            with self.alone(index, own_labels=True) as study:
                found.append(measure(index, study))
        return found

    def release(self, index: int) -> None:
        """Let go of runs of one seed, and of its model unless it is kept; what was measured of it stays."""
        for study in (self.study(index), self.study(index, own_labels=True)):
            self.memory.release(study)
        if self._in_place_of is not None:
            self._last = None

    @property
    def site(self) -> str:
        """Where the models are read and edited with the orthogonal projector, by the selection split's choice."""
        return self.sites("orthogonal")

    def sites(self, projector: str, *, deep: bool = False) -> str:
        """Where the models are read and edited with a projector; see `PromptStudy.choice`."""
        return " or ".join(dict.fromkeys(str(study.choice(projector, deep=deep).site) for study in self.studies))

    def require_behaviour(self, name: str) -> None:
        """Refuse claims about how agreement is computed where a model does not agree.

        Raises:
            Inapplicable: see `PromptStudy.require_behaviour`.
        """
        for index, study in enumerate(self.studies):
            study.require_behaviour(f"{name}, seed {index}" if len(self) > 1 else name)


PromptSubject = Subject[PromptStudies]
