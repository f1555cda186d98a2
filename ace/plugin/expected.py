"""Documented verdicts in a run of pytest: files of them, those of a test's own mark, and which one applies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ace.errors import InputError
from ace.report import documented
from ace.report.documented import Expectation

IN_TEST_FILE = "expected in the test file"


def read_expectations(path: Path, name: str) -> tuple[Expectation, ...]:
    """The documented verdicts in a file; see `ace.report.documented.read_expectations`.

    Raises:
        pytest.UsageError: a file that cannot be read, or an entry that is incomplete, unknown, or given twice.
    """
    try:
        return documented.read_expectations(path, name)
    except InputError as error:
        raise pytest.UsageError(str(error)) from error


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
