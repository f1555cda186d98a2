"""What `docs/upgrading.md` says of expected files of 0.1 is so."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from ace.plugin.expected import read_expectations

PAGE = (Path(__file__).resolve().parents[2] / "docs/upgrading.md").read_text(encoding="utf-8")
PATHS = [
    tuple(re.findall(r"`([^`]+)`", cell) for cell in line.strip("| ").split(" | "))
    for line in PAGE.partition("## Import paths")[2].splitlines()
    if line.startswith("| `")
]
BEFORE, AFTER = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)


def test_an_entry_of_old_is_refused_in_the_words_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(BEFORE)
    with pytest.raises(pytest.UsageError) as refused:
        read_expectations(path, "--ace-expected")
    assert str(refused.value).replace(f"{tmp_path}/", "") in PAGE


def test_the_entry_of_now_is_read_and_differs_by_its_subject_alone(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(AFTER)
    read = read_expectations(path, "--ace-expected")
    assert [entry.subject for entry in read] == ["markov-compact", "markov-paper"]
    assert {(entry.claim, entry.verdicts) for entry in read} == {("markov.generation", ("FAILS",))}
    added = [line for line in AFTER.splitlines() if line not in BEFORE.splitlines()]
    assert added == ['subject = ["markov-compact", "markov-paper"]']


def imported(path: str) -> object:
    """What a dotted path names: a module, or a name in one."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize(("old", "new"), PATHS, ids=[old[0] for old, _ in PATHS])
def test_every_path_of_now_imports_and_none_of_old_does(old: list[str], new: list[str]) -> None:
    assert len(old) == len(new)
    module = old[0].rpartition(".")[0]
    for before, after in zip(old, new, strict=True):
        imported(after)
        with pytest.raises((ImportError, AttributeError)):
            imported(before if before.startswith("ace.") else f"{module}.{before}")


def test_there_are_paths() -> None:
    assert len(PATHS) > 20
