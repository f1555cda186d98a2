"""Verdicts as plain values, documents of them, and comparison with a baseline document.

Reading and comparing import neither numpy nor torch: the pytest plugin reads a baseline before anything is measured.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.errors import ArtifactError
from ace.files import read_json, write_json
from ace.report.table import margin

if TYPE_CHECKING:
    from ace.study.rest import RankTest
    from ace.verify import Verdict

SCHEMA = 1
ORDER = ("HOLDS", "VACUOUS", "UNDECIDED", "INAPPLICABLE", "FAILS")
COMPARED = frozenset({"claim", "subject", "verdict", "estimate", "low", "high", "bound", "direction"})
SHOWN = COMPARED | {"controls", "control_places", "reason"}  # what the table of verdicts needs
PACKAGES = ("ace-invariants", "torch", "numpy", "scipy", "pytest")


def result(verdict: Verdict, documented: str = "") -> dict[str, Any]:
    """One verdict as plain values that JSON can hold; what is not finite becomes null.

    Args:
        documented: why this verdict was expected, where it was.
    """
    claim = verdict.claim
    entries = {
        "claim": claim.id,
        "kind": claim.kind,
        "subject": verdict.subject,
        "site": verdict.site,
        "statement": claim.statement,
        "source": claim.source,
        "quantity": claim.quantity,
        "seeds": [seed.label for seed in verdict.seeds],
        "values": [seed.value for seed in verdict.seeds],
        "intervals": [[seed.low, seed.high] for seed in verdict.seeds],
        "estimate": verdict.estimate,
        "low": verdict.low,
        "high": verdict.high,
        "bound": verdict.threshold,
        "bound_upper": claim.bound.upper if claim.bound.direction == "in" else None,
        "bound_rule": str(claim.bound),
        "bound_source": claim.bound_source,
        "rationale": claim.rationale,
        "direction": claim.bound.direction,
        "controls": {name: control.value for name, control in verdict.controls.items()},
        "control_values": {name: control.values for name, control in verdict.controls.items()},
        "control_places": {name: control.place for name, control in verdict.controls.items()},
        "rest": [_ranked(test) for test in verdict.rest],
        "beside": dict(verdict.beside),
        "replication": _replicated(verdict),
        "verdict": verdict.status.value,
        "reason": verdict.reason,
        "documented": documented,
        "details": dict(verdict.details),
        "command": verdict.command,
        "seconds": round(verdict.seconds, 3),
    }
    plain: dict[str, Any] = _plain(entries)
    return plain


def _ranked(test: RankTest) -> dict[str, Any]:
    """How one seed's core ranks among the rest."""
    return {
        "control": test.control,
        "seed": test.label,
        "as good": test.as_good,
        "draws": test.draws,
        "p": test.p_value if test.settled else None,
        "nearest": test.nearest,
        "median": test.median,
        "judged on few rows": test.dismissed,
    }


def _replicated(verdict: Verdict) -> dict[str, Any] | None:
    """A sentence of the paper three times: the paper's figure, the published protocol's on this subject, and ours."""
    replication = verdict.claim.replication
    if replication is None:
        return None
    protocol = verdict.replication
    return {
        "paper": replication.paper,
        "protocol": protocol if isinstance(protocol, str) else list(protocol),
        "ours": [seed.value for seed in verdict.seeds],
        "differs": replication.differs,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):  # arrays and scalars of numpy
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def environment(extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Python, machine and package versions, with what the caller adds."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {"python": platform.python_version(), "machine": platform.machine(), "versions": versions, **(extra or {})}


def document(results: Sequence[Mapping[str, Any]], extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All results of a run, in the order of claims and subjects."""
    ordered = sorted(results, key=lambda found: (found["claim"], found["subject"]))
    return {"schema": SCHEMA, "environment": environment(extra), "results": [dict(found) for found in ordered]}


def write_document(path: Path, found: Mapping[str, Any]) -> None:
    """Write a document, atomically."""
    write_json(path, found, allow_nan=False)


def read_document(path: Path, needed: Collection[str] = COMPARED) -> dict[str, Any]:
    """Read a document that `write_document` wrote.

    Args:
        needed: entries that each result must have.

    Raises:
        ArtifactError: missing, not JSON, of another schema, or with a result that cannot be compared.
    """
    found = read_json(path, SCHEMA)
    if not isinstance(found.get("results"), list):
        raise ArtifactError(f"{path}: expected a list `results`, got {type(found.get('results')).__name__}")
    for index, entry in enumerate(found["results"]):
        missing = sorted(set(needed) - set(entry)) if isinstance(entry, dict) else sorted(needed)
        if missing:
            raise ArtifactError(f"{path}: results[{index}]: missing {', '.join(missing)}")
        if entry["verdict"] not in ORDER:
            raise ArtifactError(
                f"{path}: results[{index}].verdict: expected one of {', '.join(ORDER)}, got {entry['verdict']!r}"
            )
    return found


@dataclass(frozen=True)
class Change:
    """How one result differs from the baseline. `worse` fails the run; other changes are only shown."""

    claim: str
    subject: str
    text: str
    worse: bool


@dataclass(frozen=True)
class Comparison:
    """A run beside its baseline; results are matched by (claim, subject).

    Attributes:
        common: how many results both have.
        changes: changes of verdict, and values whose intervals left those of the baseline.
        added: (claim, subject) of results that the baseline lacks.
        missing: (claim, subject) of results that the run lacks: it may have selected claims.
    """

    common: int
    changes: tuple[Change, ...]
    added: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, str], ...]

    @property
    def worse(self) -> bool:
        """Whether anything is worse than in the baseline."""
        return any(change.worse for change in self.changes)


def compare(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> Comparison:
    """Compare the results of two documents."""
    before = {(old["claim"], old["subject"]): old for old in baseline["results"]}
    after = {(new["claim"], new["subject"]): new for new in run["results"]}
    common = [key for key in after if key in before]
    changes = [_change(after[key], before[key]) for key in common]
    return Comparison(
        len(common),
        tuple(change for change in changes if change is not None),
        tuple(key for key in after if key not in before),
        tuple(key for key in before if key not in after),
    )


def _change(new: Mapping[str, Any], old: Mapping[str, Any]) -> Change | None:
    key = (new["claim"], new["subject"])
    if new["verdict"] != old["verdict"]:
        worse = ORDER.index(new["verdict"]) > ORDER.index(old["verdict"])
        return Change(*key, f"verdict {old['verdict']} -> {new['verdict']}", worse)
    if None in (new["low"], new["high"], old["low"], old["high"]):
        return None
    if new["low"] <= old["high"] and new["high"] >= old["low"]:
        return None
    moved = f"value {old['estimate']:.4g} [{old['low']:.4g}, {old['high']:.4g}] -> "
    moved += f"{new['estimate']:.4g} [{new['low']:.4g}, {new['high']:.4g}]"
    worse = margin(new, new["estimate"]) < margin(new, old["estimate"])
    return Change(*key, moved, worse)
