"""The head noun of a prompt about number, where a file does not name it, and whether two nouns are forms of one.

The rule knows little grammar and says so: the subject begins at the first determiner after a comma, or else at the
first one that no preposition stands before; its head is the last word before a preposition, a relative pronoun, an
auxiliary, a conjunction, an adverb, a comma or the end. Without a determiner it is the first word, such as a name.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words(
    "the a an this that these those some many most few several all both every each any no another"
    " my your his her its our their one two three"
)
_PREPOSITIONS = _words(
    "to of near behind beside besides next alongside by with without in inside on at from for under over above below"
    " between among around about across opposite against along through toward towards into onto upon beyond outside off"
    " during after before since until despite like near close far beneath underneath within"
)
_RELATIVES = _words("that who whom whose which where when")
_CONJUNCTIONS = _words("and or but nor not")
_AUXILIARIES = _words(
    "is are was were be been am has have had do does did can could will would shall should may might must"
)
_ADVERBS = _words(
    "often still always really certainly now never usually today yesterday nowadays here there once also already"
    " probably clearly apparently obviously sometimes rarely then soon"
)
_STOPS = _PREPOSITIONS | _RELATIVES | _CONJUNCTIONS | _AUXILIARIES | _ADVERBS | _DETERMINERS
_TIMES = _words("day days morning evening night year years week weeks month months time times moment summer")
_QUANTITIES = r"\b(a lot|lots|a number|a couple|plenty|most|many|some|all|one|each) of (the |these |those )?"
_AFTER_TIMES = _DETERMINERS | {"ago"}  # "this week the keys", "two years ago the keys"
_IRREGULAR = {
    "children": "child",
    "people": "person",
    "mice": "mouse",
    "geese": "goose",
    "teeth": "tooth",
    "feet": "foot",
    "oxen": "ox",
    "criteria": "criterion",
    "phenomena": "phenomenon",
}


def derived_head(prompt: str, *, verb: bool = False) -> str | None:
    """The head noun of a prompt's subject, in lower case; None where the rule finds none.

    Args:
        prompt: up to the verb that agrees, or to its reflexive object.
        verb: whether it ends with a verb, as before a reflexive pronoun; the word before the stop is then no noun
            where it ends in -ed or the prompt ends.
    """
    prompt = re.sub(_QUANTITIES, "some ", prompt, flags=re.IGNORECASE)
    words = [(raw.strip('.,;:!?"()').lower(), raw.endswith(",")) for raw in prompt.split()]
    plain = [word for word, _ in words]
    start = _subject(words)
    if start is None:
        first = plain[0] if plain else ""
        return None if not first or first in _STOPS else first
    phrase, end = [], start + 1
    for end in range(start + 1, len(words) + 1):
        if end == len(words) or _stops(plain[end]):
            break
        phrase.append(plain[end])
        if words[end][1]:
            break
    at_end = end == len(words)
    if len(phrase) > 1 and verb and (at_end or phrase[-1].endswith("ed")):
        phrase.pop()
    return phrase[-1] if phrase else None


def _stops(word: str) -> bool:
    return word in _STOPS or word.endswith("n't")


def _subject(words: list[tuple[str, bool]]) -> int | None:
    """Where the determiner of the subject stands."""
    plain = [word for word, _ in words]

    def may_begin(place: int) -> bool:
        word, following = plain[place], plain[place + 1 : place + 3]
        if word not in _DETERMINERS or (word == "that" and place):  # "they say that the key"
            return False
        return len(following) < 2 or following[0] not in _TIMES or following[1] not in _AFTER_TIMES

    places = [place for place in range(len(words)) if may_begin(place)]
    after_comma = [place for place in places if place and words[place - 1][1]]
    free = [place for place in places if not place or plain[place - 1] not in _PREPOSITIONS]
    return next(iter(after_comma + free), None)


def stem(noun: str) -> str:
    """What the singular and the plural of a noun have in common; no word, but the same for both."""
    word = _IRREGULAR.get(noun.lower(), noun.lower())
    if word.endswith("es"):
        word = re.sub(r"i$", "y", word[:-2])
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    else:
        word = word.removesuffix("e")
    if word.endswith("v"):  # knives, knife; gloves, glove
        word = f"{word[:-1]}f"
    if word.endswith("men"):
        word = f"{word[:-3]}man"
    return re.sub(r"y$", "i", word)
