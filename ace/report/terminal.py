"""The verdict table for a terminal: as wide as that is, wrapped by meaning, verdicts in colour where it shows colours.

Where all columns fit, a row is a line. Where they do not, rows stand under their subject, and what a value is held
against stands below the value: first the bound, then the control nearest to it. No line is longer than the terminal is
wide, whatever a subject or a control is called; letters of East Asian scripts take two columns.
"""

from __future__ import annotations

import textwrap
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, zip_longest
from typing import Any
from unicodedata import east_asian_width

from ace.report.table import DOCUMENTED, HEADINGS, Result, rows, tally, unfinished

Markup = Mapping[str, bool]  # what pytest's terminal writer is told: {"red": True}
Piece = tuple[str, Markup]
Line = tuple[Piece, ...]
Cells = Sequence[str]  # of one row, as `ace.report.table.rows` gives them

NARROWEST = 60  # columns; anything less is taken for this
MIDDLE = 20  # columns that a value with its interval has at least; claims are shortened first
GAP = 2  # columns between two columns of the table
PLAIN: Markup = {}
STRONG: Markup = {"bold": True}
COLORS: Mapping[str, Markup] = {
    "HOLDS": {"green": True},
    "VACUOUS": {"yellow": True},
    "UNDECIDED": {"purple": True},
    "INAPPLICABLE": {"cyan": True},
    "FAILS": {"red": True},
}
BELOW = "bound; control nearest it"
SECOND = "\0"  # stands for the second column of a wide letter while lines are broken; not printable, so in no text
LONGEST_VERDICT = max(len(text) for text in (*COLORS, DOCUMENTED))


def table(results: Sequence[Result], width: int) -> list[Line]:
    """Lines of the table with notes and a count of verdicts at the end, none longer than `width` columns.

    A line is a sequence of (text, markup); markup is as pytest's terminal writer takes it, and may be left out.
    """
    width = max(width, NARROWEST)
    listed = [(result, [*map(_printable, row)]) for result, row in zip(results, rows(results), strict=True)]
    lines = _in_columns(listed, width) or [*_by_subject(listed, width)]
    notes = [*unfinished(results), *_inapplicable(results)]
    return [
        *lines,
        (),
        *(((line, PLAIN),) for note in notes for line in _wrapped(note, width)),
        *_tally(results, width),
    ]


def plain(lines: Iterable[Line]) -> list[str]:
    """The lines without colours."""
    return ["".join(text for text, _ in line) for line in lines]


def _in_columns(listed: Sequence[tuple[Result, Cells]], width: int) -> list[Line]:
    """A line for each row; empty where one would be too long."""
    every = [HEADINGS, *(cells for _, cells in listed)]
    widths = [max(columns(cells[place]) for cells in every) for place in range(len(HEADINGS))]
    total = sum(widths) + GAP * (len(widths) - 1)
    if total > width:
        return []
    lines: list[Line] = [((_padded(HEADINGS, widths).rstrip(), PLAIN),), (("-" * total, PLAIN),)]
    for result, cells in listed:
        before = _padded(cells[:-1], widths) + " " * GAP
        lines.append(((before, PLAIN), (cells[-1], _color(result))))
    return lines


def _padded(cells: Cells, widths: Sequence[int]) -> str:
    return (" " * GAP).join(_filled(cell, width) for cell, width in zip(cells, widths, strict=False))


def _by_subject(listed: Sequence[tuple[Result, Cells]], width: int) -> Iterator[Line]:
    """Rows under a line with their subject: claim, value above bound and control, verdict."""
    longest = max(columns(text) for text in (HEADINGS[0], *(cells[0] for _, cells in listed)))
    claim = min(longest, width - 3 * GAP - LONGEST_VERDICT - MIDDLE)
    room = width - 3 * GAP - claim - LONGEST_VERDICT
    texts = [text for _, cells in listed for text in (cells[2], f"{cells[3]}; {cells[4]}")]
    widths = (claim, min(room, max(map(columns, (*texts, BELOW)))))
    yield _row(widths, HEADINGS[0], HEADINGS[2], HEADINGS[-1])
    yield _row(widths, "", BELOW, "")
    yield (("-" * (sum(widths) + 3 * GAP + LONGEST_VERDICT), PLAIN),)
    # Within a subject they stay in their order.
    ordered = sorted(listed, key=lambda row: str(row[0]["subject"]))
    for subject, group in groupby(ordered, key=lambda row: str(row[0]["subject"])):
        yield ((shortened(subject, width), STRONG),)
        for result, cells in group:
            yield from _lines(result, cells, widths)


def _lines(result: Result, cells: Cells, widths: tuple[int, int]) -> Iterator[Line]:
    value, bound, control = cells[2:5]
    first, *below = _wrapped(value, widths[1])
    if value != "-":
        both = f"{bound}; {control}" if control != "-" else bound
        below += [both] if columns(both) <= widths[1] else [bound, *_wrapped(control, widths[1])]
    yield _row(widths, cells[0], first, result["verdict"], _color(result))
    beside = [DOCUMENTED] if result.get("documented") else []
    for text, note in zip_longest(below, beside, fillvalue=""):
        yield _row(widths, "", text, note)


def _row(widths: tuple[int, int], claim: str, text: str, verdict: str, color: Markup = PLAIN) -> Line:
    """One line of the table; only the verdict has the colour."""
    gap = " " * GAP
    cells = (_filled(shortened(cell, width), width) for cell, width in zip((claim, text), widths, strict=True))
    before = f"{gap}{gap.join(cells)}{gap}"
    return ((before, PLAIN), (verdict, color)) if verdict else ((before.rstrip(), PLAIN),)


def _color(result: Result) -> Markup:
    """Of a verdict; what is documented is not bold."""
    color = COLORS.get(result["verdict"], PLAIN)
    return color if result.get("documented") or result["verdict"] in ("HOLDS", "VACUOUS") else {**color, "bold": True}


def _tally(results: Sequence[Result], width: int) -> Iterator[Line]:
    """How many verdicts of each kind, in their colours; without them where that takes more than a line."""
    text = tally(results)
    if len(text) > width:
        yield from (((line, PLAIN),) for line in _wrapped(text, width))
        return
    head, _, counts = text.partition(": ")
    pieces: list[Piece] = [(f"{head}: ", PLAIN)]
    for number, count in enumerate(counts.split(", ")):
        pieces += [(", ", PLAIN)] if number else []
        pieces.append((count, COLORS.get(count.rpartition(" ")[2], PLAIN)))
    yield tuple(pieces)


def _inapplicable(results: Sequence[Result]) -> list[str]:
    """Why claims could not be put to their subjects, each reason once."""
    reasons = dict.fromkeys(
        (result["subject"], result["reason"]) for result in results if result["verdict"] == "INAPPLICABLE"
    )
    return [f"INAPPLICABLE, {subject}: {reason}" for subject, reason in reasons]


def shortened(text: Any, width: int) -> str:
    """A text in one line of at most `width` columns; of a longer one the beginning and, as of a path, more of the end.

    What is not printable, such as a control sequence in a model's name, becomes a question mark.
    """
    line = _printable(str(text))
    if columns(line) <= width:
        return line
    kept = width - 3
    return f"{_beginning(line, kept // 3)}...{_beginning(line[::-1], kept - kept // 3)[::-1]}"


def columns(text: str) -> int:
    """How many columns a terminal takes for a text: two for a letter that Unicode calls wide."""
    return len(text) + sum(map(_is_wide, text))


def _is_wide(letter: str) -> bool:
    return east_asian_width(letter) in ("W", "F")


def _beginning(text: str, width: int) -> str:
    """As much of a text as that many columns hold."""
    taken = list(accumulate(map(columns, text)))
    return text[: bisect_right(taken, width)]


def _filled(text: str, width: int) -> str:
    """The text with spaces to that many columns."""
    return text + " " * (width - columns(text))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns.

    `textwrap` counts letters. So a mark stands behind each wide one while lines are broken, and a column stays free
    where there are such, for a line may end between a letter and its mark.
    """
    marked = "".join(f"{letter}{SECOND}" if _is_wide(letter) else letter for letter in _printable(text))
    room = width - (SECOND in marked)
    lines = textwrap.wrap(marked, room, subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace(SECOND, "") for line in lines]
