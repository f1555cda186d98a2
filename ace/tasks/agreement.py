"""Subject-verb agreement: prompts that end where the verb comes, crossed in the number of head and attractor.

Published prompts have head and attractor of opposite number, so an axis that codes either looks the same; here all four
combinations are equally often. Nouns, prepositions, verbs and sentence frames of the three splits are disjoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ace.arrays import Ints
from ace.check import check_choice, check_count
from ace.errors import InputError
from ace.tasks.base import Split
from ace.tasks.fragment.words import ADJECTIVES, ADVERBS, FRONTS, NOUNS, PLURAL, PREPOSITIONS, SINGULAR, VERBS

HELD = (Split.EXTRACTION, Split.SELECTION, Split.EVALUATION)


@dataclass(frozen=True)
class Contrast:
    """Two sets of continuations: what a plural subject wants, and what a singular one wants.

    The contrast of a prompt is the mean log-probability, in nats, of the plural continuations minus that of the
    singular ones. Where all are single tokens this is a difference of mean logits.

    Raises:
        InputError: a set is empty, a continuation is, or the sets share one.
    """

    plural: tuple[str, ...]
    singular: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("plural", "singular"):
            texts = getattr(self, name)
            if isinstance(texts, str) or not texts or not all(isinstance(text, str) and text for text in texts):
                raise InputError(f"{name}: expected at least one continuation, none of them empty, got {texts!r}")
        shared = sorted(set(self.plural) & set(self.singular))
        if shared:
            raise InputError(f"continuations: expected different ones for plural and singular, got {shared} in both")

    def __str__(self) -> str:
        return f"{'+'.join(self.plural)} against {'+'.join(self.singular)}".replace(" ", "_").replace(
            "_against_", " - "
        )


COPULA = Contrast((" are", " were"), (" is", " was"))
HAVE = Contrast((" have",), (" has",))
REGULAR = Contrast(tuple(f" {verb[1]}" for verb in VERBS[::2]), tuple(f" {verb[0]}" for verb in VERBS[::2]))


@dataclass(frozen=True, eq=False)
class Prompts:
    """Texts that end where a verb comes.

    Attributes:
        texts: (n) prompts, without a space at the end.
        labels: (n) number of the head, 0 singular, 1 plural.
        heads: (n) head nouns, singular form: clusters that are not independent. The prompt itself where unknown.
        attractors: (n) number of the noun between head and verb, -1 where there is none or it is unknown.
        contrasts: (n) continuations of each prompt, or (1) shared by all.
        split: what they are for.
    """

    texts: tuple[str, ...]
    labels: Ints
    heads: tuple[str, ...]
    attractors: Ints
    contrasts: tuple[Contrast, ...]
    split: Split

    def __post_init__(self) -> None:
        count = len(self.texts)
        lengths = {"labels": len(self.labels), "heads": len(self.heads), "attractors": len(self.attractors)}
        wrong = {name: length for name, length in lengths.items() if length != count}
        if not count or wrong or len(self.contrasts) not in (1, count):
            raise InputError(f"prompts: expected {count or 'some'} of each, got {wrong or len(self.contrasts)}")
        if not all(isinstance(text, str) and text.strip() for text in self.texts):
            raise InputError("texts: expected prompts that are not empty")
        if not set(np.unique(self.labels)) <= {SINGULAR, PLURAL}:
            raise InputError(f"labels: expected 0 (singular) or 1 (plural), got {np.unique(self.labels)[:5].tolist()}")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def clusters(self) -> Ints:
        """(n) index of each prompt's head noun."""
        return np.unique(np.array(self.heads), return_inverse=True)[1].astype(np.int64)

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
            heads=tuple(self.heads[row] for row in chosen),
            attractors=self.attractors[chosen],
            contrasts=self.contrasts if len(self.contrasts) == 1 else tuple(self.contrasts[row] for row in chosen),
        )


@dataclass(frozen=True)
class _Frames:
    """Frames of one split; {prep} and so on are filled with words of that split only."""

    frames: tuple[str, ...]
    share: slice


FRAMES = {
    Split.EXTRACTION: _Frames(
        ("{front}, the {head} {prep} the {other}", "the {head} that {verb} the {other}"), slice(0, None, 3)
    ),
    Split.SELECTION: _Frames(
        ("the {adjective} {head} {prep} the {other}", "{front}, the {head} that the {other} {verb}"), slice(1, None, 3)
    ),
    Split.EVALUATION: _Frames(
        ("the {head} {prep} the {other} {adverb}", "the {adjective} {head} that {verb} the {other}"), slice(2, None, 3)
    ),
}
SIMPLE = {
    Split.EXTRACTION: _Frames(("{front}, the {adjective} {head}",), slice(0, None, 3)),
    Split.SELECTION: _Frames(("the {adjective} {head}",), slice(1, None, 3)),
    Split.EVALUATION: _Frames(("{front}, the {head}",), slice(2, None, 3)),
}


@dataclass(frozen=True)
class AgreementTask:
    """A source of prompts on disjoint splits.

    Attributes:
        attractors: whether another noun stands between head and verb; without, prompts are as simple as can be.
        capital: whether prompts begin with a capital letter, as text for general models does.
        opening: text before every prompt, such as a first sentence.
        fragment: whether models write the generated fragment, whose grammar judges their text exactly.
    """

    attractors: bool = True
    capital: bool = False
    opening: str = ""
    fragment: bool = False

    @property
    def name(self) -> str:
        """Name of the task."""
        return "agreement" if self.attractors else "agreement-simple"

    @property
    def contrast(self) -> Contrast:
        """The contrast that cores are extracted for."""
        return COPULA

    @property
    def transfers(self) -> dict[str, Contrast]:
        """Contrasts of other verbs, by name."""
        return {"have": HAVE, "regular verbs": REGULAR}

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """`count` prompts of a split, as evenly as can be over frames and numbers.

        Raises:
            InputError: the training split, which language models fill with other text, or no prompts.
        """
        check_choice("split", split, HELD)
        check_count("count", count)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD.index(split), int(self.attractors))))
        frames = (FRAMES if self.attractors else SIMPLE)[split]
        words = {name: found[frames.share] for name, found in _WORDS.items()}
        nouns = [NOUNS[index] for index in self._nouns[split]]
        texts, labels, heads, others = [], [], [], []
        for row in range(count):
            number, other = row % 2, row // 2 % 2
            head, attractor = (nouns[int(k)] for k in rng.choice(len(nouns), 2, replace=False))
            filling = {name: found[int(rng.integers(len(found)))] for name, found in words.items()}
            frame = frames.frames[row // 4 % len(frames.frames)]
            text = frame.format(head=head[number], other=attractor[other], **filling)
            texts.append(self.opening + (text[0].upper() + text[1:] if self.capital else text))
            labels.append(number)
            heads.append(head[0])
            others.append(other if self.attractors else -1)
        order = rng.permutation(count)
        found = Prompts(tuple(texts), np.array(labels), tuple(heads), np.array(others), (COPULA,), split)
        return found.take(order)

    @cached_property
    def _nouns(self) -> dict[Split, Ints]:
        order = np.random.default_rng(0).permutation(len(NOUNS))
        return {split: order[place :: len(HELD)] for place, split in enumerate(HELD)}


_WORDS = {
    "front": FRONTS,
    "prep": PREPOSITIONS,
    "verb": tuple(verb[2] for verb in VERBS),
    "adjective": ADJECTIVES,
    "adverb": ADVERBS,
}


TASKS = {
    "agreement": AgreementTask(capital=True),
    "agreement-simple": AgreementTask(attractors=False, capital=True),
    "agreement-story": AgreementTask(
        attractors=False, capital=True, opening="Once upon a time, there was a little boy. "
    ),
}
