"""The zoo: one process trains, a killed one is continued, nothing corrupt is used or overwritten unasked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ace.errors import ArtifactError, NotTrained, RecipeError
from ace.extract import extract_core
from ace.training import resumable
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, save_ensemble
from ace.training.train import train
from ace.training.trainer import EnsembleTrainer
from fixtures import zoo
from fixtures.zoo import Zoo
from invariants.contracts import builders, child

REPOSITORY = Path(zoo.__file__).parents[1]
EPOCHS = {"schedule": {"epochs": 12}}


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epoch that each training of this test starts from; its length is how often the zoo trained."""
    begun: list[int] = []

    def counted(recipe: Recipe, **options: Any) -> TrainedEnsemble:
        found = train(recipe, **options)
        begun.append(found.provenance["resumed_from_epoch"])
        return found

    monkeypatch.setattr(zoo, "train", counted)
    return begun


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the weights that are stored with the repository, and one for trainings under way."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(zoo, "STORED", folder)
    monkeypatch.setattr(zoo, "CACHE", tmp_path / "under way")
    return folder


def quiet(cache: Path, **options: Any) -> Zoo:
    return Zoo(cache=cache, progress=False, **options)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with what it holds and when it was written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def record_in(folder: Path) -> Path:
    return folder / f"{builders.recipe().address}.json"


def weights_in(folder: Path) -> Path:
    (weights,) = folder.glob(f"{builders.recipe().address}.*.safetensors")
    return weights


def redate(record: Path, date: object) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), "date": date}))


# --- processes --------------------------------------------------------------------------------------------------------
@contextmanager
def children(folder: Path, count: int, seconds: float) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that ask for the same recipe; killed at the end whatever happens."""
    plan = folder / "plan.json"
    asked = {"entries": builders.entries(**EPOCHS), "cache": str(folder / "cache"), "log": str(folder / "log")}
    plan.write_text(json.dumps({**asked, "company": count, "seconds": seconds}))
    (folder / "log").touch()
    command = [sys.executable, "-m", "invariants.contracts.child", str(plan)]
    # One thread, as here: how sums are split among threads may show in their last bits.
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(count)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate(timeout=child.PATIENCE)


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=2 * child.PATIENCE)
    assert process.returncode == 0, output


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + child.PATIENCE
    while not condition():
        assert process.poll() is None, f"the process ended by itself: {process.communicate()[0]}"
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def test_of_two_processes_that_ask_at_once_one_trains_and_both_get_the_same_weights(tmp_path: Path) -> None:
    with children(tmp_path, 2, seconds=0.05) as running:
        for process in running:
            finish(process)
    lines = (tmp_path / "log").read_text().split("\n")
    assert lines.count("asking") == 2
    assert lines.count("training") == 1
    done = [line for line in lines if line.startswith("done")]
    assert done == 2 * [f"done {child.fingerprint(train(builders.recipe(**EPOCHS)).checkpoints)}"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9; this system has none")
def test_a_training_killed_midway_is_continued_to_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, trainings: list[int]
) -> None:
    recipe = builders.recipe(**EPOCHS)
    cache = tmp_path / "cache"
    partial = cache / f"{recipe.address}-partial.json"
    with children(tmp_path, 1, seconds=0.1) as (process,):
        wait_for(partial.exists, process)
        process.send_signal(signal.SIGKILL)
        process.wait(child.PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert "done" not in (tmp_path / "log").read_text()
    found = quiet(cache).obtain(recipe)  # the lock died with its process
    assert 0 < trainings[0] < recipe.schedule.epochs
    assert builders.same_weights(found.checkpoints, train(recipe).checkpoints)
    left = {
        path.name.removeprefix(recipe.address).rpartition(".")[2] for path in cache.iterdir() if path.name[0] != "."
    }
    assert left == {"json", "lock", "safetensors"}
    assert not partial.exists()


# --- loading and training ---------------------------------------------------------------------------------------------
def test_what_was_trained_once_is_loaded_from_then_on(tmp_path: Path, trainings: list[int]) -> None:
    cache = tmp_path / "a" / "b"  # made where it does not exist
    first, second = quiet(cache).obtain(builders.recipe()), quiet(cache).obtain(builders.recipe())
    assert trainings == [0]
    assert builders.same_weights(first.checkpoints, second.checkpoints)
    assert first.provenance.items() <= second.provenance.items()


def test_another_recipe_of_the_same_name_gets_weights_of_its_own(tmp_path: Path, trainings: list[int]) -> None:
    quiet(tmp_path).obtain(builders.recipe())
    other = quiet(tmp_path).obtain(builders.recipe(ensemble={"seed": 1}))
    assert len(trainings) == 2
    assert builders.same_weights(other.checkpoints, train(builders.recipe(ensemble={"seed": 1})).checkpoints)


def test_a_crash_between_training_and_storing_loses_neither(
    tmp_path: Path, trainings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "PARTIAL_SECONDS", 0.0)

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(zoo, "save_ensemble", crash)
        with pytest.raises(Crash):
            quiet(tmp_path).obtain(builders.recipe())
    quiet(tmp_path).obtain(builders.recipe())
    assert trainings == [0, builders.recipe().schedule.epochs]  # the second had nothing left to train


def test_a_training_that_fails_leaves_nothing_that_could_be_taken_for_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: EnsembleTrainer) -> None:
        raise RuntimeError("diverged")

    with monkeypatch.context() as patch:
        patch.setattr(EnsembleTrainer, "advance", fail)
        with pytest.raises(RuntimeError, match="diverged"):
            quiet(tmp_path).obtain(builders.recipe())
    assert not record_in(tmp_path).exists()
    quiet(tmp_path).obtain(builders.recipe())  # and the lock is free


# --- corrupt files ----------------------------------------------------------------------------------------------------
DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated weights": lambda folder: os.truncate(weights_in(folder), 100),
    "missing weights": lambda folder: weights_in(folder).unlink(),
    "truncated record": lambda folder: os.truncate(record_in(folder), 20),
    "a record of another recipe": lambda folder: record_in(folder).write_text(
        record_in(folder).read_text().replace(builders.recipe().digest, "0" * 64)
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_cached_file_is_an_error_and_stays_as_it_is_unless_retraining_is_asked_for(
    tmp_path: Path, trainings: list[int], damage: str
) -> None:
    good = quiet(tmp_path).obtain(builders.recipe())
    DAMAGE[damage](tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ArtifactError, match=builders.recipe().address):
        quiet(tmp_path).obtain(builders.recipe())
    assert contents(tmp_path) == before
    assert len(trainings) == 1
    again = quiet(tmp_path, retrain=True, since=datetime.now(UTC) + timedelta(seconds=2)).obtain(builders.recipe())
    assert len(trainings) == 2
    assert builders.same_weights(again.checkpoints, good.checkpoints)
    assert builders.same_weights(quiet(tmp_path).obtain(builders.recipe()).checkpoints, good.checkpoints)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_file_of_the_repository_is_an_error_not_a_reason_to_train(
    tmp_path: Path, stored: Path, trainings: list[int], damage: str
) -> None:
    save_ensemble(record_in(stored), train(builders.recipe()))
    DAMAGE[damage](stored)
    before = contents(stored)
    with pytest.raises(ArtifactError, match=builders.recipe().address):
        quiet(tmp_path / "cache").obtain(builders.recipe())
    assert contents(stored) == before
    assert trainings == []


# --- retraining -------------------------------------------------------------------------------------------------------
def test_retraining_ignores_what_is_cached_from_before_and_uses_what_this_run_has_trained(
    tmp_path: Path, trainings: list[int]
) -> None:
    quiet(tmp_path).obtain(builders.recipe())
    redate(record_in(tmp_path), (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds"))
    since = datetime.now(UTC)
    for worker in range(3):  # the first of three workers of one run trains, the others use it
        quiet(tmp_path, retrain=True, since=since).obtain(builders.recipe())
        assert len(trainings) == 2, worker
    quiet(tmp_path, retrain=True, since=since + timedelta(seconds=60)).obtain(builders.recipe())  # a later run
    assert len(trainings) == 3


def test_retraining_without_a_start_trains_every_time(tmp_path: Path, trainings: list[int]) -> None:
    for _ in range(2):
        quiet(tmp_path, retrain=True).obtain(builders.recipe())
    assert len(trainings) == 2


@pytest.mark.parametrize("date", [None, 5, "yesterday", "2999-01-01T00:00:00"], ids=str)
def test_under_retraining_a_record_without_a_usable_date_counts_as_old(
    tmp_path: Path, trainings: list[int], date: object
) -> None:
    quiet(tmp_path).obtain(builders.recipe())
    redate(record_in(tmp_path), date)
    quiet(tmp_path, retrain=True, since=datetime.now(UTC)).obtain(builders.recipe())
    assert len(trainings) == 2


# --- trainings that take hours ----------------------------------------------------------------------------------------
def slow() -> Recipe:
    return replace(builders.recipe(), quick=False)


@pytest.mark.parametrize("retrain", [False, True])
def test_a_training_of_hours_is_refused_with_the_command_that_starts_it_and_nothing_is_written(
    tmp_path: Path, stored: Path, trainings: list[int], retrain: bool
) -> None:
    with pytest.raises(NotTrained, match=r"tiny has no .* weights .*: python -m fixtures\.zoo store tiny "):
        quiet(tmp_path / "cache", retrain=retrain).obtain(slow())
    assert trainings == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("retrain", [False, True])
def test_a_patient_zoo_trains_for_hours(tmp_path: Path, stored: Path, trainings: list[int], retrain: bool) -> None:
    found = quiet(tmp_path, retrain=retrain, patient=True).obtain(slow())
    assert trainings == [0]
    assert builders.same_weights(found.checkpoints, train(builders.recipe()).checkpoints)


def test_weights_that_took_hours_are_used_where_they_are(tmp_path: Path, stored: Path, trainings: list[int]) -> None:
    quiet(tmp_path, patient=True).obtain(slow())
    assert quiet(tmp_path).obtain(slow()).recipe == slow()  # cached
    zoo.store(slow())
    assert quiet(tmp_path / "other").obtain(slow()).recipe == slow()  # stored
    assert len(trainings) == 2


def test_whether_a_recipe_is_quick_does_not_change_its_address() -> None:
    assert slow().address == builders.recipe().address


@pytest.mark.parametrize("name", ["markov-paper", "modadd-compact"])
def test_recipes_that_tests_may_train_are_quick(name: str) -> None:
    assert zoo.recipe(name).quick


def test_claims_on_weights_that_nobody_trained_are_skipped_with_the_command(
    tmp_path: Path, stored: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnsembleTrainer, "advance", lambda self: pytest.fail("it trains"))
    subjects = type(request.getfixturevalue("subjects"))(quiet(tmp_path), extract_core, nullcontext)
    with pytest.raises(pytest.skip.Exception, match=r"python -m fixtures\.zoo store modadd-paper"):
        subjects.grokking("modadd", "paper")


# --- the repository's weights -----------------------------------------------------------------------------------------
def test_weights_of_the_repository_come_first_and_nothing_is_trained_or_cached(
    tmp_path: Path, stored: Path, trainings: list[int]
) -> None:
    made = train(builders.recipe())
    save_ensemble(record_in(stored), made)
    found = quiet(tmp_path / "cache").obtain(builders.recipe())
    assert builders.same_weights(found.checkpoints, made.checkpoints)
    assert trainings == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("retrain", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_obtaining_never_writes_among_the_weights_of_the_repository(
    tmp_path: Path, stored: Path, trainings: list[int], retrain: bool, present: bool
) -> None:
    if present:
        save_ensemble(record_in(stored), train(builders.recipe()))
    before = contents(stored)
    quiet(tmp_path / "cache", retrain=retrain).obtain(builders.recipe())
    assert contents(stored) == before
    assert len(trainings) == (retrain or not present)


def test_obtaining_writes_nothing_in_the_folder_of_the_repository_itself(tmp_path: Path) -> None:
    before = contents(zoo.STORED)
    quiet(tmp_path).obtain(builders.recipe())
    quiet(tmp_path, retrain=True).obtain(builders.recipe())
    assert contents(zoo.STORED) == before


def test_storing_replaces_what_the_name_had_before_and_nothing_else(stored: Path) -> None:
    old, new = builders.recipe(ensemble={"seed": 1}), builders.recipe()
    neighbour = builders.recipe("tiny-other")
    for made in (old, neighbour):
        zoo.store(made)
    zoo.store(new)
    stems = {path.name.partition(".")[0] for path in stored.iterdir()}
    assert stems == {new.address, neighbour.address}
    assert len(list(stored.iterdir())) == 4


def test_a_crash_while_storing_keeps_the_weights_that_were_there(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.store(builders.recipe())
    before = contents(stored)

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(zoo, "save_ensemble", crash)
    with pytest.raises(Crash):
        zoo.store(builders.recipe(ensemble={"seed": 1}))
    assert contents(stored) == before


# --- recipes and the command line -------------------------------------------------------------------------------------
def test_an_unknown_recipe_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        zoo.recipe("markov-huge")
    assert "markov-huge" in str(caught.value)
    assert all(name in str(caught.value) for name in zoo.recipes())


def test_every_recipe_of_the_repository_serves_a_scale_under_its_files_name() -> None:
    found = zoo.recipes()
    assert found
    assert all(name == recipe.name and recipe.scales for name, recipe in found.items())
    assert {*zoo.recipes("compact"), *zoo.recipes("paper")} == set(found)
    assert len({recipe.address for recipe in found.values()}) == len(found)


def test_the_command_line_lists_which_weights_are_stored(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(zoo.recipes())
    assert all(line.endswith("not stored") for line in lines)
