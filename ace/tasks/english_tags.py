"""English text as words, each with a letter for what it can be, told from lists, endings and what stands before it.

No dictionary is asked: whatever is on no list counts as part of a noun phrase, and its place says which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ace.errors import InputError
from ace.tasks import english_words as words

_ABBREVIATIONS = r"(?:Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|Gen|Col|Capt|Lt|Rev|Mt|vs|etc|e\.g|i\.e|a\.m|p\.m|No|Fig|approx)\."
_WORD = r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*"
_TOKEN = re.compile(
    rf"\b{_ABBREVIATIONS}|(?:\b[A-Za-z]\.){{2,}}|\b[A-Z]\.(?=\s+[A-Z])|\d+(?:[.,:]\d+)*(?:st|nd|rd|th|s)?|{_WORD}"
    r"(?:(?<=s)['\u2019](?=\s+\w))?|\n\s*\n|[.!?]+|\S"
)


@dataclass(frozen=True)
class Word:
    """One word or mark of a text.

    Attributes:
        text: as written. lower: in lower case, with straight apostrophes. place: of its first character.
        tag: D determiner, K such a word that may stand alone, L possessive, N noun or adjective, E word in -ed or
            participle, G word in -ing, V verb, W verb that a clause may follow, M auxiliary, O subject pronoun,
            o object pronoun, P preposition, R relative pronoun, S conjunction, Q question word, A adverb, C and,
            Z or, B copula, T there or here, X verb or noun, the comma, ( and ), and a full stop for other marks.
    """

    text: str
    lower: str
    place: int
    tag: str


def check_continues(text: object, prompt: object) -> None:
    """Raise `InputError` unless a text begins with its prompt."""
    for name, given in (("text", text), ("prompt", prompt)):
        if not isinstance(given, str):
            raise InputError(f"{name}: expected a string, got {type(given).__name__}")
    if not str(text).startswith(str(prompt)):
        raise InputError(f"text: expected to begin with the prompt {prompt!r}, got {str(text)[:40]!r}")


def read_words(text: str) -> list[Word]:
    """Words and marks of a text in their order, each with its tag; contracted copulas are words of their own."""
    read: list[Word] = []
    parts = [part for match in _TOKEN.finditer(text) for part in _parts(match.group(), match.start())]
    lowers = [part.lower().replace("\u2019", "'") for part, _ in parts]
    for index, (part, place) in enumerate(parts):
        following = lowers[index + 1 : index + 3]
        read.append(Word(part, lowers[index], place, _tag(part, lowers[index], following, read)))
    return read


def _parts(text: str, place: int) -> list[tuple[str, int]]:
    """A pronoun and its contracted copula apart; anything else as it is."""
    cut = max(text.rfind("'"), text.rfind("\u2019"))
    if (
        cut > 0
        and text[cut:].lower().replace("\u2019", "'") in words.CONTRACTED
        and text[:cut].lower() in words.CONTRACTING
    ):
        return [(text[:cut], place), (text[cut:], place + cut)]
    return [(text, place)]


def _tag(text: str, lower: str, following: list[str], read: list[Word]) -> str:
    """Tag of a word from its form, up to two words behind and all before it."""
    before = read[-1].tag if read else "."
    after = following[0] if following else ""
    if not lower[0].isalnum():
        return _tag_of_mark(text, lower, following)
    if lower in words.COPULAS:
        return "B"
    for tag, members in _CLOSED:
        if lower in members:
            return tag
    if lower == "that":
        return _tag_of_that(after, before)
    if lower in ("who", "which"):
        return "R" if before in "NKL,EoO" or (before == "P" and lower == "which") else "Q"
    if lower == "one":
        return "N" if before in "DNL" else "K"
    if lower in words.EITHER_WAY:
        return _tag_either_way(read)
    if lower == "because":
        return "P" if after == "of" else "S"
    if lower in ("according", "next", "due", "instead", "such", "along", "together") and after in (
        "to",
        "of",
        "as",
        "with",
    ):
        return "P"
    if lower in words.DETERMINERS:
        return "K" if lower in words.ALONE else "D"
    if lower in words.PREPOSITIONS and not (lower == "like" and before in "OM"):
        return "P"
    if lower in ("there", "here"):
        return "A" if before in "NEVGPB" else "T"
    return _tag_open(text, lower, before, following, read)


_CLOSED: tuple[tuple[str, frozenset[str]], ...] = (
    ("O", frozenset(words.SUBJECT_PRONOUNS) | words.INDEFINITE),
    ("o", words.OBJECT_PRONOUNS),
    ("M", words.AUXILIARIES),
    ("C", frozenset({"and", "&"})),
    ("Z", frozenset({"or", "nor"})),
    ("S", words.CONJUNCTIONS - {"because"}),
    ("Q", words.QUESTIONS - {"who", "which", "whom", "whose"}),
)


def _tag_of_mark(text: str, lower: str, following: list[str]) -> str:
    if lower in words.CONTRACTED:
        return "M" if words.HAS & set(following) else "B"
    return text if text in ",()" else "."


def _tag_of_that(after: str, before: str) -> str:
    if before in "WMVE" or (before in ".,C" and after in _OPENING):
        return "S"
    if before in "NKOo":
        return "R"
    return "K"


def _tag_either_way(read: list[Word]) -> str:
    """A conjunction at the clause's beginning or after its verb, else a preposition."""
    for word in reversed(read):
        if word.tag in ".S":
            break
        if word.tag in "BMVWO":
            return "S"
    return "P" if read and read[-1].tag not in ".,SC" else "S"


def _tag_open(text: str, lower: str, before: str, following: list[str], read: list[Word]) -> str:
    after = following[0] if following else ""
    if lower.endswith(("'s", "s'")):
        return "L"
    if lower[0].isdigit():
        return "K" if not lower.endswith("s") else "N"
    if before in "DKL" and not (before == "K" and read[-1].lower == "that"):
        return "A" if lower in ("very", "most", "more", "still", "now", "once") else "N"
    relative = before == "R" or (before == "A" and len(read) > 1 and read[-2].tag == "R")
    if lower in words.ADVERBS or (lower.endswith("ly") and lower not in words.NOT_ADVERBS):
        return "A"
    if lower in words.CLAUSE_VERBS and not (lower in words.VERBS_AND_NOUNS and before not in "ORMC"):
        return "V" if relative and lower in words.WITH_OBJECTS else "W"
    if lower in words.VERBS:
        sure = before in "OM" or relative
        return "V" if sure or lower not in words.VERBS_AND_NOUNS else "X" if before in "NKEG" else "N"
    if before in "OM" and not text[0].isupper():
        return "E" if lower.endswith("ed") or lower in words.PARTICIPLES else "V"
    if relative and (read[-1].lower != "that" or after in _OPENING):
        return "E" if lower.endswith("ed") or lower in words.PARTICIPLES else "V"
    if lower.endswith("ing") and lower not in words.NOUNS_IN_ING and len(lower) > 4:
        return "G"
    if (lower.endswith("ed") and lower not in words.ADJECTIVES_IN_ED and len(lower) > 3) or lower in words.PARTICIPLES:
        return "E"
    return "N"


_OPENING = words.DETERMINERS | words.PREPOSITIONS | words.OBJECT_PRONOUNS | {"it", "you"}
