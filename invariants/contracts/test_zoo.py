"""The zoo: one process trains, a killed one is continued, nothing corrupt is used or overwritten unasked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ace.cli import main
from ace.errors import ArtifactError, InputError, NotTrained, RecipeError
from ace.files import default_cache
from ace.suite import test_claims as suite
from ace.suite.parametrize import claims_of
from ace.training import resumable
from ace.training.language.recipe import LanguageRecipe
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, load_ensemble, save_ensemble
from ace.training.train import train
from ace.training.trainer import EnsembleTrainer
from ace.zoo import obtain
from ace.zoo.fixtures import StoredFixtures
from ace.zoo.obtain import Store
from ace.zoo.real_models import real_models
from ace.zoo.recipes import find_recipe, language_recipes, recipes
from invariants import FIXTURES
from invariants.contracts import builders, child
from invariants.contracts.dying import Crash, every_crash_point
from invariants.contracts.processes import processes

EPOCHS = {"schedule": {"epochs": 12}}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epoch that each training of this test starts from; its length is how often a store trained."""
    begun: list[int] = []

    def counted(recipe: Recipe, **options: Any) -> TrainedEnsemble:
        ensemble = train(recipe, **options)
        begun.append(ensemble.provenance["resumed_from_epoch"])
        return ensemble

    monkeypatch.setattr(obtain, "train", counted)
    return begun


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of fixtures with the repository's recipes and no weights yet."""
    made = tmp_path / "fixtures"
    shutil.copytree(FIXTURES / "recipes", made / "recipes")
    (made / "weights").mkdir()
    return made


def quiet(cache: Path, folder: Path = FIXTURES, **options: Any) -> Store:
    return Store(folder, cache, progress=False, **options)


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
    with processes(("-m", "invariants.contracts.child", str(plan)), count, child.PATIENCE) as running:
        yield running


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=2 * child.PATIENCE)
    assert process.returncode == 0, output


def test_of_two_processes_that_ask_at_once_one_trains_and_both_get_the_same_weights(tmp_path: Path) -> None:
    with children(tmp_path, 2, seconds=0.05) as running:
        for process in running:
            finish(process)
    lines = (tmp_path / "log").read_text().split("\n")
    assert lines.count("asking") == 2
    assert lines.count("training") == 1
    done = [line for line in lines if line.startswith("done")]
    assert done == 2 * [f"done {child.fingerprint(train(builders.recipe(**EPOCHS)).checkpoints)}"]


# --- loading and training ---------------------------------------------------------------------------------------------
def test_what_was_trained_once_is_loaded_from_then_on(tmp_path: Path, trainings: list[int]) -> None:
    cache = tmp_path / "a" / "b"  # made where it does not exist
    first, second = quiet(cache).ensemble(builders.recipe()), quiet(cache).ensemble(builders.recipe())
    assert trainings == [0]
    assert builders.same_weights(first.checkpoints, second.checkpoints)
    assert first.provenance.items() <= second.provenance.items()


def test_another_recipe_of_the_same_name_gets_weights_of_its_own(tmp_path: Path, trainings: list[int]) -> None:
    quiet(tmp_path).ensemble(builders.recipe())
    other = quiet(tmp_path).ensemble(builders.recipe(ensemble={"seed": 1}))
    assert len(trainings) == 2
    assert builders.same_weights(other.checkpoints, train(builders.recipe(ensemble={"seed": 1})).checkpoints)


def test_a_crash_between_training_and_storing_loses_neither(
    tmp_path: Path, trainings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "PARTIAL_SECONDS", 0.0)

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(obtain, "save_ensemble", crash)
        with pytest.raises(Crash):
            quiet(tmp_path).ensemble(builders.recipe())
    quiet(tmp_path).ensemble(builders.recipe())
    assert trainings == [0, builders.recipe().schedule.epochs]  # the second had nothing left to train


@pytest.mark.parametrize("kept", [False, True], ids=["asked for", "kept"])
def test_a_training_that_dies_at_any_system_call_goes_on_to_the_same_weights_and_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(resumable, "PARTIAL_SECONDS", 0.0)
    monkeypatch.setattr(resumable, "PARTIAL_SHARE", 0)
    recipe = builders.recipe(schedule={"epochs": 1})

    def act(place: Path) -> TrainedEnsemble:
        weights = place / "fixtures" / "weights"
        weights.mkdir(parents=True, exist_ok=True)
        store = quiet(place / "cache", place / "fixtures")
        return load_ensemble(store.keep(recipe), recipe) if kept else store.ensemble(recipe)

    def files(place: Path) -> list[str]:
        return sorted(str(path.relative_to(place)) for path in place.rglob("*"))

    (tmp_path / "whole").mkdir()
    whole = act(tmp_path / "whole")
    points = 0
    (tmp_path / "points").mkdir()
    for place in every_crash_point(act, tmp_path / "points"):
        assert builders.same_weights(act(place).checkpoints, whole.checkpoints)
        assert files(place) == files(tmp_path / "whole")
        points += 1
    assert points > 10


def test_a_training_that_fails_leaves_nothing_that_could_be_taken_for_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: EnsembleTrainer) -> None:
        raise RuntimeError("diverged")

    with monkeypatch.context() as patch:
        patch.setattr(EnsembleTrainer, "advance", fail)
        with pytest.raises(RuntimeError, match="diverged"):
            quiet(tmp_path).ensemble(builders.recipe())
    assert not record_in(tmp_path).exists()
    quiet(tmp_path).ensemble(builders.recipe())  # and the lock is free


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
    good = quiet(tmp_path).ensemble(builders.recipe())
    DAMAGE[damage](tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ArtifactError, match=builders.recipe().address):
        quiet(tmp_path).ensemble(builders.recipe())
    assert contents(tmp_path) == before
    assert len(trainings) == 1
    again = quiet(tmp_path, retrain=True, since=datetime.now(UTC) + timedelta(seconds=2)).ensemble(builders.recipe())
    assert len(trainings) == 2
    assert builders.same_weights(again.checkpoints, good.checkpoints)
    assert builders.same_weights(quiet(tmp_path).ensemble(builders.recipe()).checkpoints, good.checkpoints)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_file_of_the_repository_is_an_error_not_a_reason_to_train(
    tmp_path: Path, folder: Path, trainings: list[int], damage: str
) -> None:
    save_ensemble(record_in(folder / "weights"), train(builders.recipe()))
    DAMAGE[damage](folder / "weights")
    before = contents(folder)
    with pytest.raises(ArtifactError, match=builders.recipe().address):
        quiet(tmp_path / "cache", folder).ensemble(builders.recipe())
    assert contents(folder) == before
    assert trainings == []


# --- retraining -------------------------------------------------------------------------------------------------------
def test_retraining_ignores_what_is_cached_from_before_and_uses_what_this_run_has_trained(
    tmp_path: Path, trainings: list[int]
) -> None:
    quiet(tmp_path).ensemble(builders.recipe())
    redate(record_in(tmp_path), (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds"))
    since = datetime.now(UTC)
    for worker in range(3):  # the first of three workers of one run trains, the others use it
        quiet(tmp_path, retrain=True, since=since).ensemble(builders.recipe())
        assert len(trainings) == 2, worker
    quiet(tmp_path, retrain=True, since=since + timedelta(seconds=60)).ensemble(builders.recipe())  # a later run
    assert len(trainings) == 3


def test_retraining_without_a_start_trains_every_time(tmp_path: Path, trainings: list[int]) -> None:
    for _ in range(2):
        quiet(tmp_path, retrain=True).ensemble(builders.recipe())
    assert len(trainings) == 2


@pytest.mark.parametrize("date", [None, 5, "yesterday", "2999-01-01T00:00:00"], ids=str)
def test_under_retraining_a_record_without_a_usable_date_counts_as_old(
    tmp_path: Path, trainings: list[int], date: object
) -> None:
    quiet(tmp_path).ensemble(builders.recipe())
    redate(record_in(tmp_path), date)
    quiet(tmp_path, retrain=True, since=datetime.now(UTC)).ensemble(builders.recipe())
    assert len(trainings) == 2


# --- trainings that take hours ----------------------------------------------------------------------------------------
def slow() -> Recipe:
    return replace(builders.recipe(), quick=False)


@pytest.mark.parametrize("retrain", [False, True])
def test_a_training_of_hours_is_refused_with_the_command_that_starts_it_and_nothing_is_written(
    tmp_path: Path, folder: Path, trainings: list[int], retrain: bool
) -> None:
    with pytest.raises(NotTrained, match=r"tiny has no .* weights .*: ace zoo store tiny "):
        quiet(tmp_path / "cache", folder, retrain=retrain).ensemble(slow())
    assert trainings == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("retrain", [False, True])
def test_a_patient_store_trains_for_hours(tmp_path: Path, folder: Path, trainings: list[int], retrain: bool) -> None:
    made = quiet(tmp_path / "cache", folder, retrain=retrain, patient=True).ensemble(slow())
    assert trainings == [0]
    assert builders.same_weights(made.checkpoints, train(builders.recipe()).checkpoints)


def test_weights_that_took_hours_are_used_where_they_are(tmp_path: Path, folder: Path, trainings: list[int]) -> None:
    quiet(tmp_path / "cache", folder, patient=True).ensemble(slow())
    assert quiet(tmp_path / "cache", folder).ensemble(slow()).recipe == slow()  # cached
    quiet(tmp_path / "under way", folder).keep(slow())
    assert quiet(tmp_path / "other", folder).ensemble(slow()).recipe == slow()  # stored
    assert len(trainings) == 2


def test_whether_a_recipe_is_quick_does_not_change_its_address() -> None:
    assert slow().address == builders.recipe().address


@pytest.mark.parametrize("name", ["markov-paper", "modadd-compact"])
def test_recipes_that_tests_may_train_are_quick(name: str) -> None:
    recipe = find_recipe(FIXTURES, name)
    assert isinstance(recipe, Recipe)
    assert recipe.quick


def test_claims_on_weights_that_nobody_trained_are_skipped_with_the_command(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnsembleTrainer, "advance", lambda self: pytest.fail("it trains"))
    subjects = StoredFixtures(quiet(tmp_path / "cache", folder)).subjects("paper")
    (subject,) = [each for each in subjects if each.name == "modadd-paper"]
    claims = [claim for claim, _ in claims_of([subject])]
    assert claims
    for claim in claims:
        with pytest.raises(pytest.skip.Exception, match="ace zoo store modadd-paper"):
            suite.test_claim(claim, subject, lambda verdict: pytest.fail("it was judged"))


# --- the repository's weights -----------------------------------------------------------------------------------------
def test_weights_of_the_repository_come_first_and_nothing_is_trained_or_cached(
    tmp_path: Path, folder: Path, trainings: list[int]
) -> None:
    made = train(builders.recipe())
    save_ensemble(record_in(folder / "weights"), made)
    loaded = quiet(tmp_path / "cache", folder).ensemble(builders.recipe())
    assert builders.same_weights(loaded.checkpoints, made.checkpoints)
    assert trainings == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("retrain", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_obtaining_never_writes_among_the_weights_of_the_repository(
    tmp_path: Path, folder: Path, trainings: list[int], retrain: bool, present: bool
) -> None:
    if present:
        save_ensemble(record_in(folder / "weights"), train(builders.recipe()))
    before = contents(folder)
    quiet(tmp_path / "cache", folder, retrain=retrain).ensemble(builders.recipe())
    assert contents(folder) == before
    assert len(trainings) == (retrain or not present)


def test_obtaining_writes_nothing_in_the_folder_of_the_repository_itself(tmp_path: Path) -> None:
    before = contents(FIXTURES / "weights")
    quiet(tmp_path).ensemble(builders.recipe())
    quiet(tmp_path, retrain=True).ensemble(builders.recipe())
    assert contents(FIXTURES / "weights") == before


def test_keeping_replaces_what_the_name_had_before_and_nothing_else(tmp_path: Path, folder: Path) -> None:
    old, new = builders.recipe(ensemble={"seed": 1}), builders.recipe()
    neighbour = builders.recipe("tiny-other")
    store, weights = quiet(tmp_path / "cache", folder), folder / "weights"
    for recipe in (old, neighbour):
        store.keep(recipe)
    assert store.keep(new) == record_in(weights)
    stems = {path.name.partition(".")[0] for path in weights.iterdir()}
    assert stems == {new.address, neighbour.address}
    assert len(list(weights.iterdir())) == 4
    assert [store.is_stored(recipe) for recipe in (old, new, neighbour)] == [False, True, True]


def test_keeping_a_part_of_a_training_goes_on_from_there_when_it_is_asked_for_again(
    tmp_path: Path, folder: Path, trainings: list[int]
) -> None:
    recipe, store = builders.recipe(), quiet(tmp_path / "cache", folder)
    store.keep(recipe, until=3)
    part = store.ensemble(recipe)
    assert part.provenance["epochs"] == 3
    store.keep(recipe)
    whole = store.ensemble(recipe)
    assert builders.same_weights(whole.checkpoints, train(recipe).checkpoints)
    assert trainings == [0, 3]
    assert list((tmp_path / "cache").glob("*.safetensors")) == []  # nothing is left to go on from


def test_a_crash_while_keeping_leaves_the_weights_that_were_there(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = quiet(tmp_path / "cache", folder)
    store.keep(builders.recipe())
    before = contents(folder)

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(obtain, "save_ensemble", crash)
    with pytest.raises(Crash):
        store.keep(builders.recipe(ensemble={"seed": 1}))
    assert contents(folder) == before


# --- the cache --------------------------------------------------------------------------------------------------------
def test_a_cache_that_cannot_be_written_is_refused_by_its_name(tmp_path: Path, trainings: list[int]) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = tmp_path / "file" / "cache"
    for ask in (quiet(cache).ensemble, quiet(cache).keep):
        with pytest.raises(ArtifactError, match=r"cache: expected a folder that can be written, got .*file/cache"):
            ask(builders.recipe())
    assert trainings == []


def test_the_cache_is_the_users_wherever_that_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "ace-invariants"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "ace-invariants"


def test_the_terminal_is_taken_for_trainings_alone(tmp_path: Path) -> None:
    events: list[str] = []

    @contextmanager
    def showing() -> Iterator[None]:
        events.append("shown")
        yield
        events.append("hidden")

    for _ in range(2):
        quiet(tmp_path, showing=showing).ensemble(builders.recipe())
    assert events == ["shown", "hidden"]


# --- recipes ----------------------------------------------------------------------------------------------------------
def test_an_unknown_recipe_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        find_recipe(FIXTURES, "markov-huge")
    assert "markov-huge" in str(caught.value)
    assert all(name in str(caught.value) for name in (*recipes(FIXTURES), *language_recipes(FIXTURES)))
    with pytest.raises(RecipeError, match=f"expected one of none in {tmp_path}, got 'markov-huge'"):
        find_recipe(tmp_path, "markov-huge")


def test_every_recipe_of_the_repository_serves_a_scale_under_its_files_name() -> None:
    known = recipes(FIXTURES)
    assert known
    assert all(name == recipe.name and recipe.scales for name, recipe in known.items())
    assert all(scale in ("compact", "paper") for recipe in known.values() for scale in recipe.scales)
    assert len({recipe.address for recipe in known.values()}) == len(known)
    assert all(name == recipe.name for name, recipe in language_recipes(FIXTURES).items())


def test_a_store_knows_which_weights_are_stored(tmp_path: Path, folder: Path) -> None:
    known: list[Recipe | LanguageRecipe] = [*recipes(folder).values(), *language_recipes(folder).values()]
    assert not any(quiet(tmp_path, folder).is_stored(recipe) for recipe in known)
    for recipe in known:
        stored = any((FIXTURES / "weights").glob(f"{recipe.address}*"))
        assert quiet(tmp_path).is_stored(recipe) == stored


def test_the_command_line_lists_which_weights_are_stored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "list", "--fixtures", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = len(recipes(folder)) + len(language_recipes(folder))
    assert len(lines) == count + len(real_models())
    assert all(line.endswith("not stored") for line in lines[:count])


def test_recipes_of_one_kind_are_no_recipes_of_the_other(tmp_path: Path) -> None:
    fixtures = StoredFixtures(quiet(tmp_path))
    with pytest.raises(RecipeError, match="recipe: expected one of an ensemble, got 'agreement-small'"):
        fixtures.ensemble("agreement-small")
    with pytest.raises(RecipeError, match="recipe: expected one of language models, got 'low-rank'"):
        fixtures.language_models("low-rank")
    language = find_recipe(FIXTURES, "agreement-small")
    with pytest.raises(InputError, match="until: expected with a recipe of an ensemble, got 3 for agreement-small"):
        quiet(tmp_path).keep(language, until=3)
