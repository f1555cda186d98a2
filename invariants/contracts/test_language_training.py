"""Training language models: the same weights however often it is interrupted, and folders that are whole or refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ace.errors import ArtifactError, InputError, RecipeError
from ace.training import resumable
from ace.training.language.corpus import Corpus
from ace.training.language.recipe import LanguageRecipe, read_language_recipe
from ace.training.language.store import PROVENANCE, load_language_folder, store_language_model
from ace.training.language.trainer import (
    LanguageTrainer,
    TrainedLanguageModel,
    train_language_model,
    untrained_model,
)
from ace.zoo import obtain
from ace.zoo.obtain import Store
from ace.zoo.recipes import find_recipe
from invariants import FIXTURES
from invariants.contracts.processes import processes

TINY = LanguageRecipe("tiny", (1, 2), 24, 1, 16, 2, 1e-2, 0.01, 1.0, 2, 6, 4, 2, 5)
PATIENCE = 90.0  # seconds; whoever waits longer gives up, so that nothing hangs


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two models have the same weights, bit by bit."""
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.fixture(scope="module")
def trained() -> Iterator[TrainedLanguageModel]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train_language_model(TINY, 0)
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path, trained: TrainedLanguageModel) -> Path:
    store_language_model(tmp_path / "model", trained)
    return tmp_path / "model"


# --- the same weights -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_training_that_stopped_and_went_on_gives_the_same_weights(
    tmp_path: Path, trained: TrainedLanguageModel, stop: int
) -> None:
    record = tmp_path / "partial.json"
    first = LanguageTrainer(TINY, 0)
    for _ in range(stop):
        first.advance()
    first.save(record)
    found = train_language_model(TINY, 0, partial=record)
    assert found.provenance["resumed_from_step"] == stop
    assert same(found.model, trained.model)
    losses = [[entry["train_loss"] for entry in model.provenance["curve"]] for model in (found, trained)]
    assert losses[0] == losses[1]


def test_saving_at_every_step_changes_nothing(
    tmp_path: Path, trained: TrainedLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "PARTIAL_SECONDS", 0.0)
    found = train_language_model(TINY, 0, partial=tmp_path / "partial.json")
    assert (tmp_path / "partial.json").exists()
    assert same(found.model, trained.model)


def test_a_model_does_not_depend_on_its_neighbours(trained: TrainedLanguageModel) -> None:
    alone = replace(TINY, models=1)
    assert alone.digest != TINY.digest
    assert same(train_language_model(alone, 0).model, trained.model)


def test_a_model_does_not_depend_on_what_was_drawn_before(trained: TrainedLanguageModel) -> None:
    torch.manual_seed(123)
    torch.rand(7)
    state = torch.random.get_rng_state()
    assert same(train_language_model(TINY, 0).model, trained.model)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_models_and_seeds_differ(trained: TrainedLanguageModel) -> None:
    assert not same(untrained_model(TINY, 0), untrained_model(TINY, 1))
    assert not same(untrained_model(TINY, 0), untrained_model(replace(TINY, seed=6), 0))
    assert not same(untrained_model(TINY, 0), trained.model)
    first, second = (Corpus(TINY, seed).batch(0, 2) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(Corpus(TINY, 0).batch(3, 2), Corpus(TINY, 0).batch(3, 2))


def test_training_lowers_the_loss_on_text_that_no_step_trains_on(trained: TrainedLanguageModel) -> None:
    untrained = LanguageTrainer(TINY, 0).test_loss()
    assert trained.provenance["test_loss"] < untrained
    assert not trained.model.training


@pytest.mark.parametrize("damage", ["truncated", "other recipe", "other model", "no step", "step too large", "tensors"])
def test_a_partial_that_cannot_go_on_is_started_anew(
    tmp_path: Path, trained: TrainedLanguageModel, damage: str
) -> None:
    record = tmp_path / "partial.json"
    recipe = replace(TINY, learning_rate=2e-2) if damage == "other recipe" else TINY
    partial = LanguageTrainer(recipe, 1 if damage == "other model" else 0)
    partial.advance()
    partial.save(record)
    document = json.loads(record.read_text())
    if damage == "truncated":
        weights = record.parent / document["weights"]["file"]
        weights.write_bytes(weights.read_bytes()[:-9])
    if damage == "no step":
        del document["step"]
    if damage == "step too large":
        document["step"] = TINY.steps + 1
    if damage == "tensors":
        document["step"] = 0
    record.write_text(json.dumps(document))
    with pytest.raises(ArtifactError):
        LanguageTrainer(TINY, 0).restore(record)
    found = train_language_model(TINY, 0, partial=record)
    assert found.provenance["resumed_from_step"] == 0
    assert same(found.model, trained.model)


# --- folders ----------------------------------------------------------------------------------------------------------
def test_a_stored_model_is_loaded_as_it_was(
    folder: Path, trained: TrainedLanguageModel, capfd: pytest.CaptureFixture[str]
) -> None:
    found = load_language_folder(folder, TINY, 0)
    assert same(found.model, trained.model)
    assert not found.model.training
    kept = json.loads(json.dumps(trained.provenance))  # JSON has lists where a recipe has pairs
    assert {name: found.provenance[name] for name in kept} == kept
    assert found.tokenizer.get_vocab() == trained.tokenizer.get_vocab()
    assert capfd.readouterr() == ("", "")


def test_a_stored_folder_is_an_ordinary_hugging_face_folder(folder: Path, trained: TrainedLanguageModel) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text = "the key near the cabinets is old."
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, trained.model(ids).logits)
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == text
    assert tokenizer.model_max_length == TINY.positions
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}  # no pickle


def test_storing_again_replaces_and_leaves_nothing_beside(folder: Path) -> None:
    store_language_model(folder, train_language_model(TINY, 1))
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    load_language_folder(folder, TINY, 1)


def test_storing_that_fails_leaves_the_old_one(
    folder: Path, trained: TrainedLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(trained.tokenizer, "save_pretrained", full)
    with pytest.raises(OSError, match="no space left"):
        store_language_model(folder, trained)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    load_language_folder(folder, TINY, 0)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", PROVENANCE])
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_damaged_folder_is_refused_by_the_name_of_the_file(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-20] if damage == "truncated" else content[:-20] + b"\xff" + content[-19:])
    with pytest.raises(ArtifactError, match=name):
        load_language_folder(folder, TINY, 0)


def test_a_foreign_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected index 1, got 0"):
        load_language_folder(folder, TINY, 1)
    with pytest.raises(ArtifactError, match="expected recipe"):
        load_language_folder(folder, replace(TINY, steps=7), 0)
    with pytest.raises(ArtifactError, match=PROVENANCE):
        load_language_folder(tmp_path, TINY, 0)
    path = folder / PROVENANCE
    stored = json.loads(path.read_text())
    for change, words in (
        ({"schema": 2}, "expected a document of schema 1, got schema 2"),
        ({"files": {}}, "expected an entry `files` with digests"),
        ({"files": "all"}, "expected an entry `files` with digests"),
        ({"files": {"model.safetensors": 3}}, "expected an entry `files` with digests"),
    ):
        path.write_text(json.dumps(stored | change))
        with pytest.raises(ArtifactError, match=words):
            load_language_folder(folder, TINY, 0)


# --- the zoo ----------------------------------------------------------------------------------------------------------
# Imports little: every training is a process that imports this again.
CHILD = """
import sys
from pathlib import Path

if __name__ == "__main__":
    from ace.training.language.recipe import LanguageRecipe
    from ace.zoo.obtain import Store

    cache, steps = Path(sys.argv[1]), int(sys.argv[2])
    recipe = LanguageRecipe("tiny", (1, 2), 24, 1, 16, 2, 1e-2, 0.01, 1.0, 2, steps, 4, 1, 5)
    Store(cache / "no fixtures", cache, progress=False).language_models(recipe)
"""
ALONE = replace(TINY, models=1)


def quiet(cache: Path, folder: Path = FIXTURES, **options: Any) -> Store:
    return Store(folder, cache, progress=False, **options)


@contextmanager
def children(folder: Path, count: int = 1, steps: int = TINY.steps) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that do the same; killed at the end whatever happens."""
    script = folder / "child.py"
    script.write_text(CHILD)
    with processes((str(script), str(folder / "cache"), str(steps)), count, PATIENCE) as running:
        yield running


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.mark.slow
def test_of_two_processes_that_ask_at_once_both_get_the_same_models(
    tmp_path: Path, trained: TrainedLanguageModel
) -> None:
    with children(tmp_path, 2) as running:
        for process in running:
            output, _ = process.communicate(timeout=PATIENCE)
            assert (process.returncode, output) == (0, "")
    folder = tmp_path / "cache" / ALONE.address
    (found,) = quiet(tmp_path / "cache").language_models(ALONE)
    assert same(found.model, trained.model)
    assert sorted(path.name for path in folder.iterdir()) == ["0"]  # no partial, nothing half written
    assert [path.suffix for path in folder.parent.iterdir() if path.is_file()] == [".lock"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the trainings of a process under /proc")
def test_trainings_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    with children(tmp_path, steps=1_000_000) as (process,):
        listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(lambda: len(listing.read_text().split()) >= 2)  # a training, and what tracks its resources
        started = [int(found) for found in listing.read_text().split()]
        time.sleep(15.0)  # until it is well within its training
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    wait_for(lambda: not any(_runs(found) for found in started))


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("outlived", [True, False])
def test_what_killed_processes_left_of_models_that_are_there_is_removed_but_no_training_that_may_go_on(
    tmp_path: Path, trained: TrainedLanguageModel, outlived: bool
) -> None:
    store, models = quiet(tmp_path), tmp_path / ALONE.address
    store_language_model(models / "0", trained)
    record = models / "0" / PROVENANCE
    record.write_text(json.dumps({**json.loads(record.read_text()), "recipe": ALONE.digest}))
    for name in (".0.abcdefgh.tmp", ".0.stuvwxyz.tmp"):  # cut off before it took the model's name, and after
        (models / name / "old").mkdir(parents=True)
    partial = tmp_path / f"{ALONE.address}-0-partial.json"
    LanguageTrainer(ALONE, 0).save(partial)
    stored = record.stat().st_mtime_ns
    os.utime(partial, ns=(stored, stored - 1 if outlived else stored + 1))
    (found,) = store.language_models(ALONE)
    assert same(found.model, trained.model)
    assert [path.name for path in models.iterdir()] == ["0"]
    left = sorted(path.suffix for path in tmp_path.iterdir() if path.is_file())
    assert left == ([".lock"] if outlived else [".json", ".lock", ".safetensors"])


@pytest.fixture
def obtained(tmp_path: Path, trained: TrainedLanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices trained; trainings take place here and not in processes of their own."""
    found: list[int] = []

    def here(recipe: LanguageRecipe, folder: Path, indices: list[int], partials: Path, *, progress: bool) -> None:
        for index in indices:
            found.append(index)
            ready = trained if (recipe, index) == (TINY, 0) else train_language_model(recipe, index)
            store_language_model(folder / str(index), ready)

    monkeypatch.setattr(obtain, "train_side_by_side", here)
    return found


def test_what_was_trained_once_is_loaded_from_then_on(tmp_path: Path, obtained: list[int]) -> None:
    cache = tmp_path / "a" / "b"
    for _ in range(2):
        assert len(quiet(cache).language_models(TINY)) == TINY.models
    assert obtained == [0, 1]
    shutil.rmtree(cache / TINY.address / "1")  # only what is missing is trained
    quiet(cache).language_models(TINY)
    assert obtained == [0, 1, 1]


def test_a_corrupt_cached_model_is_reported_and_only_retraining_replaces_it(
    tmp_path: Path, obtained: list[int]
) -> None:
    quiet(tmp_path).language_models(TINY)
    weights = tmp_path / TINY.address / "0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match=r"model\.safetensors: missing, corrupt or truncated"):
        quiet(tmp_path).language_models(TINY)
    assert obtained == [0, 1]
    quiet(tmp_path, retrain=True).language_models(TINY)
    assert obtained == [0, 1, 0, 1]


def test_under_retraining_only_models_of_this_run_are_used(tmp_path: Path, obtained: list[int]) -> None:
    quiet(tmp_path).language_models(TINY)
    record = tmp_path / TINY.address / "1" / PROVENANCE
    document = json.loads(record.read_text())
    since = datetime.now(UTC) - timedelta(hours=1)
    for date in ((since - timedelta(hours=1)).isoformat(timespec="seconds"), "2999-01-01T00:00:00", None):
        record.write_text(json.dumps(document | {"date": date}))
        obtained.clear()
        for _ in range(2):
            quiet(tmp_path, retrain=True, since=since).language_models(TINY)
        assert obtained == [1]
    quiet(tmp_path, retrain=True, since=datetime.now(UTC) + timedelta(hours=1)).language_models(TINY)
    assert obtained == [1, 0, 1]


def test_a_base_seed_replaces_the_recipes_own_under_retraining_alone(tmp_path: Path, obtained: list[int]) -> None:
    (plain,) = quiet(tmp_path, seed=7).language_models(ALONE)
    assert plain.provenance["recipe"] == ALONE.digest
    (seeded,) = quiet(tmp_path, retrain=True, seed=7).language_models(ALONE)
    assert seeded.provenance["recipe"] == replace(ALONE, seed=7).digest
    assert not same(seeded.model, plain.model)
    assert obtained == [0, 0]


def test_models_of_the_fixtures_come_first_and_corrupt_ones_are_reported(tmp_path: Path, obtained: list[int]) -> None:
    folder, cache = tmp_path / "fixtures", tmp_path / "cache"
    assert quiet(cache, folder).keep(TINY) == folder / "weights" / TINY.address
    assert quiet(cache, folder).is_stored(TINY)
    obtained.clear()
    assert len(quiet(tmp_path / "other", folder).language_models(TINY)) == TINY.models
    assert not (tmp_path / "other").exists()
    weights = folder / "weights" / TINY.address / "0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    for ask in (quiet(cache, folder).language_models, quiet(cache, folder).keep):
        with pytest.raises(ArtifactError, match=r"model\.safetensors: missing, corrupt or truncated"):
            ask(TINY)
    assert obtained == []


def test_keeping_replaces_what_the_name_had_before_and_nothing_else(tmp_path: Path, obtained: list[int]) -> None:
    store = quiet(tmp_path / "cache", tmp_path)
    other = tmp_path / "weights" / f"tiny-other-{TINY.digest[:12]}"
    old = tmp_path / "weights" / f"tiny-{'0' * 12}"
    for folder in (other, old):
        shutil.copytree(FIXTURES / "recipes", folder / "0")
    store.keep(TINY)
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {other.name, TINY.address}
    shutil.rmtree(tmp_path / "weights" / TINY.address / "1")
    store.keep(TINY)  # only what is missing is trained
    assert obtained == [0, 1, 1]


# --- recipes ----------------------------------------------------------------------------------------------------------
COUNTS = ("blocks", "width", "heads", "warmup", "steps", "batch", "models")


def toml(**changes: object) -> str:
    entries = {
        "sentences": [1, 2], "positions": 24, "blocks": 1, "width": 16, "heads": 2, "learning_rate": 1e-2,
        "weight_decay": 0.01, "clip": 1.0, "warmup": 2, "steps": 6, "batch": 4, "models": 2, "seed": 5,
    } | changes  # fmt: skip
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in entries.items() if value is not None)


def test_a_recipe_file_gives_the_recipe_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(toml())
    assert read_language_recipe(path) == TINY
    path.write_text(toml(seed=None))
    assert read_language_recipe(path) == replace(TINY, seed=0)
    assert replace(TINY, name="other").digest == TINY.digest
    assert TINY.address == f"tiny-{TINY.digest[:12]}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *(({key: 0}, f"tiny.{key} | got 0") for key in COUNTS),
        ({"positions": 1}, "tiny.positions | at least 2 | 1"),
        ({"blocks": 1.5}, "tiny.blocks | integer | 1.5"),
        ({"batch": True}, "tiny.batch | integer | True"),
        ({"batch": None}, "tiny | missing key(s) ['batch']"),
        ({"depth": 3}, "tiny | unknown key(s) ['depth']"),
        ({"sentences": [3, 2]}, "tiny.sentences | [3, 2]"),
        ({"sentences": [1, 2, 3]}, "tiny.sentences | [1, 2, 3]"),
        ({"sentences": [0, 2]}, "tiny.sentences | at least 1 | 0"),
        ({"sentences": 2}, "tiny.sentences | 2"),
        ({"sentences": ["a", 2]}, "tiny.sentences | 'a'"),
        ({"heads": 3}, "tiny.heads | divisor of width 16 | 3"),
        ({"warmup": 6}, "tiny.warmup | fewer than 6 | 6"),
        ({"learning_rate": 0}, "tiny.learning_rate | above 0 | 0"),
        ({"learning_rate": "fast"}, "tiny.learning_rate | 'fast'"),
        ({"clip": True}, "tiny.clip | True"),
        ({"weight_decay": -0.1}, "tiny.weight_decay | -0.1"),
        ({"seed": -1}, "tiny.seed | at least 0 | -1"),
    ],
)  # fmt: skip
def test_a_bad_recipe_is_refused_by_the_name_of_the_key(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(toml(**changes))
    with pytest.raises(RecipeError) as raised:
        read_language_recipe(path)
    for word in words.split(" | "):
        assert word in str(raised.value)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_rate_has_to_be_finite(tmp_path: Path, value: str) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(toml(learning_rate=None) + f"learning_rate = {value}\n")
    with pytest.raises(RecipeError, match=r"tiny\.learning_rate"):
        read_language_recipe(path)


def test_unreadable_recipes_and_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere\.toml"):
        read_language_recipe(tmp_path / "nowhere.toml")
    (tmp_path / "broken.toml").write_text("= 3")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        read_language_recipe(tmp_path / "broken.toml")
    with pytest.raises(RecipeError, match=r"expected one of .*agreement-small.*, got 'agreement-none'"):
        find_recipe(FIXTURES, "agreement-none")
    with pytest.raises(InputError, match=r"index: expected 0\.\.1, got 2"):
        train_language_model(TINY, 2)
