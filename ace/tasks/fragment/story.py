"""Stories of the fragment, drawn at random: a story keeps one tense, a pronoun stands for the subject before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ace.check import check_count
from ace.tasks.fragment.words import ADJECTIVES, ADVERBS, COPULAS, FRONTS, HAVE, NOUNS, PREPOSITIONS, PRONOUNS, VERBS


def story(rng: np.random.Generator, sentences: int) -> str:
    """Sentences of one tense in a row, each ending in a full stop.

    Raises:
        InputError: fewer than one sentence.
    """
    check_count("sentences", sentences)
    tense = ("present", "past")[int(rng.integers(2))]
    number: int | None = None
    told = []
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
        told.append(" ".join([*words, *_predicate(rng, number, tense)]).replace(" ,", ",") + ".")
    return " ".join(told)


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
        other, other_number = _noun(rng)
        words += ["that", "the", other, _verb(rng, other_number, tense)]
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
