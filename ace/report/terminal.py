"""The verdict table for a terminal: as wide as that is, wrapped by meaning, verdicts in colour where it shows colours.

Where all columns fit, a row is a line. Where they do not, rows stand under their subject, and what a value is held
against stands below the value: first the bound, then the control nearest to it. No line is longer than the terminal is
wide, whatever a subject or a control is called.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any

from ace.report.table import DOCUMENTED, HEADINGS, Result, rows, tally, unfinished

Markup = Mapping[str, bool]  # what pytest's terminal writer is told: {"red": True}
Piece = tuple[str, Markup]
Line = tuple[Piece, ...]

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
LONGEST_VERDICT = max(len(text) for text in (*COLORS, DOCUMENTED))


def table(results: Sequence[Result], width: int) -> list[Line]:
    """Lines of the table with notes and a count of verdicts at the end, none longer than `width` columns.

    A line is a sequence of (text, markup); markup is as pytest's terminal writer takes it, and may be left out.
    """
    width = max(width, NARROWEST)
    lines = _in_columns(results, width) or [*_by_subject(results, width)]
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


def _in_columns(results: Sequence[Result], width: int) -> list[Line]:
    """A line for each row; empty where one would be too long."""
    cells = [[*map(_printable, row)] for row in rows(results)]
    widths = [max(len(row[column]) for row in (HEADINGS, *cells)) for column in range(len(HEADINGS))]
    total = sum(widths) + GAP * (len(widths) - 1)
    if total > width:
        return []
    lines: list[Line] = [((_padded(HEADINGS, widths), PLAIN),), (("-" * total, PLAIN),)]
    for result, row in zip(results, cells, strict=True):
        before = _padded(row[:-1], widths) + " " * (widths[-2] - len(row[-2]) + GAP)
        lines.append(((before, PLAIN), (row[-1], _color(result))))
    return lines


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
    return (" " * GAP).join(cells).rstrip()


def _by_subject(results: Sequence[Result], width: int) -> Iterator[Line]:
    """Rows under a line with their subject: claim, value above bound and control, verdict."""
    longest = max(len(HEADINGS[0]), *(len(result["claim"]) for result in results))
    claim = min(longest, width - 3 * GAP - LONGEST_VERDICT - MIDDLE)
    room = width - 3 * GAP - claim - LONGEST_VERDICT
    cells = [row[2:5] for row in rows(results)]
    middle = max(len(text) for row in cells for text in (row[0], f"{row[1]}; {row[2]}", BELOW))
    columns = (claim, min(room, middle))
    yield _row(columns, HEADINGS[0], HEADINGS[2], HEADINGS[-1])
    yield _row(columns, "", BELOW, "")
    yield (("-" * (sum(columns) + 3 * GAP + LONGEST_VERDICT), PLAIN),)
    ordered = sorted(results, key=lambda result: str(result["subject"]))  # within a subject they stay in their order
    for subject, group in groupby(ordered, key=lambda result: str(result["subject"])):
        yield ((shortened(subject, width), STRONG),)
        for result in group:
            yield from _rows(result, columns)


def _rows(result: Result, columns: tuple[int, int]) -> Iterator[Line]:
    (cells,) = rows([result])
    value, bound, control = cells[2:5]
    first, *below = _wrapped(value, columns[1])
    if value != "-":
        both = f"{bound}; {control}" if control != "-" else bound
        below += [both] if len(both) <= columns[1] else [bound, *_wrapped(control, columns[1])]
    yield _row(columns, result["claim"], first, result["verdict"], _color(result))
    beside = [DOCUMENTED] if result.get("documented") else []
    for text, note in zip_longest(below, beside, fillvalue=""):
        yield _row(columns, "", text, note)


def _row(columns: tuple[int, int], claim: str, text: str, verdict: str, color: Markup = PLAIN) -> Line:
    """One line of the table; only the verdict has the colour."""
    claim, text = shortened(claim, columns[0]), shortened(text, columns[1])
    before = f"{'':{GAP}}{claim:{columns[0]}}{'':{GAP}}{text:{columns[1]}}{'':{GAP}}"
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
    if len(line) <= width:
        return line
    kept = width - 3
    return f"{line[: kept // 3]}...{line[len(line) - (kept - kept // 3) :]}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(_printable(text), width, subsequent_indent="  ", break_on_hyphens=False)
