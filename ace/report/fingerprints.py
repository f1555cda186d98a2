"""What two documents were measured on and with, and where they differ, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

DIGESTS = ("weights", "task_digest")
WORDS = {"task_digest": "prompts or sequences"}


def differences(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """What differs beside the results: environment, subjects, and how much of either was measured; none if unknown."""
    before, after = (_flat(found.get("environment", {})) for found in (baseline, run))
    yield from _told("environment", before, after)
    old, new = baseline.get("subjects", {}), run.get("subjects", {})
    for name in new:
        if name in old:
            yield from _told(name, old[name], new[name])
    for words, found in (("the baseline", baseline), ("this run", run)):
        yield from (f"{words} is partial: {reason}" for reason in partial(found))


def partial(found: Mapping[str, Any]) -> list[str]:
    """Why a document has less than all that was to be measured; empty where it has all, or does not say."""
    state = found.get("run", {})
    return list(state.get("because", [])) if not state.get("complete", True) else []


def other_task(subject: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    """Why a subject's values cannot be compared with those in a baseline: it was asked something else; or "".

    Args:
        new, old: fingerprints of the subject.
    """
    if any(not fingerprint.get("task") for fingerprint in (new, old)):
        return ""
    names = [fingerprint["task"] for fingerprint in (old, new)]
    if names[0] != names[1]:
        return f"{subject} was asked {names[0]} and is asked {names[1]} now: there is nothing to compare"
    if old.get("task_digest") != new.get("task_digest"):
        return f"{subject} was asked other prompts or sequences of {names[0]} than now: write a new baseline"
    return ""


def _told(of: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    changed = [name for name in after if name in before and before[name] != after[name]]
    if changed:
        yield f"{of} differs: " + ", ".join(
            f"{WORDS.get(name, name)} {_short(name, before[name])} -> {_short(name, after[name])}" for name in changed
        )


def _short(name: str, value: Any) -> str:
    return str(value)[:12] if name in DIGESTS else str(value)


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    versions = environment.get("versions", {})
    return {**versions, **{name: value for name, value in environment.items() if name != "versions"}}
