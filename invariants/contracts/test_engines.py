"""Workers that die, and a cluster that goes away: what is lost is tried again, what kills its worker has failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ace.cli import verify_many
from ace.engine import Engine, Failed, Workers
from ace.errors import ArtifactError, EngineError
from ace.training.sweep import run as running
from ace.training.sweep.advance import Slice, advance
from ace.training.sweep.recipe import Run, SweepRecipe
from ace.training.sweep.run import run_sweep
from ace.training.sweep.state import StackState
from invariants.contracts.lethal import lethal
from invariants.contracts.sweeps import sweep

MEMORY = "its worker died whenever it ran alone: SIGKILL(-9)"


def outcomes(folder: Path, items: Iterable[str], workers: Workers) -> dict[str, Any]:
    listed = list(workers.results(partial(lethal, folder), items))
    assert len({item for item, _ in listed}) == len(listed)
    return dict(listed)


def test_an_item_that_kills_its_worker_fails_alone_and_stops_no_other(tmp_path: Path) -> None:
    items = ("slow", "kills", "a", "kills once", "raises", "b")
    found = outcomes(tmp_path, items, Workers(2))
    good = {item: item.upper() for item in ("slow", "a", "kills once", "b")}
    assert found == {**good, "kills": Failed(MEMORY), "raises": Failed("ValueError: out of luck")}
    assert len(list(tmp_path.glob("raises.*"))) <= 4  # an error is no death: tried again only where a worker died


def test_the_last_item_does_not_take_the_command_with_it(tmp_path: Path) -> None:
    assert outcomes(tmp_path, ["kills"], Workers(2)) == {"kills": Failed(MEMORY)}
    assert len(list(tmp_path.glob("kills.*"))) == 2
    assert outcomes(tmp_path, [], Workers(2)) == {}


def test_what_cannot_be_handed_to_workers_is_an_error_of_ours() -> None:
    with pytest.raises(EngineError, match="engine: expected workers that can run this, got "):
        list(Workers(2).results(str, [(one for one in "ab"), (one for one in "cd")]))


def trained(
    killing: Run, recipe: SweepRecipe, state: StackState, seconds: float, *, device: str, threads: int | None
) -> Slice:
    if killing in state.runs:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(recipe, state, seconds, device=device, threads=threads)


def in_worker(killing: Run, recipe: SweepRecipe, seconds: float, device: str, stack: StackState) -> Slice:
    return trained(killing, recipe, stack, seconds, device=device, threads=1)


@pytest.mark.slow
def test_a_run_that_kills_its_worker_is_recorded_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = sweep()
    bad = recipe.runs[1]
    whole = run_sweep(recipe, tmp_path / "whole.jsonl", engine=Engine(workers=1))
    monkeypatch.setattr(running, "_trained", partial(in_worker, bad))
    done = run_sweep(recipe, tmp_path / "table.jsonl", engine=Engine(workers=2))
    assert {outcome.run: outcome.error for outcome in done.outcomes if outcome.error} == {bad: MEMORY}
    others = [run for run in recipe.runs if run != bad]
    assert done.of(others) == whole.of(others)
    assert len(done.outcomes) == len(recipe.runs)
    assert not (tmp_path / "table.jsonl.unfinished").exists()


def verdicts(job: verify_many.Job) -> dict[str, Any]:
    if "kills" in job.models and len(job.models) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    row = {"claim": "agreement.flip", "subject": job.name, "verdict": "HOLDS"}
    return {"code": 0, "document": {"schema": 2, "subjects": {}, "results": [row]}}


@pytest.mark.slow
def test_a_model_that_kills_its_worker_is_told_of_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_many, "_run", verdicts)
    with pytest.raises(ArtifactError, match="expected verdicts of 4 runs, got none of kills"):
        verify_many.verify_many(["a", "kills", "b"], ["-q"], tmp_path / "all.json", Engine(workers=2))
    assert f"kills: no verdicts, exit code 1\n{MEMORY}" in capsys.readouterr().err
    assert '"subject": "b"' in (tmp_path / "all.json").read_text()
