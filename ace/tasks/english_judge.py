"""Whether is, are, was and were agree with their subjects in open English text, told by rules.

What the rules cannot tell is left out: they would rather miss a copula than misjudge one. How often they are right, and
how many copulas they tell, `python -m invariants.calibration.english_judge` measures on texts with known answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ace.errors import InputError
from ace.tasks import english_words as words
from ace.tasks.english_phrases import (
    BEHIND,
    FRONTED,
    LONGEST,
    PHRASE,
    determined_number,
    end_of_head,
    may_follow_subject,
    number_after,
    number_of_part,
    pronoun_number,
    read_list,
)
from ace.tasks.english_tags import Word, check_continues, read_words
from ace.tasks.fragment.words import PLURAL, SINGULAR


@dataclass(frozen=True)
class Copula:
    """One copula and its subject.

    Attributes:
        subject: number of the subject, 0 singular, 1 plural. verb: number of the verb's form.
        own: whether the subject is the prompt's own.
        place: of the verb's first character in the text; for a contracted one, that of its apostrophe.
    """

    subject: int
    verb: int
    own: bool
    place: int

    @property
    def agrees(self) -> bool:
        """Whether the verb has the subject's number."""
        return self.subject == self.verb


def find_copulas(text: str, prompt: str = "", label: int | None = None) -> list[Copula]:
    """Copulas of a text whose subject the rules can tell, in their order.

    Args:
        text: with the prompt at its beginning. prompt: that it continues, whose copulas are left out.
        label: number of the prompt's subject, 0 singular, 1 plural; None where the prompt has none or it is not known.

    Raises:
        InputError: no text, a text that does not begin with the prompt, or another label.
    """
    check_continues(text, prompt)
    if label not in (None, SINGULAR, PLURAL):
        raise InputError(f"label: expected {SINGULAR}, {PLURAL} or None, got {label!r}")
    return _Reader(read_words(text), len(prompt), label).copulas()


_VERBS = frozenset("BMVWO")
_OPENS = frozenset(".S,CWQZ(")


def count_copulas(text: str, prompt: str = "") -> int:
    """How many copulas a text has behind its prompt, whether their subjects can be told or not.

    Raises:
        InputError: no text, or one that does not begin with the prompt.
    """
    check_continues(text, prompt)
    return sum(word.tag == "B" and word.place >= len(prompt) for word in read_words(text))


class _Reader:
    """The words of one text, and what is told of their copulas so far."""

    def __init__(self, read: Sequence[Word], size: int, label: int | None) -> None:
        self._words = read
        self._tags = "".join(word.tag for word in read)
        self._begin = next((k for k, word in enumerate(read) if word.place >= size), len(read))
        self._label = label
        self._told: dict[int, tuple[int, bool]] = {}

    def copulas(self) -> list[Copula]:
        """Those behind the prompt whose subjects can be told, in order: one may share the subject of an earlier one."""
        for at in range(self._begin, len(self._words)):
            if self._tags[at] == "B":
                subject = self._subject(at)
                if subject is not None and not (self._unreal(at) and subject[0] == SINGULAR):
                    self._told[at] = subject
        return [
            Copula(subject, _verb_number(self._words[at]), own, self._words[at].place)
            for at, (subject, own) in self._told.items()
        ]

    def _subject(self, at: int) -> tuple[int, bool] | None:
        """Number of the subject of the copula at an index, and whether it is the prompt's own; None where not told."""
        if self._continues_prompt(at) and self._label is not None:
            return self._label, self._tags[self._begin] != "C"
        last = at - 1
        while last >= 0 and self._tags[last] == "A":
            last -= 1
        tag = self._tags[last] if last >= 0 else "."
        if tag in ".SCQZT":
            return self._without_subject_before(at, last, tag)
        if tag == "O" and (
            last == 0
            or self._words[last].lower not in words.ALSO_OBJECTS
            or self._tags[last - 1] in _OPENS | set("NAR")
        ):
            number = _plain(pronoun_number(self._words[last].lower))
            return (
                number
                if last == 0 or self._tags[last - 1] not in "CZ"
                else self._joined(last - 1, self._sentence(at), number)
            )
        if tag == "K" and self._words[last].lower in ("this", "that", "these", "those") and self._opens(last):
            return _plain(determined_number([self._words[last]]))
        if tag == "R":
            return self._antecedent(last)
        return self._phrase_before(at)

    def _continues_prompt(self, at: int) -> bool:
        """Whether only what may follow a subject stands between the prompt and a copula."""
        between = self._tags[self._begin : at]
        if not self._begin:
            return False
        if between[:1] == "C" and self._label == PLURAL:
            between = re.sub(rf"^C{PHRASE}", "", between)
        return may_follow_subject(between)

    def _sentence(self, at: int) -> int:
        """Index of the mark before the part of a sentence that has an index, or -1."""
        return self._tags.rfind(".", 0, at)

    def _asks(self, at: int) -> bool:
        """Whether a question mark ends the part of a sentence that has an index."""
        end = self._tags.find(".", at)
        return end >= 0 and "?" in self._words[end].text

    def _unreal(self, at: int) -> bool:
        """Whether a past form stands in a clause of what is not so, where "were" is right of either number."""
        if self._words[at].lower not in words.PAST:
            return False
        for k in range(at - 1, max(at - 8, -1), -1):
            if self._tags[k] in ".," and k < at - 1:
                return False
            if self._words[k].lower in words.UNREAL:
                return True
        return False

    def _opens(self, start: int) -> bool:
        """Whether a subject may begin at an index, by what stands before it."""
        before = start - 1
        while before >= 0 and self._tags[before] == "A":
            before -= 1
        return before < 0 or self._tags[before] in _OPENS

    def _without_subject_before(self, at: int, last: int, tag: str) -> tuple[int, bool] | None:
        """Questions, there and here, and a second verb of one subject."""
        word = self._words[last].lower if last >= 0 else ""
        follows = number_after(self._words, at + 1, there=tag == "T")
        if tag == "T":
            return _plain(follows)
        if tag in "CZ" or word == "but":
            return self._same_subject(last)
        opening = at + 1 < len(self._words) and self._tags[at + 1] in "DKLO"
        named = at + 1 < len(self._words) and self._words[at + 1].text[:1].isupper()
        if tag == "Q" and not (opening or named):
            return None
        return _plain(follows) if tag == "Q" or word == "so" or self._asks(at) else None

    def _same_subject(self, last: int) -> tuple[int, bool] | None:
        """That of the copula before, where nothing between the two has a subject or verb of its own."""
        for k in range(last - 1, -1, -1):
            if self._tags[k] == "B":
                return self._told.get(k)
            if self._tags[k] in ".SROVWMQTX":
                return None
        return None

    def _number(self, start: int, end: int) -> tuple[int, bool] | None:
        """Of the noun phrase between two indices, by its determiners and its last noun, which must not differ."""
        phrase = self._words[start:end]
        if end <= self._begin and self._label is not None and self._is_prompts_head(start, end):
            return self._label, True
        of = number_of_part(self._words, start, end)
        if of is not None:
            return _plain(of[0])
        last_owner = max((k for k, word in enumerate(phrase) if word.tag == "L"), default=-1)
        determined = determined_number(phrase[last_owner + 1 :])
        if phrase[-1].tag in "DK":
            return _plain(determined)
        number = words.noun_number(phrase[-1].text)
        if phrase[0].tag == "G" and number == PLURAL:
            return None
        capital = phrase[-1].text[:1].isupper() and not self._starts_sentence(end - 1)
        if number == PLURAL and capital and phrase[0].tag not in "DKL":
            return None
        if number is None and determined is not None and phrase[-1].lower in words.ONE_FORM:
            number = determined
        return _plain(number) if determined in (None, number) else None

    def _is_prompts_head(self, start: int, end: int) -> bool:
        """Whether a phrase of the prompt is the first of its sentence, behind a comma where there is one."""
        sentence = max((k for k in range(self._begin) if self._tags[k] in ".,"), default=-1)
        return not any(tag in "NPVERO" for tag in self._tags[sentence + 1 : start])

    def _starts_sentence(self, at: int) -> bool:
        return at == 0 or self._tags[at - 1] == "."

    def _antecedent(self, relative: int) -> tuple[int, bool] | None:
        """Number of what a relative pronoun stands for, where every noun it may stand for has the same."""
        end = relative
        if end and self._tags[end - 1] == ",":
            end -= 1
        if end and self._tags[end - 1] == "O":
            return _plain(pronoun_number(self._words[end - 1].lower))
        found = re.search(rf"(?:{PHRASE})(?:{BEHIND})*$", self._tags[:end])
        if found is None:
            return None
        numbers: list[tuple[int, bool] | None] = []
        for part in re.finditer(PHRASE, self._tags[found.start() : end]):
            numbers.append(self._number(found.start() + part.start(), found.start() + part.end()))
        if len({number if number is None else number[0] for number in numbers}) != 1:
            return None
        return numbers[0]

    def _phrase_before(self, at: int) -> tuple[int, bool] | None:
        """The noun phrase, with its modifiers, that stands between the beginning of a clause and a copula."""
        limit = self._sentence(at)
        for start in range(at - 1, max(limit, at - LONGEST), -1):
            head_end = end_of_head(self._tags, start, at)
            if head_end is None:
                continue
            before = start - 1
            while before > limit and self._tags[before] == "A":
                before -= 1
            tag = self._tags[before] if before > limit else "."
            if tag in _OPENS:
                number = self._number(start, head_end)
                return self._joined(before, limit, number) if tag in "CZ" else self._asked(before, tag, at, number)
            between = set(self._tags[head_end:at]) - {"A"}
            if tag == "R" and not between & _VERBS | {"E", "X"} & between:
                return self._number(start, head_end)
            if tag == "N" and self._tags[start] in "DK" and self._tags[before - 1] != "P" and not between:
                return self._number(start, head_end)
        return self._gerund_or_fronted(at, limit)

    def _asked(self, before: int, tag: str, at: int, number: tuple[int, bool] | None) -> tuple[int, bool] | None:
        """The phrase itself, but for "how long is the road"."""
        if tag == "Q" and self._words[before].lower == "how" and self._tags[before + 1] == "N":
            return _plain(number_after(self._words, at + 1, there=False))
        return number

    def _joined(self, before: int, limit: int, number: tuple[int, bool] | None) -> tuple[int, bool] | None:
        """What follows "and" or "or": a clause of its own, or the last part of a subject."""
        begin = max((k for k in range(limit + 1, before) if self._tags[k] in "SWQ"), default=limit)
        left = self._tags[begin + 1 : before]
        if not left.strip(",A"):
            return number
        listed = read_list(left)
        if self._tags[before] == "Z":
            return None
        if listed is not None:
            return (PLURAL, False) if listed == "plain" or number == (PLURAL, False) else None
        if "R" in left or (not _VERBS & set(left) and "X" in left):
            return number if number is not None and number[0] == PLURAL else None
        return number

    def _gerund_or_fronted(self, at: int, limit: int) -> tuple[int, bool] | None:
        """ "Reading books is" and "on the wall was a picture"."""
        clause = max((k for k in range(limit, at) if k < 0 or self._tags[k] in ".S"), default=limit)
        span = self._tags[clause + 1 : at]
        if re.fullmatch(rf"G(?:[DKoO][^,]*|{BEHIND}*A*|N)", span) and "B" not in span:
            return (SINGULAR, False)
        begins = clause < 0 or self._tags[clause] == "S" or self._words[clause].text[0] in ".!?\n"
        if begins and FRONTED.fullmatch(span) and at + 1 < len(self._words) and self._tags[at + 1] in "DK":
            return _plain(number_after(self._words, at + 1, there=False))
        return None


def _plain(number: int | None) -> tuple[int, bool] | None:
    return None if number is None else (number, False)


def _verb_number(word: Word) -> int:
    return words.CONTRACTED.get(word.lower, words.COPULAS.get(word.lower, SINGULAR))
