"""Tasks made of prompts: texts of two classes, each of which wants some continuations rather than others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ace.arrays import Ints
from ace.errors import InputError
from ace.tasks.base import Split


@dataclass(frozen=True)
class Contrast:
    """Two sets of continuations of a prompt.

    Its value is the mean log-probability, in nats, of the wanted continuations minus that of the others. Where all are
    single tokens this is a difference of mean logits.

    Attributes:
        wanted: continuations that raise the contrast: what prompts of label 1 want.
        other: continuations that lower it: what prompts of label 0 want.

    Raises:
        InputError: a set is empty, a continuation is, or the sets share one.
    """

    wanted: tuple[str, ...]
    other: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("wanted", "other"):
            texts = getattr(self, name)
            if isinstance(texts, str) or not texts or not all(isinstance(text, str) and text for text in texts):
                raise InputError(f"{name}: expected at least one continuation, none of them empty, got {texts!r}")
        shared = sorted(set(self.wanted) & set(self.other))
        if shared:
            raise InputError(f"continuations: expected different ones in wanted and other, got {shared} in both")

    def __str__(self) -> str:
        return f"{'+'.join(self.wanted)} against {'+'.join(self.other)}".replace(" ", "_").replace("_against_", " - ")


@dataclass(frozen=True, eq=False)
class Prompts:
    """Texts of two classes that end where the continuation comes.

    Attributes:
        texts: (n) prompts, without a space at the end.
        labels: (n) class of each, 0 or 1; 1 is the class that wants the `wanted` continuations.
        names: of the classes 0 and 1.
        groups: (n) what a prompt shares with others, such as its head noun: prompts of one group are not independent.
            The prompt itself where nothing is known.
        contrasts: (n) continuations of each prompt, or (1) shared by all.
        split: what they are for.
        attractors: (n) class of the noun between the head and its verb, or None where there is none.

    Raises:
        InputError: parts of different lengths, no prompt, an empty one, other labels, or equal names.
    """

    texts: tuple[str, ...]
    labels: Ints
    names: tuple[str, str]
    groups: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    split: Split
    attractors: Ints | None = None

    def __post_init__(self) -> None:
        count = len(self.texts)
        lengths = {"labels": len(self.labels), "groups": len(self.groups)}
        if self.attractors is not None:
            lengths["attractors"] = len(self.attractors)
        wrong = {name: length for name, length in lengths.items() if length != count}
        if not count or wrong or len(self.contrasts) not in (1, count):
            raise InputError(f"prompts: expected {count or 'some'} of each, got {wrong or len(self.contrasts)}")
        if not all(isinstance(text, str) and text.strip() for text in self.texts):
            raise InputError("texts: expected prompts that are not empty")
        check_names(self.names)
        if not set(np.unique(self.labels)) <= {0, 1}:
            classes = f"0 ({self.names[0]}) or 1 ({self.names[1]})"
            raise InputError(f"labels: expected {classes}, got {np.unique(self.labels)[:5].tolist()}")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def clusters(self) -> NDArray[np.int64]:
        """(n) index of each prompt's group."""
        return np.unique(np.array(self.groups), return_inverse=True)[1].astype(np.int64)

    @property
    def each_contrast(self) -> tuple[Contrast, ...]:
        """(n) continuations of each prompt, whether shared or not."""
        return self.contrasts * len(self) if len(self.contrasts) == 1 else self.contrasts

    def under(self, contrast: Contrast) -> Prompts:
        """The same prompts with other continuations."""
        return replace(self, contrasts=(contrast,))

    def take(self, rows: Sequence[int] | Ints) -> Prompts:
        """Some of the prompts, in the order given."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            texts=tuple(self.texts[row] for row in chosen),
            labels=self.labels[chosen],
            groups=tuple(self.groups[row] for row in chosen),
            contrasts=self.contrasts if len(self.contrasts) == 1 else tuple(self.contrasts[row] for row in chosen),
            attractors=None if self.attractors is None else self.attractors[chosen],
        )


def check_names(names: object) -> None:
    """Raise `InputError` unless these are two different names of classes, none of them empty."""
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names) or len(names) != 2:
        raise InputError(f"names: expected a tuple of two names, none of them empty, got {names!r}")
    if names[0] == names[1]:
        raise InputError(f"names: expected two different names, got {names[0]!r} twice")


class PromptTask(ABC):
    """A source of prompts on the three splits that nothing is trained on.

    Attributes:
        name: of the task.
        names: of its classes 0 and 1.
        contrast: that of all prompts, which cores are extracted for; None where each prompt has its own.
        transfers: contrasts of the same classes that no core is extracted for, by name.
        attractors: whether prompts have a noun beside the head, of either class independently of the head's.
        fragment: whether text that the model generates is that of `ace.tasks.fragment`, which its grammar judges
            exactly.
        published: the prompts of the paper, where a model of this task knows their words; two splits of them are the
            halves that the published protocol extracts from and evaluates on.
        note: what a user should know of where the prompts come from, such as what of a file is not used.
    """

    name: str
    names: tuple[str, str]
    contrast: Contrast | None = None
    transfers: Mapping[str, Contrast] = MappingProxyType({})
    attractors: bool = False
    fragment: bool = False
    published: PromptTask | None = None
    note: str = ""

    @abstractmethod
    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """At most `count` prompts of a split; the same arguments give the same prompts.

        Raises:
            InputError: the training split, or no prompts.
        """
