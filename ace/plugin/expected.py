"""Documented verdicts: the file that holds them, and which one applies to a claim on a subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REQUIRED = {"claim", "subject", "verdicts", "reason"}
KNOWN = REQUIRED | {"figures"}
IN_TEST_FILE = "expected in the test file"


@dataclass(frozen=True)
class Expectation:
    """The verdicts that are accepted for a claim on one subject, and why."""

    claim: str
    subject: str
    verdicts: tuple[str, ...]
    reason: str


def read_expectations(path: Path, name: str) -> tuple[Expectation, ...]:
    """The documented verdicts in a TOML file of [[expected]] tables; one for each subject that a table names.

    Args:
        name: the option or setting that the file was given by, for the message.

    Raises:
        pytest.UsageError: a file that cannot be read, or an entry that is incomplete, unknown, or given twice.
    """
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise pytest.UsageError(f"{name}: {path}: {error}") from error
    entries = document.pop("expected", [])
    if document or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise pytest.UsageError(
            f"{name}: {path}: expected tables [[expected]] and nothing else, got also {sorted(document)}"
        )
    expectations: dict[tuple[str, str], Expectation] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            for expectation in _expectations(entry):
                key = (expectation.claim, expectation.subject)
                if key in expectations:
                    raise ValueError(f"a second entry for {' on '.join(key)}")
                expectations[key] = expectation
        except ValueError as error:
            raise pytest.UsageError(f"{name}: {path}: entry {number} ({entry.get('claim')}): {error}") from error
    return tuple(expectations.values())


def _expectations(entry: Mapping[str, Any]) -> Iterator[Expectation]:
    """The expectations of one table; ValueError for what is wrong with it."""
    from ace.report.record import ORDER

    missing, unknown = REQUIRED - set(entry), set(entry) - KNOWN
    if missing == {"subject"}:
        raise ValueError(
            "expected a subject, or a list of them: what is documented of one model says nothing of another"
        )
    if missing or unknown:
        raise ValueError(f"missing {sorted(missing)}, unknown {sorted(unknown)}")
    claim, verdicts, reason = entry["claim"], entry["verdicts"], entry["reason"]
    if not isinstance(claim, str) or not claim.strip():
        raise ValueError(f"expected a claim's id, got {claim!r}")
    if not isinstance(verdicts, list) or not verdicts or not all(verdict in ORDER for verdict in verdicts):
        raise ValueError(f"expected verdicts out of {ORDER}, got {verdicts}")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"expected a reason, got {reason!r}")
    subjects = entry["subject"] if isinstance(entry["subject"], list) else [entry["subject"]]
    if not subjects or not all(isinstance(subject, str) and subject.strip() for subject in subjects):
        raise ValueError(f"expected a subject or a list of them, got {entry['subject']!r}")
    for subject in subjects:
        yield Expectation(claim, subject, tuple(verdicts), reason)


def in_test_file(node: pytest.Item, claim: str, subject: str) -> Expectation | None:
    """The verdicts that a test's own mark documents for its claim, `ace_claim(id, expected=...)`, or None."""
    mark = node.get_closest_marker("ace_claim")
    given = mark.kwargs.get("expected") if mark is not None and mark.args[:1] == (claim,) else None
    verdicts = (given,) if isinstance(given, str) else tuple(given or ())
    return Expectation(claim, subject, verdicts, IN_TEST_FILE) if verdicts else None


def unknown_claims(expectations: Iterable[Expectation]) -> list[str]:
    """Ids in documented verdicts that no claim has; asked once there are claims, for only then they are imported."""
    from ace.families.family import registry

    known = registry()
    return sorted({each.claim for each in expectations if each.claim not in known})


def find(expectations: Iterable[Expectation], claim: str, subject: str) -> Expectation | None:
    """The documented verdict of a claim on a subject, or None."""
    return next((each for each in expectations if (each.claim, each.subject) == (claim, subject)), None)
