"""Each row of a sweep's table says what trained it; older rows are their header's."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
import torch

import ace
from ace import machine
from ace.engine import Engine
from ace.errors import ArtifactError
from ace.machine import processor
from ace.training.sweep.run import run_sweep
from ace.training.sweep.state import Outcome, versions
from ace.training.sweep.table import add_outcomes, begin_table, read_table, table_of
from invariants.contracts.sweeps import TOML, part, sweep


def test_each_row_says_what_it_was_trained_with(tmp_path: Path) -> None:
    """A table goes on after an upgrade, and rows are taken over from a table with another header."""
    recipe, table = sweep(some=part(weight_decays=[3.0], seeds=3)), tmp_path / "small.jsonl"
    begin_table(table, recipe)
    old, upgraded, here = recipe.runs
    header, now = json.loads(table.read_text()), versions()
    header["versions"] = {"torch": "1.0", "numpy": "1.0", "ace-invariants": "0.1"}
    table.write_text(json.dumps(header) + "\n")
    add_outcomes(table, [Outcome(old, None, None, 300)], "cpu", now, "one")
    lines = table.read_text().splitlines()
    row = json.loads(lines[1])
    assert row.pop("versions") == now
    table.write_text(f"{lines[0]}\n{json.dumps(row)}\n")  # as rows were before they had versions
    add_outcomes(table, [Outcome(upgraded, None, None, 300)], "cpu", {"torch": "2.0", "ace-invariants": "0.1"}, "one")
    run_sweep(recipe, table, engine=Engine(workers=1))
    read = table_of(table, recipe)
    earlier = {"torch": "1.0", "ace-invariants": "0.1"}
    assert read.versions == {old: earlier, upgraded: {**earlier, "torch": "2.0"}, here: now}
    (tmp_path / "small.toml").write_text(TOML)
    assert ace.sweep_subject(tmp_path / "small.toml", table).trained.table == read
    other = tmp_path / "other.jsonl"
    begin_table(other, recipe)
    with other.open("a") as file:
        file.write(table.read_text().splitlines()[2] + "\n")
    assert read_table(other).versions == {upgraded: {**earlier, "torch": "2.0"}}


@pytest.mark.parametrize("line", [0, 1])
def test_versions_that_are_none(tmp_path: Path, line: int) -> None:
    recipe, table = sweep(some=part(weight_decays=[3.0], seeds=1)), tmp_path / "table.jsonl"
    begin_table(table, recipe)
    add_outcomes(table, [Outcome(recipe.runs[0], None, None, 300)], "cpu", versions(), "one")
    lines = [json.loads(one) for one in table.read_text().splitlines()]
    lines[line]["versions"] = ["2.0"]
    table.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    with pytest.raises(ArtifactError, match=rf"line {line + 1}: expected .*versions by name, got \['2.0'\]"):
        read_table(table)


def test_each_row_names_the_processor_that_it_was_trained_on(tmp_path: Path) -> None:
    recipe, table = sweep(some=part(weight_decays=[3.0], seeds=1)), tmp_path / "small.jsonl"
    run_sweep(recipe, table, engine=Engine(workers=1))
    (row,) = map(json.loads, table.read_text().splitlines()[1:])
    assert row["processor"] == processor()


def test_a_processor_is_named_as_far_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "cpuinfo"
    named.write_text("processor\t: 0\nmodel name\t: Some: Processor 9\nmodel name\t: Some Other\n")
    for path, name in ((named, "Some: Processor 9"), (tmp_path / "missing", "x86 by name"), (tmp_path, "x86 by name")):
        monkeypatch.setattr(machine, "CPUINFO", path)
        monkeypatch.setattr(platform, "processor", lambda: "x86 by name")
        assert processor.__wrapped__() == f"{name} ({torch.backends.cpu.get_cpu_capability()})"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor.__wrapped__().startswith(platform.machine())
