"""Where sentences of open English text end."""

from __future__ import annotations

import re

ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "e.g", "i.e", "etc", "vs", "no", "u.s", "u.k", "a.m", "p.m"}
)
END = re.compile(r"([\w.]*)[.!?]+[\"'\u201d\u2019)\]]*(?=\s)|\n\s*\n")


def sentence_ends(text: str) -> int:
    """How many sentences have ended in a text: at a full stop, question or exclamation mark, or at an empty line.

    A mark at the very end does not count yet: what follows it may be a digit. Abbreviations end nothing.
    """
    found = 0
    for match in END.finditer(text):
        before = match[1]
        if before is None or not (before.lower() in ABBREVIATIONS or (len(before) == 1 and before.isupper())):
            found += 1
    return found
