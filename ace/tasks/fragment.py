"""A fragment of English with a grammar and a judge: text to train on, and whether each of its verbs agrees.

sentence  -> [front ,] subject [adverb] predicate .
subject   -> noun phrase | it | they
noun phrase -> the [adjective] noun [preposition the noun | relative clause]
relative clause -> that verb the noun | that the noun verb
predicate -> copula adjective | copula preposition the noun | verb the noun | have participle the noun

A story keeps one tense; a pronoun stands for the subject of the sentence before. Parsing is the grammar read backwards,
so the judge is exact for what the grammar can say, and says of other text that it cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ace.check import check_count
from ace.errors import InputError

SINGULAR, PLURAL = 0, 1

_REGULAR = (
    "key cabinet dog cat boy girl teacher doctor farmer painter horse bird car truck boat train book letter picture"
    " table chair lamp window door garden tree flower river lake road bridge king queen soldier sailor singer writer"
    " student lion tiger rabbit duck cow pig goat apple cake cup plate spoon clock ring coat hat"
)
_IRREGULAR = (("child", "children"), ("man", "men"), ("woman", "women"), ("mouse", "mice"), ("knife", "knives"))
NOUNS: tuple[tuple[str, str], ...] = (
    *((noun, f"{noun}s") for noun in _REGULAR.split()),
    *_IRREGULAR,
    ("wolf", "wolves"),
)
ADJECTIVES = ("old", "new", "big", "small", "red", "blue", "quiet", "bright", "dark", "strange", "pretty", "heavy")
ADVERBS = ("often", "still", "always", "really", "certainly", "now")
PREPOSITIONS = ("near", "behind", "beside", "above", "under", "next to", "in front of", "far from")
FRONTS = (
    "today",
    "in the morning",
    "every day",
    "at night",
    "in spring",
    "as a rule",
    "to be honest",
    "after the storm",
)
PRONOUNS = ("it", "they")
# Of each verb: present singular, present plural, past, participle.
VERBS = tuple(
    (f"{stem}s", stem, past, participle)
    for stem, past, participle in (
        ("like", "liked", "liked"),
        ("help", "helped", "helped"),
        ("follow", "followed", "followed"),
        ("see", "saw", "seen"),
        ("find", "found", "found"),
        ("move", "moved", "moved"),
        ("want", "wanted", "wanted"),
        ("know", "knew", "known"),
    )
)
COPULAS = {"present": ("is", "are"), "past": ("was", "were")}
HAVE = {"present": ("has", "have"), "past": ("had", "had")}


@dataclass(frozen=True)
class Agreement:
    """One main verb and its subject.

    Attributes:
        subject: head noun or pronoun. number: of the subject, 0 singular, 1 plural.
        verb: as written. kind: "copula", "have" or "verb".
        agrees: whether the verb has the subject's number; None where its form does not tell.
    """

    subject: str
    number: int
    verb: str
    kind: str
    agrees: bool | None


def story(rng: np.random.Generator, sentences: int) -> str:
    """Sentences of one tense in a row, each ending in a full stop.

    Raises:
        InputError: fewer than one sentence.
    """
    check_count("sentences", sentences)
    tense = ("present", "past")[int(rng.integers(2))]
    number: int | None = None
    found = []
    for _ in range(sentences):
        words: list[str] = []
        if rng.random() < 0.25:
            words += [*_one(rng, FRONTS).split(), ","]
        if number is not None and rng.random() < 0.3:
            words.append(PRONOUNS[number])
        else:
            number = int(rng.integers(2))
            words += _noun_phrase(rng, number, tense)
        if rng.random() < 0.2:
            words.append(_one(rng, ADVERBS))
        found.append(" ".join([*words, *_predicate(rng, number, tense)]).replace(" ,", ",") + ".")
    return " ".join(found)


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _noun(rng: np.random.Generator, number: int | None = None) -> tuple[str, int]:
    number = int(rng.integers(2)) if number is None else number
    return NOUNS[int(rng.integers(len(NOUNS)))][number], number


def _the_noun(rng: np.random.Generator) -> list[str]:
    return ["the", _noun(rng)[0]]


def _noun_phrase(rng: np.random.Generator, number: int, tense: str) -> list[str]:
    words = ["the"]
    if rng.random() < 0.2:
        words.append(_one(rng, ADJECTIVES))
    words.append(_noun(rng, number)[0])
    kind = rng.random()
    if kind < 0.45:
        words += [*_one(rng, PREPOSITIONS).split(), *_the_noun(rng)]
    elif kind < 0.6:
        words += ["that", _verb(rng, number, tense), *_the_noun(rng)]
    elif kind < 0.75:
        other, its = _noun(rng)
        words += ["that", "the", other, _verb(rng, its, tense)]
    return words


def _verb(rng: np.random.Generator, number: int, tense: str) -> str:
    forms = VERBS[int(rng.integers(len(VERBS)))]
    return forms[2] if tense == "past" else forms[number]


def _predicate(rng: np.random.Generator, number: int, tense: str) -> list[str]:
    kind = rng.random()
    if kind < 0.4:
        return [COPULAS[tense][number], _one(rng, ADJECTIVES)]
    if kind < 0.6:
        return [COPULAS[tense][number], *_one(rng, PREPOSITIONS).split(), *_the_noun(rng)]
    if kind < 0.8:
        return [_verb(rng, number, tense), *_the_noun(rng)]
    return [HAVE[tense][number], VERBS[int(rng.integers(len(VERBS)))][3], *_the_noun(rng)]


def vocabulary() -> list[str]:
    """All words of the fragment, with its full stop and comma, sorted."""
    phrases = [*ADJECTIVES, *ADVERBS, *PREPOSITIONS, *FRONTS, *PRONOUNS, "the that , ."]
    phrases += [word for forms in (*NOUNS, *VERBS, *COPULAS.values(), *HAVE.values()) for word in forms]
    return sorted({word for phrase in phrases for word in phrase.split()})


_NUMBER = {form: number for forms in NOUNS for number, form in enumerate(forms)}
_PLAIN = {form for verb in VERBS for form in verb[:3]}
_PARTICIPLES = {verb[3] for verb in VERBS}
_VERB_NUMBER = {form: number for verb in VERBS for number, form in enumerate(verb[:2])}
_COPULA_NUMBER = {form: number for pair in COPULAS.values() for number, form in enumerate(pair)}
_HAVE_NUMBER: dict[str, int | None] = {"has": SINGULAR, "have": PLURAL, "had": None}


class _Reader:
    """A cursor over the words of one sentence; what the grammar does not have raises `_Unparsed`."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._at = 0

    def peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def take(self, allowed: object = None) -> str:
        word = self.peek()
        if not word or (allowed is not None and word not in allowed):  # type: ignore[operator]
            raise _Unparsed
        self._at += 1
        return word

    def take_phrase(self, phrases: Sequence[str]) -> bool:
        for phrase in sorted(phrases, key=lambda phrase: -len(phrase.split())):
            parts = phrase.split()
            if list(self._words[self._at : self._at + len(parts)]) == parts:
                self._at += len(parts)
                return True
        return False

    @property
    def done(self) -> bool:
        return self._at == len(self._words)


class _Unparsed(Exception):
    """The words are none of the grammar's sentences."""


def judge(text: str) -> list[Agreement | None]:
    """The main verb of every complete sentence and whether it agrees; None for a sentence that does not parse.

    What follows the last full stop is no sentence yet and is left out.

    Raises:
        InputError: something other than a text.
    """
    if not isinstance(text, str):
        raise InputError(f"text: expected a string, got {type(text).__name__}")
    found: list[Agreement | None] = []
    for sentence in text.split(".")[:-1]:
        try:
            found.append(_parse(_Reader(sentence.replace(",", " ,").split())))
        except _Unparsed:
            found.append(None)
    return found


def _parse(words: _Reader) -> Agreement:
    if words.take_phrase(FRONTS):
        words.take((",",))
    if words.peek() in PRONOUNS:
        subject = words.take()
        number = PRONOUNS.index(subject)
    else:
        subject, number = _read_noun_phrase(words)
    if words.peek() in ADVERBS:
        words.take()
    verb = words.take()
    if verb in _COPULA_NUMBER:
        kind, its = "copula", _COPULA_NUMBER[verb]
        if words.peek() in ADJECTIVES:
            words.take()
        elif words.take_phrase(PREPOSITIONS):
            _read_the_noun(words)
        else:
            raise _Unparsed
    elif verb in _HAVE_NUMBER:
        kind, its = "have", _HAVE_NUMBER[verb]  # type: ignore[assignment]
        words.take(_PARTICIPLES)
        _read_the_noun(words)
    elif verb in _PLAIN:
        kind, its = "verb", _VERB_NUMBER.get(verb)  # type: ignore[assignment]
        _read_the_noun(words)
    else:
        raise _Unparsed
    if not words.done:
        raise _Unparsed
    return Agreement(subject, number, verb, kind, None if its is None else its == number)


def _read_the_noun(words: _Reader) -> str:
    words.take(("the",))
    return words.take(_NUMBER)


def _read_noun_phrase(words: _Reader) -> tuple[str, int]:
    words.take(("the",))
    if words.peek() in ADJECTIVES:
        words.take()
    head = words.take(_NUMBER)
    if words.take_phrase(PREPOSITIONS):
        _read_the_noun(words)
    elif words.peek() == "that":
        words.take()
        if words.peek() == "the":
            _read_the_noun(words)
            words.take(_PLAIN)
        else:
            words.take(_PLAIN)
            _read_the_noun(words)
    return head, _NUMBER[head]
