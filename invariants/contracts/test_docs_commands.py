"""Every command and every piece of Python in the pages runs as it stands there, beside a small model, `checkpoint`.

A comment before a block says what else is done with it. `<!-- file: NAME -->`: it is written to that file;
`<!-- slow -->`: it takes more than ten seconds; `<!-- not run: REASON -->`: it is not run here. Each command must exit
with 0; `<!-- exits: 1 0 -->` says with what else its commands do, one after the other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "fixtures/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
)
WITHOUT_COMMANDS = ("CHANGELOG.md",)  # of the files that pages include
BLOCK = re.compile(  # in a list it is indented
    r"(?P<comments>(?:^ *<!-- (?:file|slow|not run|exits)\b[^\n]*? -->\n\n)*)"
    r"^(?P<indent> *)```(?P<kind>bash|python|toml|)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!-- (?P<mark>file|slow|not run|exits)(?:: (?P<about>.+?))? -->")
NOT_RUN = {
    "CONTRIBUTING.md": [
        "what sets up an environment; the gate runs the README's lines, which do the same",
        "hours of tests; the gate runs those that are to pass before a commit",
    ],
    "README.md": ["the gate, .ci/run, runs both as they stand here"],
    "findings-law.md": ["a quarter of an hour of two cores"],
    "language-model.md": [
        "two real models are downloaded; the gate runs the first",
        "it needs a file of models; a test runs it on two",
    ],
    "method.md": ["hours of trainings and claims; the parts are run by the gate and by tests of the plugin"],
    "mutation.md": ["takes an hour"],
    "package.md": [
        "installs the package from an index",
        "all claims take minutes; the page on CI runs some",
        "the README and the page to start with run it",
        "a module of nobody's; the pages on runs and extractors have theirs",
    ],
    "real-models.md": ["two models are downloaded and take minutes"],
    "start.md": ["installs the package from an index"],
    "sweeps.md": ["it needs a cluster; a test runs it on a local one of two workers"],
    "ci/README.md": ["all claims take minutes; invariants/contracts/test_ci_example.py runs the workflow's steps"],
    "contrasts/README.md": [
        "minutes of a real model; invariants/contracts/test_contrasts.py runs two claims of each file on a small one"
    ],
    "extractors/README.md": ["minutes; invariants/contracts/test_example_extractors.py runs each of the four"],
    "own_runs/README.md": ["trains for half a minute; invariants/contracts/test_own_runs.py runs all of it"],
}
CHECKPOINT = ROOT / "fixtures/weights/agreement-small-51ce02cf3b19/0"
TIMEOUT = 600


@dataclass(frozen=True)
class Block:
    """A block of a page and the comments before it: their words, by mark."""

    kind: str
    text: str
    marks: Mapping[str, str]

    @property
    def is_run(self) -> bool:
        return self.kind in ("bash", "python") and "not run" not in self.marks

    def commands(self) -> list[tuple[list[str] | str, int]]:
        """What is called, and the exit code that it must have."""
        called: list[list[str] | str] = [[sys.executable, "-c", self.text]]
        if self.kind == "bash":
            called = list(lines_of(self.text))
        codes = [int(code) for code in self.marks["exits"].split()] if "exits" in self.marks else [0] * len(called)
        return list(zip(called, codes, strict=True))


def blocks(page: Path) -> list[Block]:
    found = []
    for each in BLOCK.finditer(page.read_text(encoding="utf-8")):
        marks = {comment["mark"]: comment["about"] or "" for comment in COMMENT.finditer(each["comments"])}
        found.append(Block(each["kind"], textwrap.dedent(each["text"]), marks))
    return found


def name_of(page: Path) -> str:
    inside = page.relative_to(ROOT)
    return inside.name if inside.parts[0] == "docs" else inside.as_posix().removeprefix("examples/")


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
    return [block for block in blocks(page) if block.is_run or "file" in block.marks]


def params() -> list[Any]:
    marked = []
    for page in PAGES:
        if found := to_run(page):
            slow = [pytest.mark.slow] if any("slow" in block.marks for block in found) else []
            marked.append(pytest.param(page, marks=slow, id=name_of(page)))
    return marked


@pytest.mark.parametrize("page", params())
def test_what_a_page_tells_to_run_runs(page: Path, folder: Path) -> None:
    for block in to_run(page):
        if "file" in block.marks:
            (folder / block.marks["file"]).write_text(block.text)
            continue
        for command, code in block.commands():
            done = run(command, folder)
            said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            assert done.returncode == code, f"{page.name}: {command}: {done.returncode}\n{said}"
            if isinstance(command, str) and command.startswith(("ace verify", "pytest")):
                assert "no tests ran" not in done.stdout
                assert re.search(r"\d (passed|xfailed|failed)", done.stdout), done.stdout[-2000:]
                assert "ERROR" not in done.stdout


def test_what_is_not_run_is_listed_with_its_reason() -> None:
    reasons = {
        name_of(page): [block.marks["not run"] for block in blocks(page) if "not run" in block.marks]
        for page in PAGES
        if any("not run" in block.marks for block in blocks(page))
    }
    assert reasons == NOT_RUN


def test_blocks_without_a_language_are_no_commands_or_say_why_they_are_not_run() -> None:
    begins = re.compile(r"^([A-Z_]+=\S+ )?(ace|pytest|python3?|pip|mutmut|sphinx-build|\.ci/run) ", re.MULTILINE)
    silent = [
        (page.name, block.text)
        for page in PAGES
        for block in blocks(page)
        if not block.kind and "not run" not in block.marks and begins.search(block.text)
    ]
    assert silent == []


def test_blocks_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "A\n\n```bash\nace zoo list  # all\n\n# a comment\n```\n\n<!-- file: a.py -->\n\n```python\nimport ace\n```\n\n"
        "<!-- not run: takes an hour -->\n\n```\nace\n```\n\n"
        "1. In a list:\n\n   <!-- slow -->\n\n   <!-- exits: 1 0 -->\n\n"
        "   ```bash\n   pytest  # fails\n   ace zoo list\n   ```\n"
    )
    found = blocks(page)
    assert [(block.kind, block.marks) for block in found] == [
        ("bash", {}),
        ("python", {"file": "a.py"}),
        ("", {"not run": "takes an hour"}),
        ("bash", {"slow": "", "exits": "1 0"}),
    ]
    assert found[0].commands() == [("ace zoo list", 0)]
    assert found[3].commands() == [("pytest", 1), ("ace zoo list", 0)]
    with pytest.raises(ValueError, match="zip"):
        Block("bash", "ace\nace\n", {"exits": "1"}).commands()  # of each command


def test_every_block_is_seen_and_every_page_that_another_includes() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^ *```(?:bash|python|toml|)\n", text, re.MULTILINE)) >= len(blocks(page)), page
        assert len(re.findall(r"^ *```(?:bash|python)\n", text, re.MULTILINE)) == sum(
            block.kind in ("bash", "python") for block in blocks(page)
        )
        for included in re.findall(r"^```\{include\} (\S+)", text, re.MULTILINE):
            assert (page.parent / included).resolve() in PAGES or included.endswith(WITHOUT_COMMANDS), included
