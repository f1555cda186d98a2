"""The number of a subject, told from the form that agrees with it and the form that does not."""

from __future__ import annotations

from ace.tasks.fragment.words import PLURAL, SINGULAR

_SINGULAR = {"is", "was", "has", "does", "himself", "herself", "itself"}
_PLURAL = {"are", "were", "have", "do", "themselves"}


def told_number(good: str, bad: str) -> int | None:
    """Number of the subject that `good` agrees with and `bad` does not, 0 or 1; None where their forms do not tell.

    A verb in -s is singular, as are is, was, has, does, with or without n't, and the reflexive pronouns of one.
    """
    first, second = (text.lower().split() for text in (good, bad))
    if not first or not second or first[1:] != second[1:]:
        return None
    for number, (one, other) in ((SINGULAR, (first[0], second[0])), (PLURAL, (second[0], first[0]))):
        known = one.removesuffix("n't") in _SINGULAR and other.removesuffix("n't") in _PLURAL
        if (known and one.endswith("n't") == other.endswith("n't")) or one in _third_person(other):
            return number
    return None


def _third_person(verb: str) -> set[str]:
    endings = {f"{verb}s", f"{verb}es"}
    return endings | {f"{verb[:-1]}ies"} if verb.endswith("y") else endings
