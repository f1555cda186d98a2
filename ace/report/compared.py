"""A comparison with a baseline in words, and out of a record that holds one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ace.errors import ArtifactError
from ace.report.comparison import CHANGES, Comparison, Outcome, Row

WITHOUT = (Outcome.NEW, Outcome.MISSING)
GATE = (
    "Beside a baseline a test fails where its claim regressed or its verdict is another than the documented one; FAILS"
    " and UNDECIDED by themselves fail none."
)


@dataclass(frozen=True)
class Change:
    """What became of claims on a subject, told once for those that it happened to together."""

    outcome: Outcome
    subject: str
    text: str
    claims: tuple[str, ...]


def changes(compared: Comparison, outcomes: tuple[Outcome, ...] = (*CHANGES, *WITHOUT)) -> list[Change]:
    """What is not as it was, beyond what intervals allow: what regressed first, what has no counterpart last."""
    together = dict[tuple[Outcome, str, str], list[str]]()
    for row in compared.having(*outcomes):
        together.setdefault((row.outcome, row.subject, row.text), []).append(row.claim)
    return [Change(*key, tuple(claims)) for key, claims in together.items()]


def counted(compared: Comparison) -> str:
    """How many claims of each outcome."""
    counts = Counter(row.outcome for row in compared.rows)
    return "claims: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])


def lines(compared: Comparison) -> list[str]:
    """A comparison in words: what else differs, what changed, what has no counterpart, how many of each."""
    changed = [
        f"{each.outcome}: {', '.join(each.claims)} on {each.subject}: {each.text}"
        for each in changes(compared, CHANGES)
    ]
    told = changed or (["no change"] if compared.common else [])
    without = [f"{each.outcome}: {each.subject}: {', '.join(each.claims)}" for each in changes(compared, WITHOUT)]
    return [*compared.differences, *told, *without, counted(compared)]


def comparison_of(document: Mapping[str, Any]) -> Comparison | None:
    """The comparison in a record, as `Comparison.plain` gave it; None where the run was compared with nothing.

    Raises:
        ArtifactError: rows or differences that `Comparison.plain` does not give.
    """
    plain = document.get("comparison")
    if plain is None:
        return None
    try:
        rows = tuple(
            Row(str(row["claim"]), str(row["subject"]), Outcome[row["outcome"].upper()], str(row["text"]))
            for row in plain["rows"]
        )
        return Comparison(rows, tuple(map(str, plain["differences"])))
    except (LookupError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "comparison: expected rows of claim, subject, outcome and text, and differences, got"
            f" {type(error).__name__}: {error}"
        ) from error
