"""Verdicts as plain values, documents of them, and comparison with a baseline document."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ace.errors import ArtifactError
from ace.files import read_json, write_json
from ace.verify import Verdict

SCHEMA = 1
ORDER = ("HOLDS", "VACUOUS", "UNDECIDED", "INAPPLICABLE", "FAILS")
COMPARED = {"claim", "subject", "verdict", "estimate", "low", "high", "bound", "direction"}
PACKAGES = ("ace-invariants", "torch", "numpy", "scipy", "pytest")


def result(verdict: Verdict) -> dict[str, Any]:
    """One verdict as plain values that JSON can hold; what is not finite becomes null."""
    claim = verdict.claim
    found = {
        "claim": claim.id,
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
        "bound_rule": str(claim.bound),
        "bound_source": claim.bound_source,
        "rationale": claim.rationale,
        "direction": claim.bound.direction,
        "controls": {name: control.value for name, control in verdict.controls.items()},
        "control_values": {name: control.values for name, control in verdict.controls.items()},
        "control_places": {
            name: control.place if control.required else f"reported, {control.place}"
            for name, control in verdict.controls.items()
        },
        "verdict": verdict.status.value,
        "reason": verdict.reason,
        "details": dict(verdict.details),
        "command": verdict.command,
        "seconds": round(verdict.seconds, 3),
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
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


def read_document(path: Path) -> dict[str, Any]:
    """Read a document that `write_document` wrote.

    Raises:
        ArtifactError: missing, not JSON, of another schema, or with a result that cannot be compared.
    """
    found = read_json(path, SCHEMA)
    if not isinstance(found.get("results"), list):
        raise ArtifactError(f"{path}: expected a list `results`, got {type(found.get('results')).__name__}")
    for index, entry in enumerate(found["results"]):
        missing = sorted(COMPARED - set(entry)) if isinstance(entry, dict) else sorted(COMPARED)
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


def compare(found: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[Change]:
    """Changes of verdict, and values whose intervals left those of the baseline, for what both documents hold.

    A result of the baseline that was not measured now is no change: a run may select claims.
    """
    before = {(old["claim"], old["subject"]): old for old in baseline["results"]}
    changes = []
    for new in found["results"]:
        key = (new["claim"], new["subject"])
        if key not in before:
            continue
        old = before[key]
        if new["verdict"] != old["verdict"]:
            worse = ORDER.index(new["verdict"]) > ORDER.index(old["verdict"])
            changes.append(Change(*key, f"verdict {old['verdict']} -> {new['verdict']}", worse))
        elif None not in (new["low"], new["high"], old["low"], old["high"]):
            apart = new["low"] > old["high"] or new["high"] < old["low"]
            if apart:
                moved = f"value {old['estimate']:.4g} [{old['low']:.4g}, {old['high']:.4g}] -> "
                moved += f"{new['estimate']:.4g} [{new['low']:.4g}, {new['high']:.4g}]"
                changes.append(Change(*key, moved, _worse(new, old)))
    return changes


def _worse(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    if new["direction"] == "==":
        return bool(abs(new["estimate"] - new["bound"]) > abs(old["estimate"] - old["bound"]))
    return bool((new["estimate"] > old["estimate"]) == (new["direction"] == "<="))
