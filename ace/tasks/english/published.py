"""The published prompts on agreement: few nouns, shared by all splits, and attractors of the other number only.

They are what the paper's figures are about and no more: as head and attractor always differ in number, an axis that
codes either looks the same. Nouns, prepositions and styles are the paper's; the phrases of a style are ours, and
figures by the paper's code differ: of SmolLM2-135M it gives AUCs of .895 unedited and .969, .326 and .024 under keep,
remove and flip; these prompts give .993 and .990, .525 and .055, at the same site. About 24 wordings of the relative
clause and of "there" were tried on that model before these were fixed: base AUC .89 to .99, flip .05 to .15. So the
flip confirms nothing that the code had not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ace.tasks.agreement import COPULA, NUMBERS
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.drawn import DrawnPrompts
from ace.tasks.english.words import plural_of
from ace.tasks.prompt import Prompts

HEADS = ("key", "label", "author", "pilot", "teacher", "child", "man", "woman", "mouse")
ATTRACTORS = ("cabinet", "drawer", "door", "folder", "box", "room", "student", "guard", "desk")
PREPOSITIONS = ("to", "of", "near", "behind", "next to", "alongside")
# What the attractor does in the relative clause, in the place of a preposition.
ACTS = ("looking for", "looking at", "talking about", "waiting for", "worried about", "afraid of")
OPENINGS = ("", "in the past, ")
STYLES = (
    "the {head} {prep} the {other}",
    "as far as we know, the {head} {prep} the {other}",
    "the {head} {prep} the {other} in the hallway",
    "there the {head} {prep} the {other}",
    "the {head} that the {other} {was} {act}",
)


@dataclass(frozen=True)
class PublishedTask(DrawnPrompts):
    """The published prompts; their class is the number of the head noun. Splits share nouns and styles, and no text."""

    name = "agreement-published"
    names = NUMBERS
    contrast = COPULA

    def _drawn(self, split: Split, count: int, seed: int) -> Prompts:
        """At most `count` prompts of a split, in random order, as evenly as can be over the numbers."""
        rng = np.random.default_rng(seed)  # the same order for all splits, of which each takes every third prompt
        every = tuple(product(STYLES, OPENINGS, zip(PREPOSITIONS, ACTS, strict=True), HEADS, ATTRACTORS))
        orders = [rng.permutation(len(every))[HELD_OUT.index(split) :: len(HELD_OUT)] for _ in NUMBERS]
        rows = np.stack(orders, axis=1).ravel()[:count].tolist()  # singular and plural in turn
        texts = [_text(number % 2, *every[row]) for number, row in enumerate(rows)]
        labels = np.arange(len(rows)) % 2
        heads = tuple(every[row][3] for row in rows)
        prompts = Prompts(tuple(texts), labels, NUMBERS, heads, (COPULA,), split, 1 - labels)
        return prompts.take(rng.permutation(len(rows)))


def _text(number: int, style: str, opening: str, between: tuple[str, str], head: str, other: str) -> str:
    opposite = 1 - number
    text = opening + style.format(
        head=(head, plural_of(head))[number],
        other=(other, plural_of(other))[opposite],
        prep=between[0],
        was=("was", "were")[opposite],
        act=between[1],
    )
    return text[0].upper() + text[1:]
