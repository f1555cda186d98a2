"""A sweep asked for part by part: what is stored of the other parts stays, whenever it was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ace.engine import Engine
from ace.training.sweep import run as running
from ace.training.sweep.advance import Slice, advance
from ace.training.sweep.recipe import Run, SweepRecipe
from ace.training.sweep.run import run_sweep
from ace.training.sweep.stack import started
from ace.training.sweep.state import StackState
from ace.training.sweep.table import read_table
from ace.training.sweep.unfinished import Unfinished
from invariants.contracts.sweeps import part, sweep

ALONE = Engine(workers=1)


class Killed(BaseException):
    """The process is gone, as by kill -9."""


def only(recipe: SweepRecipe, name: str) -> SweepRecipe:
    return replace(recipe, parts={name: recipe.parts[name]})


def stopped(recipe: SweepRecipe, table: Path, slices: int, stack: int = 6) -> None:
    """Run a sweep that dies after a few slices of training, of no length."""
    left = iter(range(slices))

    def dying(*arguments: Any, **options: Any) -> Slice:
        if next(left, None) is None:
            raise Killed
        return advance(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "advance", dying)
        with pytest.raises(Killed):
            run_sweep(recipe, table, engine=ALONE, seconds=0.0, stack=stack)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Runs that begin from their first step."""
    runs: list[Run] = []

    def noted(recipe: SweepRecipe, new: list[Run], device: str) -> StackState:
        runs.extend(new)
        return started(recipe, new, device)

    monkeypatch.setattr(running, "started", noted)
    return runs


def epochs(recipe: SweepRecipe, table: Path) -> dict[Run, int]:
    """How far the stored stacks are."""
    stored = Unfinished(table.with_name(f"{table.name}.unfinished"), recipe, "cpu").load(set(recipe.runs))
    return {run: stack.epoch for stack in stored for run in stack.all_runs}


@pytest.mark.parametrize("stack", [1, 3, 6])
def test_a_part_alone_leaves_what_is_stored_of_the_others(tmp_path: Path, stack: int, begun: list[Run]) -> None:
    """With six runs a stack wanted and unwanted runs lie in one file, with one in none; one worker trains one stack."""
    recipe = sweep(first=part(weight_decays=[3.0], seeds=2), second=part(weight_decays=[1.0], seeds=2))
    whole = run_sweep(recipe, tmp_path / "whole.jsonl", engine=ALONE)
    for name, other in (("first", "second"), ("second", "first")):
        table = tmp_path / f"{name}.jsonl"
        stopped(recipe, table, slices=4, stack=stack)
        before = {run: epoch for run, epoch in epochs(recipe, table).items() if run in recipe.parts[other].runs()}
        assert before or (stack, other) == (1, "first")
        del begun[:]
        stopped(only(recipe, name), table, slices=3)  # and dies on the way, where files are written and removed
        run_sweep(only(recipe, name), table, engine=ALONE)
        assert {outcome.run for outcome in read_table(table).outcomes} == set(recipe.parts[name].runs())
        assert epochs(only(recipe, other), table) == before
        run_sweep(recipe, table, engine=ALONE)
        assert not set(begun) & set(before)
        assert read_table(table).of(recipe.runs) == whole.of(recipe.runs)
        assert not table.with_name(f"{table.name}.unfinished").exists()


def test_files_are_removed_once_all_their_runs_are_done_or_nothing_can_be_read_of_them(tmp_path: Path) -> None:
    recipe = sweep()
    state = started(recipe, recipe.runs)
    stored = Unfinished(tmp_path / "some", recipe, "cpu")
    half = state.halves()
    stored.replace(state, half)
    other = replace(recipe, seed=1)  # as another version of torch: of another identity
    Unfinished(tmp_path / "some", other, "cpu").replace(state, [state])
    (tmp_path / "some" / "broken.json").write_text("{")
    stored.remove(set(half[0].runs))
    assert {run for one in stored.load(set(recipe.runs)) for run in one.runs} == set(half[1].runs)
    assert len(list((tmp_path / "some").glob("*.json"))) == 2  # that other one has runs that are not done
    stored.remove(set(recipe.runs))
    assert not (tmp_path / "some").exists()


def test_stacks_that_begin_with_the_same_run_are_not_written_over_each_other(tmp_path: Path) -> None:
    recipe = sweep()
    state = started(recipe, recipe.runs)
    stored = Unfinished(tmp_path, recipe, "cpu")
    stored.replace(state, [state])
    stored.replace(state.halves()[0], [state.halves()[0]])
    assert {run for one in stored.load(set(recipe.runs)) for run in one.runs} == set(recipe.runs)
