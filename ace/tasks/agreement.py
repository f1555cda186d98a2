"""Subject-verb agreement: prompts that end where the verb comes, crossed in the number of head and attractor.

Published prompts have head and attractor of opposite number, so an axis that codes either looks the same; here all four
combinations are equally often. Nouns, prepositions, verbs and sentence frames of the three splits are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from ace.arrays import Ints
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.drawn import DrawnPrompts
from ace.tasks.fragment.words import ADJECTIVES, ADVERBS, FRONTS, NOUNS, PREPOSITIONS, VERBS
from ace.tasks.prompt import Contrast, Prompts

NUMBERS = ("singular", "plural")
COPULA = Contrast((" are", " were"), (" is", " was"))
HAVE = Contrast((" have",), (" has",))
REGULAR = Contrast(tuple(f" {verb[1]}" for verb in VERBS[::2]), tuple(f" {verb[0]}" for verb in VERBS[::2]))


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
class AgreementTask(DrawnPrompts):
    """Prompts whose class is the number of the head noun.

    Attributes:
        attractors: whether another noun stands between head and verb; without, prompts are as simple as can be.
        capital: whether prompts begin with a capital letter, as text for general models does.
        opening: text before every prompt, such as a first sentence.
        fragment: whether the model was trained on the fragment, so that its grammar judges what the model generates.
    """

    attractors: bool = True
    capital: bool = False
    opening: str = ""
    fragment: bool = False

    names = NUMBERS
    contrast = COPULA
    transfers = MappingProxyType({"have": HAVE, "regular verbs": REGULAR})

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the task in records: other prompts have another. Those without capitals are the fragment's own."""
        simple = "agreement-story" if self.opening else "agreement-simple"
        return ("agreement" if self.attractors else simple) + ("" if self.capital else "-lower-case")

    def _drawn(self, split: Split, count: int, seed: int) -> Prompts:
        """`count` prompts of a split, as evenly as can be over frames and numbers."""
        key = (HELD_OUT.index(split), int(self.attractors))
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        frames = (FRAMES if self.attractors else SIMPLE)[split]
        words = {place: choices[frames.share] for place, choices in _WORDS.items()}
        nouns = [NOUNS[index] for index in _nouns()[split]]
        texts, labels, heads, others = [], [], [], []
        for row in range(count):
            number, other = row % 2, row // 2 % 2
            head, attractor = (nouns[int(k)] for k in rng.choice(len(nouns), 2, replace=False))
            filling = {place: choices[int(rng.integers(len(choices)))] for place, choices in words.items()}
            frame = frames.frames[row // 4 % len(frames.frames)]
            text = frame.format(head=head[number], other=attractor[other], **filling)
            texts.append(self.opening + (text[0].upper() + text[1:] if self.capital else text))
            labels.append(number)
            heads.append(head[0])
            others.append(other)
        prompts = Prompts(
            tuple(texts),
            np.array(labels),
            NUMBERS,
            tuple(heads),
            (COPULA,),
            split,
            np.array(others) if self.attractors else None,
        )
        return prompts.take(rng.permutation(count))


@lru_cache(maxsize=1)
def _nouns() -> dict[Split, Ints]:
    # Half of them to evaluate: prompts about one noun are no independent samples.
    order = np.random.default_rng(0).permutation(len(NOUNS))
    quarter = len(NOUNS) // 4
    parts = np.split(order, [quarter, 2 * quarter])
    return dict(zip((Split.EXTRACTION, Split.SELECTION, Split.EVALUATION), parts, strict=True))


_WORDS = {
    "front": FRONTS,
    "prep": PREPOSITIONS,
    "verb": tuple(verb[2] for verb in VERBS),
    "adjective": ADJECTIVES,
    "adverb": ADVERBS,
}
