"""The paper's sentences three times: the paper's figure, what the published protocol gives on our models, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from ace.report.table import bound_text, markdown_lines, number

Result = Mapping[str, Any]
HEADINGS = ("claim", "subject", "the paper", "published protocol, our models", "ours", "verdict", "where they differ")


def replication(results: Iterable[Result]) -> str:
    """The table as markdown, one line a sentence of the paper and subject; empty where no result is such a sentence."""
    rows = replication_rows(results)
    return "\n".join(markdown_lines(HEADINGS, rows)) + "\n" if rows else ""


def replication_rows(results: Iterable[Result]) -> list[list[str]]:
    """Cells of the table."""
    return [_row(result) for result in results if result.get("replication")]


def _row(result: Result) -> list[str]:
    found = result["replication"]
    protocol = found["protocol"]
    return [
        result["claim"],
        result["subject"],
        found["paper"],
        protocol if isinstance(protocol, str) else _range(protocol),
        f"{_range(found['ours'])}; bound {bound_text(result)}" if found["ours"] else "-",
        result["verdict"],
        found["differs"],
    ]


def _range(values: Sequence[float | None]) -> str:
    """The median of seeds or pairs, and where they lie."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle = number(median(known))
    return middle if min(known) == max(known) else f"{middle} [{number(min(known))}, {number(max(known))}]"
