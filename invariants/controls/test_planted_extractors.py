"""The properties of extraction reject extractors with a planted fault, through `--ace-extractor` as a user would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROPERTIES = "invariants/properties/test_extract.py"


def failing(extractor: str, select: str = "") -> set[str]:
    """Names of the extraction properties, those with `select` in their names, that fail with an extractor."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        PROPERTIES,
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        "-rf",
        "-k",
        select,
    ]
    run = subprocess.run(
        [*command, "--ace-extractor", extractor], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return set(re.findall(r"^FAILED \S+::(\w+)", run.stdout, flags=re.MULTILINE))


def test_the_projects_own_extractor_passes() -> None:
    assert failing("ace.extract:extract_core") == set()


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("random_basis", "spans_are_equivariant"),
        ("uncentred", "translating_the_states"),
        ("swapped_gramians", "spans_are_equivariant"),
        ("principal_components", "spans_are_equivariant"),
    ],
)
def test_a_planted_fault_fails_the_property_it_breaks(fault: str, broken: str) -> None:
    assert failing(f"invariants.controls.planted:{fault}", broken), f"{fault} passes {broken}"
