"""The properties of extraction reject extractors with a planted fault, through `--ace-extractor` as a user would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPAN, READERS = "test_extract", "test_balance"  # what they are about


def outcomes(extractor: str, select: str = "") -> dict[str, set[tuple[str, str]]]:
    """Properties of extraction as (module, name), those with `select` in their names, by outcome with an extractor."""
    modules = [f"invariants/properties/{name}.py" for name in (SPAN, READERS)]
    options = ["-q", "-p", "no:cacheprovider", "--tb=no", "-vv", "-k", select, "--ace-extractor", extractor]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *modules, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    by_outcome: dict[str, set[tuple[str, str]]] = {"PASSED": set(), "FAILED": set(), "SKIPPED": set(), "ERROR": set()}
    for module, name, outcome in re.findall(r"/(\w+)\.py::(\w+)\S* ([A-Z]+)", run.stdout):
        by_outcome[outcome].add((module, name))
    assert sum(map(len, by_outcome.values())) > 0, run.stdout
    return by_outcome


@pytest.mark.parametrize(
    "extractor",
    ["ace.extract:extract_core", "invariants.controls.foreign:product", "invariants.controls.foreign:formed_gramians"],
)
def test_a_correct_extractor_passes_every_property(extractor: str) -> None:
    by_outcome = outcomes(extractor)
    assert {outcome for outcome, names in by_outcome.items() if names} == {"PASSED"}
    assert {module for module, _ in by_outcome["PASSED"]} == {SPAN, READERS}


def test_a_correct_basis_alone_passes_what_is_about_the_span_and_is_asked_no_more() -> None:
    by_outcome = outcomes("invariants.controls.foreign:basis_alone")
    assert {module for module, _ in by_outcome["PASSED"]} == {SPAN}
    assert {module for module, _ in by_outcome["SKIPPED"]} == {READERS}
    assert not by_outcome["FAILED"] | by_outcome["ERROR"]


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("random_basis", "spans_are_equivariant"),
        ("uncentred", "translating_the_states"),
        ("swapped_gramians", "spans_are_equivariant"),
        ("principal_components", "spans_are_equivariant"),
        ("read_principal_components", "spans_are_equivariant"),
        ("misread", "known_oblique_projectors"),
    ],
)
def test_a_planted_fault_fails_the_property_it_breaks(fault: str, broken: str) -> None:
    assert outcomes(f"invariants.controls.planted:{fault}", broken)["FAILED"], f"{fault} passes {broken}"
