"""Documented verdicts: the files that hold them, read in one way whoever asks.

The pytest plugin imports this in every run of pytest, so that it imports neither numpy nor torch, and what reads files
only where one is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ace.errors import InputError

REQUIRED = {"claim", "subject", "verdicts", "reason"}
KNOWN = REQUIRED | {"figures"}


@dataclass(frozen=True)
class Expectation:
    """The verdicts that are accepted for a claim on one subject, why, and by which figures."""

    claim: str
    subject: str
    verdicts: tuple[str, ...]
    reason: str
    figures: str = ""


def read_expectations(path: Path, name: str) -> tuple[Expectation, ...]:
    """The documented verdicts in a TOML file of [[expected]] tables; one for each subject that a table names.

    Args:
        name: the option or setting that the file was given by, for the message.

    Raises:
        InputError: a file that cannot be read, or an entry that is incomplete, unknown, or given twice.
    """
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{name}: {path}: {error}") from error
    entries = document.pop("expected", [])
    if document or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{name}: {path}: expected tables [[expected]] and nothing else, got also {sorted(document)}")
    expectations: dict[tuple[str, str], Expectation] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            for expectation in _expectations(entry):
                key = (expectation.claim, expectation.subject)
                if key in expectations:
                    raise ValueError(f"a second entry for {' on '.join(key)}")
                expectations[key] = expectation
        except ValueError as error:
            raise InputError(f"{name}: {path}: entry {number} ({entry.get('claim')}): {error}") from error
    return tuple(expectations.values())


def real_model_expectations() -> tuple[Expectation, ...]:
    """What is documented of real models by their short names; it lies in the package.

    Raises:
        InputError: as `read_expectations`.
    """
    from ace.zoo.real_models import documented_folder

    with documented_folder() as folder:
        files = sorted(folder.glob("*.toml"))
        return tuple(each for file in files for each in read_expectations(file, "documented verdicts"))


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
    claim, verdicts, reason, figures = entry["claim"], entry["verdicts"], entry["reason"], entry.get("figures", "")
    if not isinstance(claim, str) or not claim.strip():
        raise ValueError(f"expected a claim's id, got {claim!r}")
    if not isinstance(verdicts, list) or not verdicts or not all(verdict in ORDER for verdict in verdicts):
        raise ValueError(f"expected verdicts out of {ORDER}, got {verdicts}")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"expected a reason, got {reason!r}")
    if not isinstance(figures, str):
        raise ValueError(f"expected figures as a text, got {figures!r}")
    subjects = entry["subject"] if isinstance(entry["subject"], list) else [entry["subject"]]
    if not subjects or not all(isinstance(subject, str) and subject.strip() for subject in subjects):
        raise ValueError(f"expected a subject or a list of them, got {entry['subject']!r}")
    for subject in subjects:
        yield Expectation(claim, subject, tuple(verdicts), reason, figures)
