"""Whether the verbs of a text agree with their subjects: the grammar read backwards.

Exact for what the grammar can say; other text is told apart as what cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from ace.errors import InputError
from ace.tasks.fragment.words import (
    ADJECTIVES,
    ADVERBS,
    COPULAS,
    FRONTS,
    NOUNS,
    PLURAL,
    PREPOSITIONS,
    PRONOUNS,
    SINGULAR,
    VERBS,
)

_NOUN_NUMBER = {form: number for forms in NOUNS for number, form in enumerate(forms)}
_PLAIN = {form for verb in VERBS for form in verb[:3]}
_PARTICIPLES = {verb[3] for verb in VERBS}
_VERB_NUMBER = {form: number for verb in VERBS for number, form in enumerate(verb[:2])}
_COPULA_NUMBER = {form: number for pair in COPULAS.values() for number, form in enumerate(pair)}
_HAVE_NUMBER: dict[str, int | None] = {"has": SINGULAR, "have": PLURAL, "had": None}


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


def judge(text: str) -> list[Agreement | None]:
    """The main verb of every complete sentence and whether it agrees; None for a sentence that does not parse.

    What follows the last full stop is no sentence yet and is left out.

    Raises:
        InputError: something other than a text.
    """
    if not isinstance(text, str):
        raise InputError(f"text: expected a string, got {type(text).__name__}")
    verdicts: list[Agreement | None] = []
    for sentence in text.split(".")[:-1]:
        try:
            verdicts.append(_parse(_Reader(sentence.replace(",", " ,").split())))
        except _Unparsed:
            verdicts.append(None)
    return verdicts


class _Reader:
    """A cursor over the words of one sentence; what the grammar does not have raises `_Unparsed`."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._at = 0

    def peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def take(self, allowed: Container[str] | None = None) -> str:
        word = self.peek()
        if not word or (allowed is not None and word not in allowed):
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
    verb_number: int | None
    if verb in _COPULA_NUMBER:
        kind, verb_number = "copula", _COPULA_NUMBER[verb]
        if words.peek() in ADJECTIVES:
            words.take()
        elif words.take_phrase(PREPOSITIONS):
            _read_the_noun(words)
        else:
            raise _Unparsed
    elif verb in _HAVE_NUMBER:
        kind, verb_number = "have", _HAVE_NUMBER[verb]
        words.take(_PARTICIPLES)
        _read_the_noun(words)
    elif verb in _PLAIN:
        kind, verb_number = "verb", _VERB_NUMBER.get(verb)
        _read_the_noun(words)
    else:
        raise _Unparsed
    if not words.done:
        raise _Unparsed
    return Agreement(subject, number, verb, kind, None if verb_number is None else verb_number == number)


def _read_the_noun(words: _Reader) -> str:
    words.take(("the",))
    return words.take(_NOUN_NUMBER)


def _read_noun_phrase(words: _Reader) -> tuple[str, int]:
    words.take(("the",))
    if words.peek() in ADJECTIVES:
        words.take()
    head = words.take(_NOUN_NUMBER)
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
    return head, _NOUN_NUMBER[head]
