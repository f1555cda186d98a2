"""The table of all calibrations as a page of Markdown, and tables in Markdown for other pages."""

from __future__ import annotations

from collections.abc import Sequence

from invariants.calibration.coverage import ERRORS, LEAST, MOST, SIDE
from invariants.calibration.section import Row, Section

HEAD = """# Calibration

Written by `{command}`; do not edit. Each row is a simulation on data whose truth is known.

An interval at 95 % is asked to cover {least:.0%} to {most:.0%} of the time, and to lie wholly on one side of the truth
in at most {side:.0%}: that is how often a sentence HOLDS whose truth lies on its bound. Where a row asks for something
else, its last column says why. A share may lie outside what is asked by {errors:g} Monte Carlo standard errors; what
follows ± is one of them. The column at 99.75 %, the first of Holm's levels for twenty seeds, is shown and not judged.
"""


def page(command: str, results: Sequence[tuple[Section, Sequence[Row]]]) -> str:
    """Sections with their rows."""
    parts = [HEAD.format(command=command, least=LEAST, most=MOST, side=SIDE, errors=ERRORS)]
    for section, rows in results:
        lines = table(section.columns, [row.cells for row in rows])
        parts.append(f"## {section.title}\n\n{section.text}\n\n" + "\n".join(lines) + "\n")
    amiss = sum(bool(row.amiss) for _, rows in results for row in rows)
    total = sum(len(rows) for _, rows in results)
    parts.append(f"{total - amiss} of {total} rows are as they should be.\n")
    return "\n".join(parts)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
