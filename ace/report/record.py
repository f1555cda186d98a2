"""Verdicts as plain values, and documents of them.

Reading imports neither numpy nor torch: the pytest plugin reads a baseline before anything is measured.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.errors import ArtifactError
from ace.files import read_json, write_json
from ace.machine import processor

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
        "confidences": [seed.confidence for seed in verdict.seeds],
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
        "control_intervals": {name: control.intervals for name, control in verdict.controls.items()},
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
        "fingerprint": dict(verdict.fingerprint),
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
    """Python, machine, processor and package versions, with what the caller adds."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    here = {"python": platform.python_version(), "machine": platform.machine(), "processor": processor()}
    return {**here, "versions": versions, **(extra or {})}


def nothing_measured(results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no claim could be put to anything, and nobody documented that: such a run shows nothing of a model.

    A model that is all broken comes to this end, as one of a task that it does not do.
    """
    return bool(results) and all(one["verdict"] == "INAPPLICABLE" and not one["documented"] for one in results)


def document(
    results: Sequence[Mapping[str, Any]],
    extra: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All results of a run, in the order of claims and subjects, with what each subject was.

    Args:
        extra: of the environment, beside versions and machine.
        run: how much of what was to be measured was, see `ace.plugin.extent`; left out where nobody knows.
    """
    ordered = sorted(results, key=lambda found: (found["claim"], found["subject"]))
    rows = [{name: value for name, value in found.items() if name != "fingerprint"} for found in ordered]
    subjects = {found["subject"]: found["fingerprint"] for found in ordered if found.get("fingerprint")}
    return {
        "schema": SCHEMA,
        "environment": environment(extra),
        **({"run": dict(run)} if run is not None else {}),
        "subjects": subjects,
        "results": rows,
    }


def write_document(path: Path, found: Mapping[str, Any]) -> None:
    """Write a document, atomically."""
    write_json(path, found, allow_nan=False)


def read_document(path: Path, needed: Collection[str] = COMPARED) -> dict[str, Any]:
    """Read a document that `write_document` wrote.

    Args:
        needed: entries that each result must have.

    Raises:
        ArtifactError: missing, not JSON, of another schema, or with a part or a result of another form.
    """
    found = read_json(path, SCHEMA)
    for name in ("environment", "run", "subjects"):
        if not isinstance(found.get(name, {}), dict):
            raise ArtifactError(f"{path}: {name}: expected an object, got {type(found[name]).__name__}")
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
