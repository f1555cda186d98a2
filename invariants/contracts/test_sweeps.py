"""Sweeps: every way to run one gives the same outcomes, those of a plain loop that evaluates at every step."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ace
from ace.engine import Engine
from ace.errors import ArtifactError, InputError, RecipeError
from ace.tasks.base import HELD_OUT, Split
from ace.training.ensemble import initial_weights, member
from ace.training.seeds import model_seeds
from ace.training.sweep import run as running
from ace.training.sweep.advance import Slice, advance
from ace.training.sweep.recipe import Run, SweepRecipe, parse_sweep, read_sweep
from ace.training.sweep.run import new_stacks, run_sweep, spread
from ace.training.sweep.stack import StackTrainer, started
from ace.training.sweep.state import Outcome, StackState
from ace.training.sweep.table import begin_table, read_table
from invariants.contracts.dying import every_crash_point
from invariants.contracts.sweeps import TOML, entries, part, sweep

LONG = 1e9


def to_the_end(recipe: SweepRecipe, runs: Iterable[Run], seconds: float = LONG) -> dict[Run, Outcome]:
    """Outcomes of runs that train as one stack, handed on as bytes after every slice."""
    state: StackState | None = started(recipe, list(runs))
    found: dict[Run, Outcome] = {}
    while state is not None:
        part_of = advance(recipe, pickle.loads(pickle.dumps(state)), seconds)
        assert isinstance(part_of, Slice)
        found |= {outcome.run: outcome for outcome in part_of.outcomes}
        state = part_of.state
    return found


def plain(recipe: SweepRecipe, run: Run) -> tuple[int | None, int | None, float]:
    """Steps at which a run memorises and generalises, and its norm then: one model, asked after every step.

    A step counts from which the accuracy is at its threshold at the next look.
    """
    assert recipe.model.dropout == 0
    start, course = model_seeds(recipe.seed, run.seed)
    sizes = recipe.architecture(run)
    weights = initial_weights(sizes, [torch.Generator().manual_seed(start)], torch.float32)
    model = member(sizes, weights, 0).double().requires_grad_(True)
    adamw = torch.optim.AdamW(
        model.parameters(), lr=recipe.optimiser.learning_rate, weight_decay=run.weight_decay, foreach=False
    )
    order = torch.Generator().manual_seed(course)
    task = run.task(recipe.share)

    def pairs(*splits: Split) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = [task.draw(split, task.size(split)) for split in splits]
        inputs, targets = (np.concatenate([getattr(one, name) for one in drawn]) for name in ("inputs", "targets"))
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    asked = pairs(Split.TRAINING), pairs(*HELD_OUT)
    inputs, targets = asked[0]
    size = run.batch or len(inputs)
    over: list[list[bool]] = [[], []]  # since the last look
    found: list[int | None] = [None, None]
    norms: list[float] = []
    norm, step = 0.0, 0

    def accuracy(questions: torch.Tensor, answers: torch.Tensor) -> float:
        with torch.no_grad():
            return float((model(questions)[:, -1:].argmax(dim=-1) == answers).float().mean())

    epoch = 0
    while step < recipe.limit and None in found:
        shuffled = torch.randperm(len(inputs), generator=order)
        for begin in range(0, len(inputs), size):
            picked = shuffled[begin : begin + size]
            loss = torch.nn.functional.cross_entropy(model(inputs[picked])[:, -1], targets[picked, 0])
            adamw.zero_grad()
            loss.backward()
            adamw.step()
            step += 1
            norms.append(float(torch.cat([p.detach().flatten() for p in model.parameters()]).norm()))
            for kind in (0, 1):
                over[kind].append(accuracy(*asked[kind]) >= recipe.threshold)
        epoch += 1
        if epoch % recipe.every == 0 or step >= recipe.limit:
            for kind in (0, 1):
                if found[kind] is None and over[kind][-1]:
                    found[kind] = step - len(over[kind]) + 1 + over[kind].index(True)
                    if kind == 0:
                        norm = norms[over[kind].index(True)]
            over, norms = [[], []], []
    return found[0], found[1], norm


@pytest.mark.parametrize("batch", [0, 50])
def test_steps_are_those_of_one_model_that_is_asked_after_every_step(batch: int) -> None:
    recipe = sweep(some=part(batch=batch, seeds=2))
    recipe = replace(recipe, model=replace(recipe.model, dropout=0.0))
    state = started(recipe, recipe.runs)
    first, second = state.moments
    # In float32 two ways to add up numbers drift apart in a hundred steps.
    state = replace(state, rows=state.rows.double(), moments=(first.double(), second.double()))
    found = {outcome.run: outcome for outcome in advance(recipe, state, LONG).outcomes}
    assert set(found) == set(recipe.runs)
    for run, outcome in found.items():
        memorised, generalised, norm = plain(recipe, run)
        assert (outcome.memorised.step if outcome.memorised else None) == memorised
        assert (outcome.memorised.norm if outcome.memorised else 0.0) == pytest.approx(norm, rel=1e-9)
        assert (outcome.generalised.step if outcome.generalised else None) == generalised
    assert any(outcome.memorised for outcome in found.values())
    assert batch or any(outcome.generalised for outcome in found.values())


def test_a_run_does_not_depend_on_its_neighbours_nor_on_where_it_is_handed_on() -> None:
    recipe = sweep(some=part(seeds=3))
    together = to_the_end(recipe, recipe.runs)
    assert {run: outcome for run in recipe.runs for outcome in to_the_end(recipe, [run]).values()} == together
    assert to_the_end(recipe, recipe.runs, seconds=0.0) == together
    assert to_the_end(replace(recipe, every=7), recipe.runs).keys() == together.keys()
    assert any(one.generalised for one in together.values())
    assert not all(one.generalised for one in together.values())


def test_how_often_is_looked_changes_no_step() -> None:
    recipe = sweep(some=part(weight_decays=[3.0], seeds=2))
    often, seldom = (to_the_end(replace(recipe, every=every), recipe.runs) for every in (1, 40))
    for run in recipe.runs:
        first, second = often[run], seldom[run]
        assert first.memorised == second.memorised
        assert second.generalised is None or first.generalised is not None
        if second.generalised is not None and first.generalised is not None:  # a dip may hide a first crossing
            assert 0 <= second.generalised.step - first.generalised.step < recipe.limit


def test_batches_and_splits_of_ones_own() -> None:
    recipe = sweep(own=part(split="own", weight_decays=[3.0]), shared=part(weight_decays=[3.0]))
    trainer = StackTrainer(recipe, started(recipe, [run for run in recipe.runs if run.split == "own"]))
    data = trainer._data[Split.TRAINING][0]
    assert data.ndim == 3
    assert not torch.equal(data[0], data[1])
    found = to_the_end(recipe, recipe.runs)  # both kinds in one stack
    for run in recipe.runs:
        assert to_the_end(recipe, [run])[run] == found[run]


def test_given_weights_leave_only_the_head_to_be_found() -> None:
    """In the middle of the seeds: which of them takes long depends on how a processor rounds."""
    recipe = sweep(given=part(start="given", weight_decays=[3.0], seeds=6), plain=part(weight_decays=[3.0], seeds=6))
    recipe = replace(recipe, limit=1000)
    given = {run.seed: one for run, one in to_the_end(recipe, recipe.parts["given"].runs()).items()}
    random = {run.seed: one for run, one in to_the_end(recipe, recipe.parts["plain"].runs()).items()}
    grown = [seed for seed, one in random.items() if one.generalised]
    assert len(grown) >= 3
    assert np.median([given[seed].steps for seed in grown]) < np.median([random[seed].steps for seed in grown])
    for seed in grown:
        assert given[seed].generalised is not None
        assert not given[seed].error
    for seed in set(random) - set(grown):
        assert "did not generalise" in given[seed].error


def test_a_sweep_is_the_same_on_one_process_and_on_two_and_leaves_nothing_unfinished(tmp_path: Path) -> None:
    recipe = sweep()
    one = run_sweep(recipe, tmp_path / "one.jsonl", engine=Engine(workers=1))
    two = run_sweep(recipe, tmp_path / "two.jsonl", engine=Engine(workers=2), seconds=0.2, stack=2)
    assert one.of(recipe.runs) == two.of(recipe.runs)
    assert len(one.outcomes) == len(recipe.runs)
    assert [path.name for path in sorted(tmp_path.iterdir()) if path.suffix != ".lock"] == ["one.jsonl", "two.jsonl"]


def test_a_finished_sweep_trains_nothing_and_a_longer_one_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.jsonl"
    run_sweep(sweep(some=part(seeds=1)), table, engine=Engine(workers=1))
    before = table.read_bytes()
    trained: list[Run] = []
    original = started

    def noted(recipe: SweepRecipe, runs: list[Run], device: str) -> StackState:
        trained.extend(runs)
        return original(recipe, runs, device)

    monkeypatch.setattr(running, "started", noted)
    run_sweep(sweep(some=part(seeds=1)), table, engine=Engine(workers=1))
    assert table.read_bytes() == before
    assert trained == []
    run_sweep(sweep(some=part(seeds=2)), table, engine=Engine(workers=1))
    assert table.read_bytes().startswith(before)
    assert {run.seed for run in trained} == {1}


def test_a_run_that_fails_is_recorded_and_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = sweep()
    bad = recipe.runs[1]
    original = advance

    def failing(recipe: SweepRecipe, state: StackState, seconds: float, **settings: object) -> Slice:
        if bad in state.runs:
            raise RuntimeError("out of luck")
        return original(recipe, state, seconds, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "advance", failing)
    done = run_sweep(recipe, tmp_path / "table.jsonl", engine=Engine(workers=1))
    assert {outcome.run: outcome.error for outcome in done.outcomes if outcome.error} == {
        bad: "RuntimeError: out of luck"
    }
    assert {outcome.run for outcome in done.outcomes} == set(recipe.runs)


def test_weights_that_are_not_finite_end_a_run_with_its_error() -> None:
    recipe = sweep(some=part(weight_decays=[3.0, 250.0]))  # 1 - .01 * 250 < -1: the weights grow without end
    recipe = replace(recipe, limit=600)
    found = to_the_end(recipe, recipe.runs)
    for run, outcome in found.items():
        assert ("NaN or infinity" in outcome.error) == (run.weight_decay == 250.0), run


def test_a_stack_is_split_until_there_is_work_for_all() -> None:
    recipe = sweep(some=part(seeds=3))
    (stack,) = new_stacks(recipe, recipe.runs, 0)
    parts = spread([stack], 4)
    assert len(parts) == 4
    assert sorted(run for one in parts for run in one.runs) == list(recipe.runs)
    assert len(spread([stack], 100)) == len(recipe.runs)
    assert [len(one.runs) for one in new_stacks(recipe, recipe.runs, 4)] == [4, 2]


def recipe_file(folder: Path) -> Path:
    path = folder / "small.toml"
    path.write_text(TOML)
    return path


def command(recipe: Path, table: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ace", "sweep", str(recipe), "--out", str(table), "--resume", *more]


def test_a_sweep_that_dies_at_any_system_call_goes_on_to_the_same_table_and_leaves_no_file(tmp_path: Path) -> None:
    recipe = replace(sweep(some=part(seeds=1)), limit=20)

    def act(folder: Path) -> None:
        run_sweep(recipe, folder / "table.jsonl", engine=Engine(workers=1), seconds=0.0)

    (tmp_path / "whole").mkdir()
    act(tmp_path / "whole")
    whole = read_table(tmp_path / "whole" / "table.jsonl").of(recipe.runs)
    assert len(whole) == len(recipe.runs) == 2
    points = 0
    for folder in every_crash_point(act, tmp_path):
        act(folder)
        assert read_table(folder / "table.jsonl").of(recipe.runs) == whole  # which refuses a run that is there twice
        assert sorted(path.name for path in folder.iterdir()) == ["table.jsonl", "table.jsonl.lock"]
        points += 1
    assert points > 10


def test_the_command_says_what_came_out(tmp_path: Path) -> None:
    recipe, table = recipe_file(tmp_path), tmp_path / "table.jsonl"
    recipe.write_text(TOML.replace("[17, 19]", "[17]").replace("seeds = 3", "seeds = 1").replace("300", "40"))
    done = subprocess.run(command(recipe, table, "--workers", "1"), capture_output=True, text=True, check=True)
    assert done.stdout == f"{table}: 2 runs, 2 not generalised by the limit, 0 failed\n"
    again = subprocess.run(command(recipe, table)[:-1], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "--resume goes on with it" in again.stderr
    none = subprocess.run([*command(recipe, table), "--part", "other"], capture_output=True, text=True, check=False)
    assert none.returncode == 1
    assert "expected some of some, got other" in none.stderr


def test_a_line_that_was_cut_off_is_trained_again(tmp_path: Path) -> None:
    recipe, table = sweep(some=part(seeds=1)), tmp_path / "table.jsonl"
    whole = run_sweep(recipe, table, engine=Engine(workers=1))
    content = table.read_bytes()
    table.write_bytes(content[:-20])
    assert len(read_table(table).outcomes) == len(whole.outcomes) - 1
    again = run_sweep(recipe, table, engine=Engine(workers=1))
    assert again.of(recipe.runs) == whole.of(recipe.runs)


def test_what_lies_in_a_table_is_verified(tmp_path: Path) -> None:
    recipe, table = sweep(some=part(seeds=1, weight_decays=[3.0])), tmp_path / "table.jsonl"
    run_sweep(recipe, table, engine=Engine(workers=1))
    lines = table.read_text().splitlines()
    with pytest.raises(ArtifactError, match=r"expected outcomes of the settings of small, got others of search"):
        run_sweep(replace(recipe, limit=400), table)
    with pytest.raises(ArtifactError, match=r"expected no table yet"):
        run_sweep(recipe, table, resume=False)
    for bad, expected in (
        ([], "no whole line"),
        (["{}"], "line 1: expected the header"),
        ([lines[0], "what"], "line 2: expected JSON"),
        ([lines[0], "[]"], "line 2: expected an object"),
        ([lines[0], "{}"], "line 2: expected the outcome of a run"),
        ([*lines, lines[1]], "line 3: expected each run once"),
    ):
        table.write_text("".join(f"{line}\n" for line in bad))
        with pytest.raises(ArtifactError, match=expected):
            read_table(table)
    with pytest.raises(ArtifactError, match="expected a readable table"):
        read_table(tmp_path / "none.jsonl")


def test_two_sweeps_do_not_write_to_one_table(tmp_path: Path) -> None:
    from filelock import FileLock

    table = tmp_path / "table.jsonl"
    with FileLock(tmp_path / "table.jsonl.lock"), pytest.raises(ArtifactError, match="no other sweep at work"):
        run_sweep(sweep(), table)


def test_a_folder_as_a_recipe_and_a_table_where_no_file_can_be_made() -> None:
    with pytest.raises(RecipeError, match=r"^\.: expected a readable TOML file: "):
        read_sweep(Path("."))
    with pytest.raises(
        ArtifactError, match=r"^/proc/x.jsonl: expected a place where files can be made: .*x.jsonl.lock"
    ):
        run_sweep(sweep(), Path("/proc/x.jsonl"))


def test_unfinished_stacks_of_other_settings_are_not_gone_on_with(tmp_path: Path) -> None:
    from ace.training.sweep.unfinished import Unfinished

    recipe = sweep()
    half = advance(recipe, started(recipe, recipe.runs), 0.0).state
    assert half is not None
    Unfinished(tmp_path, recipe, "cpu").replace(started(recipe, recipe.runs), [half])
    (found,) = Unfinished(tmp_path, recipe, "cpu").load(set(recipe.runs))
    assert found.epoch == half.epoch
    assert torch.equal(found.rows, half.rows)
    (fewer,) = Unfinished(tmp_path, recipe, "cpu").load({recipe.runs[0]})
    assert fewer.runs == (recipe.runs[0],)
    assert Unfinished(tmp_path, replace(recipe, seed=1), "cpu").load(set(recipe.runs)) == []
    (record,) = tmp_path.glob("*.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "runs": [{}]}))
    assert Unfinished(tmp_path, recipe, "cpu").load(set(recipe.runs)) == []


def test_an_engine_that_is_not_there_and_settings_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="engine: expected one of local, dask, got 'cloud'"):
        Engine("cloud")
    with pytest.raises(InputError, match="scheduler: expected the address"):
        Engine("dask")
    with pytest.raises(InputError, match="scheduler: expected the address"):
        Engine("local", "tcp://there:1")
    for settings, expected in (
        ({"seconds": -1}, "seconds: expected a number of at least 0, got -1"),
        ({"stack": 0}, "stack: expected an integer of at least 1, got 0"),
        ({"device": "cuda:99"}, "device: expected cpu or"),
    ):
        with pytest.raises(InputError, match=expected):
            run_sweep(sweep(), tmp_path / "table.jsonl", **settings)
    with pytest.raises(ArtifactError, match="expected a file for the table, got a folder"):
        run_sweep(sweep(), tmp_path)
    with pytest.raises(InputError, match="workers: expected an integer of at least 1, got 0"):
        Engine(workers=0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"scales": ["huge"]}, r"small.scales: expected some of compact, paper, got \['huge'\]"),
        ({"parts": {}}, "small.parts: expected a table of parts"),
        ({"task": {"share": 2}}, "small.task.share: expected a number strictly between 0 and 1, got 2"),
        ({"task": {"share": 0.97}}, "small.task.share: expected to leave every sum.* at modulus 17, shared split"),
        (
            {"search": {"threshold": 0.9, "every": 0, "limit": 9}},
            "small.search.every: expected an integer of at",
        ),
        ({"search": {"threshold": 0.9}}, r"small.search: missing key\(s\) every, limit"),
        ({"optimiser": {"learning_rate": 0}}, "small.optimiser.learning_rate: expected a number above 0, got 0"),
        ({"optimiser": {"learning_rate": 1, "beta1": 2}}, "small.optimiser.beta1: expected a number in 0 <= beta < 1"),
        ({"optimiser": {"learning_rate": 1, "weight_decay": 1}}, r"small.optimiser: unknown key\(s\) weight_decay"),
        ({"model": {"blocks": 1, "width": 30, "heads": 4, "hidden": 8}}, "small: model.heads: expected a divisor"),
        ({"parts": {"a": part(split="none")}}, "small.parts.a.split: expected one of shared, own, got 'none'"),
        ({"parts": {"a": part(moduli=[2])}}, "small.parts.a.moduli: expected an integer of at least 3, got 2"),
        ({"parts": {"a": part(moduli=17)}}, "small.parts.a.moduli: expected a list of numbers, got 17"),
        ({"parts": {"a": part(weight_decays=[-1])}}, "small.parts.a.weight_decays: expected a number of at least 0"),
        ({"parts": {"a": part(seed=3)}}, r"small.parts.a: unknown key\(s\) seed"),
        ({"parts": {"a": []}}, "small.parts.a: expected a table, got list"),
        ({"more": 1}, r"small: unknown key\(s\) more"),
    ],
)
def test_recipes_that_cannot_be_read(change: dict[str, object], expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        parse_sweep("small", {**entries(), **change})


def test_runs_that_several_parts_name_are_trained_once() -> None:
    recipe = sweep(first=part(), second=part(weight_decays=[3.0], seeds=3))
    assert len(recipe.runs) == 5
    assert recipe.digest == sweep().digest
    assert issubclass(RecipeError, ace.AceError)


def test_a_table_of_a_part_serves_the_whole(tmp_path: Path) -> None:
    recipe = sweep(first=part(seeds=1), second=part(weight_decays=[2.0], seeds=1))
    run_sweep(replace(recipe, parts={"first": recipe.parts["first"]}), tmp_path / "t.jsonl", engine=Engine(workers=1))
    assert begin_table(tmp_path / "t.jsonl", recipe).of(recipe.parts["second"].runs()) == ()
    whole = run_sweep(recipe, tmp_path / "t.jsonl", engine=Engine(workers=1))
    assert len(whole.of(recipe.runs)) == 3
