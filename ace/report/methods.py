"""Methods side by side: what each axis in the core's place does, as plain tables of a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ace.report.table import markdown_lines, number

Result = Mapping[str, Any]
HEADINGS = (
    "method",
    "projector",
    "keep",
    "remove",
    "flip",
    "flip beyond ACE",
    "at equal displacement",
    "flip AUC",
    "transfer",
    "specificity",
    "KL, nats",
    "displaced",
)
LEGEND = """keep, remove and flip are separations: 1 untouched, 0 gone, -1 mirrored. "Beyond ACE" is a flip less that of
ACE by the oblique projector, paired over head nouns: below 0 it mirrors further than ACE, as it is and with both
displacing the states as far. Transfer is the flip's AUC for other verbs, specificity its effect on agreement over that
on arbitrary contrasts, KL that of removal on neutral text, displaced the flip's share of the states' variance.
In brackets 95 % intervals.
"""


@dataclass(frozen=True)
class MethodsTable:
    """Methods compared on one model: its heading, and a row of cells for each method and projector."""

    heading: str
    rows: tuple[tuple[str, ...], ...]


def methods_tables(results: Iterable[Result]) -> list[MethodsTable]:
    """A table for each model that a result compares methods on."""
    return [
        MethodsTable(
            f"{result['subject']}, seed {seed}, site {table['site']}", tuple(_cells(row) for row in table["rows"])
        )
        for result in results
        for seed, table in enumerate(_tables(result))
    ]


def methods(results: Iterable[Result]) -> str:
    """The same as markdown; empty where no result compares methods."""
    parts = []
    for table in methods_tables(results):
        parts += [f"### {table.heading}", "", *markdown_lines(HEADINGS, table.rows), ""]
    return "\n".join([LEGEND, *parts]) if parts else ""


def _tables(result: Result) -> Sequence[Mapping[str, Any]]:
    seeds = result.get("details", {}).get("seeds", ())
    if not isinstance(seeds, Sequence):
        return ()
    return [seed for seed in seeds if isinstance(seed, Mapping) and "rows" in seed]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    beyond = row.get("beyond ACE", {})
    return (
        row["method"],
        row["projector"],
        *(_interval(row[mode]) for mode in ("keep", "remove", "flip")),
        _interval(beyond.get("flip")),
        _interval(beyond.get("matched flip")),
        number(row["auc"][0]),
        ", ".join(number(auc) for auc in row["transfer"].values()) if row.get("transfer") else "",
        _interval(row.get("specificity")),
        _interval(row.get("nats")),
        number(row["displaced"]),
    )


def _interval(values: Sequence[float] | None) -> str:
    if values is None:
        return ""
    value, low, high = values
    return f"{number(value)} [{number(low)}, {number(high)}]"
