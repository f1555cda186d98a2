"""Every command and every piece of Python in the pages runs as it stands there, beside a small model, `checkpoint`.

A comment before a block says what else is done with it. `<!-- file: NAME -->`: it is written to that file;
`<!-- slow -->`: it takes more than ten seconds; `<!-- not run: REASON -->`: it is not run here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*/README.md")))
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>file|slow|not run)(?:: (?P<about>.+?))? -->\n\n)?"
    r"^```(?P<kind>bash|python|toml|)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = {
    "README.md": ["the gate, .ci/run, runs both as they stand here"],
    "findings-law.md": ["a quarter of an hour of two cores"],
    "language-model.md": [
        "two real models are downloaded; the gate runs the first",
        "it needs a file of models; a test runs it on two",
    ],
    "method.md": ["hours of trainings and claims; the parts are run by the gate and by tests of the plugin"],
    "mutation.md": ["takes an hour"],
    "real-models.md": ["two models are downloaded and take minutes"],
    "start.md": ["installs the package from an index"],
    "sweeps.md": ["it needs a cluster; a test runs it on a local one of two workers"],
    "contrasts/README.md": ["the files are run by invariants/contracts/test_contrasts.py"],
    "extractors/README.md": ["minutes; invariants/contracts/test_example_extractors.py runs each of the four"],
    "own_runs/README.md": ["trains for half a minute; invariants/contracts/test_own_runs.py runs all of it"],
}
CHECKPOINT = ROOT / "fixtures/weights/agreement-small-51ce02cf3b19/0"
AS_DOCUMENTED = {0, 1}  # a small model's claims may fail; what is asked here is that the command does what it says
TIMEOUT = 600


@dataclass(frozen=True)
class Block:
    """A block of a page and the comment before it."""

    kind: str
    text: str
    mark: str
    about: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(each["kind"], each["text"], each["mark"] or "", each["about"] or "") for each in found]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT / "examples").as_posix() if "examples" in page.parts else page.name


def lines_of(text: str) -> list[str]:
    return [line.partition("  #")[0].rstrip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def run(arguments: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ACE_", "PYTEST_"))},
        "PATH": f"{folder / '.commands'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.run(
        arguments,
        shell=isinstance(arguments, str),
        executable="/bin/bash" if isinstance(arguments, str) else None,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a clone's root is, its own copy of what pages write to, with the model and the commands."""
    for name in ("ace", "examples", "fixtures", "invariants"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("conftest.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "checkpoint").symlink_to(CHECKPOINT)
    (tmp_path / ".commands").mkdir()
    for command, module in (("ace", "ace"), ("pytest", "pytest"), ("python", "")):
        script = tmp_path / ".commands" / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {f"-m {module} " if module else ""}"$@"\n')
        script.chmod(0o755)
    return tmp_path


def to_run(page: Path) -> list[Block]:
    return [b for b in blocks(page) if (b.kind in ("bash", "python") and b.mark != "not run") or b.mark == "file"]


def params() -> list[Any]:
    marked = []
    for page in PAGES:
        if found := to_run(page):
            slow = [pytest.mark.slow] if any(block.mark == "slow" for block in found) else []
            marked.append(pytest.param(page, marks=slow, id=name_of(page)))
    return marked


@pytest.mark.parametrize("page", params())
def test_what_a_page_tells_to_run_runs(page: Path, folder: Path) -> None:
    for block in to_run(page):
        if block.mark == "file":
            (folder / block.about).write_text(block.text)
            continue
        commands: list[list[str] | str] = (
            list(lines_of(block.text)) if block.kind == "bash" else [[sys.executable, "-c", block.text]]
        )
        for command in commands:
            done = run(command, folder)
            allowed = (
                AS_DOCUMENTED if isinstance(command, str) and command.startswith(("ace verify", "pytest")) else {0}
            )
            assert done.returncode in allowed, f"{page.name}: {command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            if allowed == AS_DOCUMENTED:
                assert "no tests ran" not in done.stdout
                assert re.search(r"\d (passed|xfailed|failed)", done.stdout), done.stdout[-2000:]
                assert "ERROR" not in done.stdout


def test_what_is_not_run_is_listed_with_its_reason() -> None:
    reasons = {
        name_of(page): [block.about for block in blocks(page) if block.mark == "not run"]
        for page in PAGES
        if any(block.mark == "not run" for block in blocks(page))
    }
    assert reasons == NOT_RUN


def test_blocks_without_a_language_are_no_commands_or_say_why_they_are_not_run() -> None:
    begins = re.compile(r"^(ace|pytest|python3?|pip|mutmut|sphinx-build|\.ci/run) ", re.MULTILINE)
    silent = [
        (page.name, block.text)
        for page in PAGES
        for block in blocks(page)
        if not block.kind and block.mark != "not run" and begins.search(block.text)
    ]
    assert silent == []


def test_blocks_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "A\n\n```bash\nace zoo list  # all\n\n# a comment\n```\n\n<!-- file: a.py -->\n\n```python\nimport ace\n```\n\n"
        "<!-- not run: takes an hour -->\n\n```\nace\n```\n\n<!-- slow -->\n\n```bash\npytest\n```\n"
    )
    assert [(block.kind, block.mark, block.about) for block in blocks(page)] == [
        ("bash", "", ""),
        ("python", "file", "a.py"),
        ("", "not run", "takes an hour"),
        ("bash", "slow", ""),
    ]
    assert lines_of(blocks(page)[0].text) == ["ace zoo list"]
