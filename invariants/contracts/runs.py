"""Running pytest on a few generated tests that settle ready-made verdicts, so that nothing is measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# What an inner run imports first is unloaded after it, which numpy and torch do not survive: so they are loaded here.
import ace.suite.subjects  # noqa: F401

SUFFICIENCY, TRANSPLANT = "markov.sufficiency", "markov.transplant"
SUITE = """
import pytest
from invariants.contracts.builders import verdict
"""
TEST = """
@pytest.mark.ace_claim("{identifier}")
def test_{status}_{number}(ace_claim, ace_settle):
    ace_settle(verdict("{status}", identifier=ace_claim, subject="{subject}"))
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in this process, shielded from the options of the run around it."""
    for name in [name for name in os.environ if name.startswith("ACE_")]:
        monkeypatch.delenv(name)
    # What the outer run loads or not is nothing to the inner one: the plugin comes as it does for a user.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def call(*arguments: str | Path) -> pytest.RunResult:
        # The warning is about running pytest within pytest, of no interest here.
        quiet = "-Wignore::pytest.PytestAssertRewriteWarning"
        options = ["-p", "no:cacheprovider", "-rA", quiet, *map(str, arguments)]
        return pytester.runpytest_inprocess(*options)

    return call


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Callable[..., None]:
    """Write a test for each status, or (status, claim), or (status, claim, subject)."""

    def write(*statuses: str | tuple[str, ...]) -> None:
        tests = []
        for number, given in enumerate(statuses):
            parts = (given,) if isinstance(given, str) else given
            status, identifier, subject = (*parts, *("", SUFFICIENCY, "tiny")[len(parts) :])
            tests.append(TEST.format(status=status, number=number, identifier=identifier, subject=subject))
        pytester.makepyfile(test_claims=SUITE + "".join(tests))

    return write


def expected(folder: Path, text: str) -> Path:
    path = folder / "expected.toml"
    path.write_text(text)
    return path


def documented(
    claim: str = SUFFICIENCY,
    verdicts: str = '["FAILS"]',
    reason: str | None = "seen",
    subject: str | None = '"tiny"',
    extra: str = "",
) -> str:
    """One entry of a file of documented verdicts; `subject` and `verdicts` as TOML, None for none."""
    lines = ["[[expected]]", f'claim = "{claim}"', f"verdicts = {verdicts}", extra]
    lines += [f"subject = {subject}"] if subject is not None else []
    return "\n".join([*lines, f'reason = "{reason}"' if reason is not None else ""]) + "\n"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found
