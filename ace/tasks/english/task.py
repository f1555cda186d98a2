"""Subject-verb agreement in natural English: prompts that end where the verb comes, crossed in two numbers.

Head and attractor are singular or plural independently of each other, equally often in every frame; half of the prompts
are about the present and half about the past, as an adverbial says. Nothing but the head's own form tells its number:
determiners are "the", and verbs of relative clauses have one form. Nouns, frames, adverbials, prepositions, adjectives
and verbs of the three splits are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from ace.tasks.agreement import COPULA, HAVE, NUMBERS
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.drawn import DrawnPrompts
from ace.tasks.english.published import PublishedTask
from ace.tasks.english.words import ANIMAL, NOUNS, PERSON, THING, Noun
from ace.tasks.prompt import Contrast, Prompts

REGULAR = Contrast((" seem", " look", " need", " remain"), (" seems", " looks", " needs", " remains"))
_Choice = TypeVar("_Choice")
ANY, OWN = "any", "as the head"  # kinds of attractor, beside those of nouns


@dataclass(frozen=True)
class Frame:
    """A sentence up to its verb.

    Attributes:
        text: with places for {head}, {other}, {cue} and words of the split.
        attractor: the kind of noun in the place of {other}.
    """

    text: str
    attractor: str = ANY


@dataclass(frozen=True)
class Wording:
    """What the prompts of one split are made of.

    Attributes:
        frames: a prepositional phrase, relative clauses whose gap is the subject and the object, and two longer ones.
        cues: adverbials of the present and of the past.
        words: place in a frame -> words that fill it.
        acts: kind of head -> what it did to another of its kind, in a form that has no number.
    """

    frames: tuple[Frame, ...]
    cues: tuple[tuple[str, ...], tuple[str, ...]]
    words: dict[str, tuple[str, ...]]
    acts: dict[str, tuple[str, ...]]


WORDINGS = {
    Split.EXTRACTION: Wording(
        frames=(
            Frame("{cue}, the {head} {prep} the {other}"),
            Frame("{cue}, the {head} {who} {did} the {other}", OWN),
            Frame("{cue}, the {head} that the {other} {felt}", PERSON),
            Frame("{cue}, for reasons that nobody could explain, the {head} {prep} the {other}"),
            Frame("{cue}, the {head} {prep} the {other}, of course,"),
        ),
        cues=(("these days", "at the moment", "right now"), ("last year", "a week ago", "back then")),
        words={"prep": ("near", "next to", "in front of"), "felt": ("liked", "noticed", "wanted")},
        acts={
            PERSON: ("helped", "met", "thanked"),
            ANIMAL: ("chased", "heard", "attacked"),
            THING: ("came with", "stood against", "fell on"),
        },
    ),
    Split.SELECTION: Wording(
        frames=(
            Frame("the {head} {prep} the {other} {cue}"),
            Frame("everyone knew that {cue} the {head} {who} {did} the {other}", OWN),
            Frame("according to the news, {cue} the {head} the {other} {felt}", PERSON),
            Frame("{cue}, to everyone's surprise, the {adjective} {head} {prep} the {other}"),
            Frame("{cue}, and not far from the {other}, the {adjective} {head}"),
        ),
        cues=(("today", "nowadays", "this month"), ("yesterday", "last month", "two years ago")),
        words={
            "prep": ("behind", "close to", "far from"),
            "felt": ("found", "described", "feared"),
            "adjective": ("big", "new", "strange"),
        },
        acts={
            PERSON: ("visited", "called", "taught"),
            ANIMAL: ("watched", "found", "bit"),
            THING: ("hung above", "replaced", "rested on"),
        },
    ),
    Split.EVALUATION: Wording(
        frames=(
            Frame("{cue}, the {adjective} {head} {prep} the {other}"),
            Frame("{cue}, the {adjective} {head} that {did} the {other}", OWN),
            Frame("people say that {cue} the {adjective} {head} that the {other} {felt}", PERSON),
            Frame("{cue}, as you may remember, the {head} {prep} the {other} in the picture"),
            Frame("{cue}, there {prep} the {other}, the {head}"),
        ),
        cues=(("now", "at present", "this week"), ("in the past", "last summer", "long ago")),
        words={
            "prep": ("beside", "by", "opposite"),
            "felt": ("remembered", "chose", "saw"),
            "adjective": ("old", "little", "beautiful"),
        },
        acts={
            PERSON: ("followed", "advised", "loved"),
            ANIMAL: ("followed", "saw", "woke"),
            THING: ("lay under", "touched", "leaned on"),
        },
    ),
}


@dataclass(frozen=True)
class EnglishTask(DrawnPrompts):
    """Prompts of natural English whose class is the number of the head noun; they begin with a capital letter."""

    name = "agreement-english"
    names = NUMBERS
    contrast = COPULA
    transfers = MappingProxyType({"have": HAVE, "regular verbs": REGULAR})
    attractors = True
    published = PublishedTask()

    def _drawn(self, split: Split, count: int, seed: int) -> Prompts:
        """`count` prompts of a split, as evenly as can be over both numbers, tenses, frames and head nouns.

        Prompts come in fours that begin alike, and of those in pairs that differ in the attractor's number alone: what
        is shared has to be run once.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD_OUT.index(split),)))
        nouns, wording = NOUNS[split], WORDINGS[split]
        heads: list[int] = []  # every noun once before any comes again
        while len(heads) < count:
            heads += rng.permutation(len(nouns)).tolist()
        texts = []
        for block in range(-(-count // 4)):  # two heads in one setting, a singular and a plural one
            tense, frame = block % 2, wording.frames[block // 2 % len(wording.frames)]
            cue = _chosen(rng, wording.cues[tense])
            filling = {place: _chosen(rng, words) for place, words in wording.words.items()}
            for number in (0, 1):
                head = nouns[heads[2 * block + number]]
                attractor, did = (
                    _chosen(rng, _attractors(nouns, head, frame.attractor)),
                    _chosen(rng, wording.acts[head.kind]),
                )
                who = "who" if head.kind == PERSON else "that"
                for other in (0, 1):
                    forms = {"head": head.forms[number], "other": attractor.forms[other]}
                    text = frame.text.format(**forms, cue=cue, who=who, did=did, **filling)
                    texts.append(text[0].upper() + text[1:])
        rows = np.arange(count)
        prompts = Prompts(
            tuple(texts[:count]),
            rows // 2 % 2,
            NUMBERS,
            tuple(nouns[heads[row // 2]].forms[0] for row in rows),
            (COPULA,),
            split,
            rows % 2,
        )
        order = np.concatenate([np.arange(4 * block, 4 * block + 4) for block in rng.permutation(-(-count // 4))])
        return prompts.take(order[order < count])


def _attractors(nouns: tuple[Noun, ...], head: Noun, kind: str) -> tuple[Noun, ...]:
    """Nouns other than the head that may stand beside it."""
    wanted = head.kind if kind == OWN else kind
    return tuple(noun for noun in nouns if noun != head and wanted in (ANY, noun.kind))


def _chosen(rng: np.random.Generator, choices: tuple[_Choice, ...]) -> _Choice:
    return choices[int(rng.integers(len(choices)))]
