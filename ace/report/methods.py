"""Methods side by side: what each axis in the core's place does, as plain tables of a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

LEGEND_OF_SEQUENCES = """Models of sequences: what keeping the subspace does, and what removing it leaves, in the
units of the claims sufficiency and necessity of their family; of the rest the draw that speaks most for the claim.
Least and most over models.
"""
HEADINGS_OF_SEQUENCES = ("method", "kept", "removed")
KEPT, REMOVED = "sufficiency", "necessity"
OURS, REST = "ACE", "the rest"


@dataclass(frozen=True)
class MethodsTable:
    """Methods compared on one model or several: a heading, and a row of cells for each of them."""

    heading: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class MethodsGroup:
    """Tables of one form: what their columns are, in words and as headings."""

    legend: str
    headings: tuple[str, ...]
    tables: tuple[MethodsTable, ...]


def methods_groups(results: Iterable[Result]) -> list[MethodsGroup]:
    """Tables of the models of prompts and of those of sequences that a result compares methods on."""
    given = list(results)
    groups = [
        MethodsGroup(LEGEND, HEADINGS, tuple(_of_prompts(given))),
        MethodsGroup(LEGEND_OF_SEQUENCES, HEADINGS_OF_SEQUENCES, tuple(_of_sequences(given))),
    ]
    return [group for group in groups if group.tables]


def methods(results: Iterable[Result]) -> str:
    """The same as markdown; empty where no result compares methods."""
    parts = []
    for group in methods_groups(results):
        parts.append(group.legend)
        for table in group.tables:
            parts += [f"### {table.heading}", "", *markdown_lines(group.headings, table.rows), ""]
    return "\n".join(parts)


def _of_prompts(results: Sequence[Result]) -> Iterator[MethodsTable]:
    """One a model."""
    for result in results:
        for seed, table in enumerate(_tables(result)):
            heading = f"{result['subject']}, seed {seed}, site {table['site']}"
            yield MethodsTable(heading, tuple(_cells(row) for row in table["rows"]))


def _of_sequences(results: Sequence[Result]) -> Iterator[MethodsTable]:
    """One a subject whose claims keep and remove states of sequences, with alternatives beside the core."""
    by_name = {(result["subject"], result["claim"]): result for result in results}
    for (subject, claim), kept in by_name.items():
        family, _, name = claim.partition(".")
        removed = by_name.get((subject, f"{family}.{REMOVED}"))
        if name != KEPT or removed is None:
            continue
        first, second = _by_method(kept), _by_method(removed)
        rows = tuple((way, _ends(first[way]), _ends(second[way])) for way in first if first[way] and second.get(way))
        if any(not way.startswith((OURS, REST)) for way, _, _ in rows):
            yield MethodsTable(subject, rows)


def _by_method(result: Result) -> dict[str, list[float]]:
    """Values of each model, with the core, what stands beside it, and the rest; of two sides that above alone."""
    above = [not str(label).endswith(", below") for label in result["seeds"]]
    found = {OURS: list(result["values"])}
    for way, rows in result.get("beside", {}).items():
        found[f"{OURS}, {way}" if way.startswith(("oblique", "at the end")) else way] = [row[0] for row in rows]
    found |= {way: list(values) for way, values in result.get("control_values", {}).items() if way == REST}
    whole = {
        way: [value for value, kept in zip(values, above, strict=True) if kept] if len(values) == len(above) else values
        for way, values in found.items()
    }
    return {way: [value for value in values if value is not None] for way, values in whole.items()}


def _ends(values: Sequence[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


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
