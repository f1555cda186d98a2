"""What a noun phrase and what may follow it look like, as patterns over the words' tags, one letter a word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ace.tasks import english_words as words
from ace.tasks.english_tags import Word
from ace.tasks.fragment.words import PLURAL, SINGULAR

PHRASE = r"(?:A*[DKL]+A*[EGNL]*N|A*[EGNL]*N|D?[DK])"
BEHIND = rf"(?:A*P+(?:{PHRASE}|[oOG]))"
_OBJECT = rf"(?:{PHRASE}|[oO])"
_COMMAS = r",[^,.BS]*,|,R[^,.]*,|\([^)]*\)"
_AFTER_PROMPT = re.compile(
    rf"A|{BEHIND}|{_COMMAS}|[EG]{BEHIND}+|G{_OBJECT}|RA*[VWEM]+A*{_OBJECT}?|R(?:{PHRASE}|O)A*[VWEM]+A*"
)
_AFTER_HEAD = re.compile(
    rf"A|{BEHIND}|{_COMMAS}|EA*|G{_OBJECT}?|R?A*[VWEM]+A*G?{_OBJECT}?A*|OA*[VWEM]+A*{_OBJECT}?|"
    rf"R(?:{PHRASE}{BEHIND}*|O)A*[VWEMX]+A*|RA*B[NAEGPDKL]*"
)
_HEAD = re.compile(PHRASE)
_PART_OF_LIST = re.compile(rf"(?:{PHRASE}(?=[DK]))?{PHRASE}(?P<behind>{BEHIND}*)")
LONGEST = 40  # words from a subject to its verb
FRONTED = re.compile(rf"(?:{BEHIND}A*)+")


def _repeats(pattern: re.Pattern[str], tags: str, start: int, end: int) -> bool:
    """Whether the tags between two indices are any number of matches of a pattern, in time that does not explode."""
    if end - start > LONGEST:
        return False
    reached = {start}
    for at in range(start, end):
        if at in reached:
            reached |= {stop for stop in range(at + 1, end + 1) if pattern.fullmatch(tags, at, stop)}
    return end in reached


def end_of_head(tags: str, start: int, end: int) -> int | None:
    """Where the longest noun phrase that begins at an index ends, if what may follow a head fills the rest."""
    if tags[start] == "A":
        return None
    ends = (stop for stop in range(end, start, -1) if _HEAD.fullmatch(tags, start, stop))
    return next((stop for stop in ends if _repeats(_AFTER_HEAD, tags, stop, end)), None)


def may_follow_subject(tags: str) -> bool:
    """Whether these may stand between a subject and its verb: adverbs, modifiers, what commas or brackets enclose."""
    return _repeats(_AFTER_PROMPT, tags, 0, len(tags))


def read_list(tags: str) -> str | None:
    """Noun phrases with commas between them: "plain", or "modified" where one has a modifier; None for others."""
    parts = [_PART_OF_LIST.fullmatch(part.lstrip("A")) for part in tags.strip(",").split(",")]
    if None in parts:
        return None
    return "modified" if any(part["behind"] for part in parts if part is not None) else "plain"


def determined_number(phrase: Sequence[Word]) -> int | None:
    """Number that determiners alone give; a few, a hundred and another two are plural."""
    lowers = {word.lower for word in phrase if word.tag in "DK"}
    if lowers & words.PLURAL_DETERMINERS or any(lower[0].isdigit() and lower != "1" for lower in lowers):
        return PLURAL
    return SINGULAR if lowers & words.SINGULAR_DETERMINERS else None


def pronoun_number(lower: str) -> int | None:
    """Number of a subject pronoun; None for "I"."""
    return SINGULAR if lower in words.INDEFINITE else words.SUBJECT_PRONOUNS[lower]


def number_after(read: Sequence[Word], start: int, there: bool) -> int | None:
    """Number of the noun phrase that begins at an index; None where it is not told.

    Args:
        there: whether it stands behind "there is", where no determiner need open it.
    """
    while start < len(read) and read[start].tag == "A":
        start += 1
    end = start
    while end < len(read) and read[end].tag in "DKLNAEG":
        end += 1
    phrase = read[start:end]
    if not phrase:
        if start < len(read) and read[start].tag == "O":
            return pronoun_number(read[start].lower)
        return None
    of = number_of_part(read, start, end)
    if of is not None:
        return of[0]
    first = determined_number(phrase[:1])
    if first is None and phrase[0].tag not in "DKL" and not there and not phrase[0].text[:1].isupper():
        return None
    numbers = [words.noun_number(word.text) for word in phrase if word.tag in "NEG"]
    if phrase[0].tag not in "DKL" and numbers and None in numbers[:1]:
        return None
    found = PLURAL if PLURAL in numbers else None if None in numbers or not numbers else SINGULAR
    number = first if not numbers or found is None else found if first in (None, found) else None
    joined = end < len(read) and read[end].tag in "CZ"
    if joined and number == SINGULAR and end + 1 < len(read) and read[end + 1].tag in "DKLN":
        return None
    return number


def number_of_part(read: Sequence[Word], start: int, end: int) -> tuple[int | None] | None:
    """Number of "some of the water" and the like by its parts, in brackets; None where a phrase is none such."""
    if end >= len(read) or read[end].lower != "of":
        return None
    lowers = [word.lower for word in read[start:end]]
    if lowers[-1] == "number":
        return (PLURAL if lowers[0] == "a" else SINGULAR,)
    if lowers[-1] not in words.OF_WHAT_FOLLOWS:
        return None
    return (number_after(read[end + 1 : end + LONGEST], 0, there=True),)
