"""Files of weights: exact, verified when read, whole or absent when written, and of today's recipes where stored."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ace import files
from ace.errors import ArtifactError
from ace.files import load_artifact, read_json, remove_artifact, save_artifact, sha256_of, write_atomic, write_json
from ace.training.course import Course
from ace.training.ensemble import initial_weights
from ace.training.language.recipe import LanguageRecipe
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, load_ensemble, save_ensemble
from ace.zoo.recipes import language_recipes, recipes
from invariants import FIXTURES
from invariants.contracts import builders
from invariants.contracts.dying import Crash, Dying, every_crash_point

OLD = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}
NEW = {"a": torch.arange(6.0).view(2, 3) + 1, "b": torch.tensor([3, 4])}


def ensemble(recipe: Recipe | None = None, seed: int = 0) -> TrainedEnsemble:
    """An ensemble that was never trained: two checkpoints of random weights, under the recipe's digest."""
    recipe = recipe or builders.recipe()
    generators = [torch.Generator().manual_seed(seed + k) for k in range(recipe.models)]
    weights = initial_weights(recipe.model, generators, getattr(torch, recipe.dtype))
    later = {name: value + 1 for name, value in weights.items()}
    return TrainedEnsemble(recipe, {0: weights, recipe.schedule.epochs: later}, {"recipe": recipe.digest})


def stored(folder: Path, made: TrainedEnsemble | None = None) -> Path:
    record = folder / "tiny.json"
    save_ensemble(record, made or ensemble())
    return record


def weights_of(record: Path) -> Path:
    (weights,) = record.parent.glob(f"{record.stem}.*.safetensors")
    return weights


def rewrite(record: Path, **entries: Any) -> None:
    document = json.loads(record.read_text())
    record.write_text(json.dumps({**document, **entries}))


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


# --- exact ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_ensemble_comes_back_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    made = ensemble(builders.recipe(ensemble={"dtype": dtype}))
    for weights in made.checkpoints.values():  # the values that decimal notation or a cast would lose
        weights["head.bias"][0, :3] = torch.tensor([-0.0, 1e-40, 1 / 3])
    loaded = load_ensemble(stored(tmp_path, made), made.recipe)
    assert builders.same_weights(loaded.checkpoints, made.checkpoints)
    signs = [torch.signbit(loaded.checkpoints[epoch]["head.bias"][0, 0]) for epoch in loaded.checkpoints]
    assert all(signs)


def test_tensors_of_any_layout_come_back_equal(tmp_path: Path) -> None:
    square = torch.arange(9.0).view(3, 3)
    odd = {"turned": square.T, "part": square[:, 1], "number": torch.tensor(2.5), "bytes": torch.arange(3).byte()}
    save_artifact(tmp_path / "odd.json", odd, {})
    assert equal(load_artifact(tmp_path / "odd.json")[0], odd)


def test_provenance_comes_back_equal(tmp_path: Path) -> None:
    provenance = {"curve": [{"epoch": 1, "loss": [0.1, 1 / 3]}], "date": "2026-01-01T00:00:00+00:00", "name": "tiny"}
    save_artifact(tmp_path / "a.json", OLD, provenance)
    document = load_artifact(tmp_path / "a.json")[1]
    assert {key: document[key] for key in provenance} == provenance


def test_the_same_ensemble_makes_the_same_files(tmp_path: Path) -> None:
    first, second = (stored(tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert weights_of(first).read_bytes() == weights_of(second).read_bytes()


def test_nothing_but_the_record_and_its_weights_is_left_in_the_folder(tmp_path: Path) -> None:
    record = stored(tmp_path)
    save_ensemble(record, ensemble(seed=9))
    assert sorted(tmp_path.iterdir()) == sorted([record, weights_of(record)])


# --- verified when read -----------------------------------------------------------------------------------------------
def flip_bit(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def name_foreign_weights(record: Path, content: bytes) -> None:
    """A record that names, with their right digest, weights that are not an ensemble's."""
    save_artifact(record, OLD, {})
    digest = hashlib.sha256(content).hexdigest()
    weights_of(record).write_bytes(content)
    rewrite(record, recipe=builders.recipe().digest, weights={"file": weights_of(record).name, "sha256": digest})


WEIGHTS_FAULTS: dict[str, Callable[[Path], object]] = {
    "truncated to half": lambda r: os.truncate(weights_of(r), weights_of(r).stat().st_size // 2),
    "truncated by one byte": lambda r: os.truncate(weights_of(r), weights_of(r).stat().st_size - 1),
    "empty": lambda r: os.truncate(weights_of(r), 0),
    "one bit flipped in the header": lambda r: flip_bit(weights_of(r), 0.0),
    "one bit flipped in the middle": lambda r: flip_bit(weights_of(r), 0.5),
    "one bit flipped at the end": lambda r: flip_bit(weights_of(r), 1.0),
    "one byte too long": lambda r: weights_of(r).write_bytes(weights_of(r).read_bytes() + b"\0"),
    "missing": lambda r: weights_of(r).unlink(),
    "text": lambda r: name_foreign_weights(r, b"no weights at all"),
}
RECORD_FAULTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda r: r.unlink(),
    "empty": lambda r: os.truncate(r, 0),
    "truncated": lambda r: os.truncate(r, r.stat().st_size // 2),
    "garbage": lambda r: r.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda r: r.write_text("[]"),
    "another schema": lambda r: rewrite(r, schema=files.SCHEMA + 1),
    "no schema": lambda r: rewrite(r, schema=None),
    "no weights": lambda r: rewrite(r, weights=None),
    "weights without digest": lambda r: rewrite(r, weights={"file": "a.safetensors"}),
    "numbers for names": lambda r: rewrite(r, weights={"file": 3, "sha256": 4}),
    "an empty file name": lambda r: rewrite(r, weights={"file": "", "sha256": "0"}),
    "another recipe": lambda r: rewrite(r, recipe="0" * 64),
    "no recipe": lambda r: rewrite(r, recipe=None),
    "weights under other names": lambda r: name_foreign_weights(r, save_safetensors(OLD)),
    "weights of no epoch": lambda r: name_foreign_weights(r, save_safetensors({"weights/a": torch.ones(1)})),
    "one checkpoint only": lambda r: stored(r.parent, TrainedEnsemble(*only_start(ensemble()))),
    "no checkpoint": lambda r: name_foreign_weights(r, save_safetensors({})),
    "another dtype": lambda r: name_foreign_weights(r, save_safetensors(flat(ensemble(), torch.float64))),
    "one model too many": lambda r: name_foreign_weights(r, save_safetensors(flat(ensemble(three())))),
}


def only_start(made: TrainedEnsemble) -> tuple[Recipe, dict[int, dict[str, Tensor]], dict[str, Any]]:
    return made.recipe, {0: made.checkpoints[0]}, made.provenance


def three() -> Recipe:
    return builders.recipe(ensemble={"models": 3})


def flat(made: TrainedEnsemble, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {f"{epoch}/{n}": value.to(dtype) for epoch, found in made.checkpoints.items() for n, value in found.items()}


@pytest.mark.parametrize("fault", WEIGHTS_FAULTS)
def test_damaged_weights_are_an_error_that_names_their_file(tmp_path: Path, fault: str) -> None:
    record = stored(tmp_path)
    WEIGHTS_FAULTS[fault](record)
    with pytest.raises(ArtifactError) as caught:
        load_ensemble(record, builders.recipe())
    assert ".safetensors" in str(caught.value)
    assert str(record.with_suffix("")) in str(caught.value)


@pytest.mark.parametrize("fault", RECORD_FAULTS)
def test_a_damaged_or_foreign_record_is_an_error_that_names_it(tmp_path: Path, fault: str) -> None:
    record = stored(tmp_path)
    RECORD_FAULTS[fault](record)
    with pytest.raises(ArtifactError) as caught:
        load_ensemble(record, builders.recipe())
    assert str(record) in str(caught.value)


def test_every_single_byte_of_the_weights_is_under_the_digest(tmp_path: Path) -> None:
    record = tmp_path / "a.json"
    save_artifact(record, OLD, {})
    weights = weights_of(record)
    content = weights.read_bytes()
    for place in range(len(content)):
        weights.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ArtifactError, match=r"a\.\w{8}\.safetensors: corrupt or truncated"):
            load_artifact(record)
    weights.write_bytes(content)
    assert equal(load_artifact(record)[0], OLD)


def test_weights_are_read_beside_their_record_whatever_path_it_names(tmp_path: Path) -> None:
    record = stored(tmp_path / "inner")
    elsewhere = weights_of(record).rename(tmp_path / weights_of(record).name)
    rewrite(record, weights={**json.loads(record.read_text())["weights"], "file": f"../{elsewhere.name}"})
    with pytest.raises(ArtifactError, match="expected the weights"):
        load_ensemble(record, builders.recipe())


# --- whole or absent when written -------------------------------------------------------------------------------------
def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("broken", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), Crash()])
def test_a_write_that_fails_leaves_the_old_file_whole_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, broken, failing(error))
        with pytest.raises(type(error)):
            write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"


def test_a_first_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", failing(OSError()))
    with pytest.raises(OSError):  # noqa: PT011 the error of the file system itself, whatever it says
        write_atomic(tmp_path / "a.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_content_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            done.append(name)
            return real(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    write_atomic(tmp_path / "a.json", b"new")
    assert done == ["fsync", "replace", "fsync"]  # the file, its name, then the folder that holds the name


def test_a_document_comes_back_equal_and_carries_its_schema(tmp_path: Path) -> None:
    document = {"schema": 3, "values": [0.1, 1 / 3, None], "name": "é"}
    write_json(tmp_path / "a.json", document)
    assert read_json(tmp_path / "a.json", 3) == document
    with pytest.raises(ArtifactError, match=r"a\.json: expected a document of schema 4, got schema 3"):
        read_json(tmp_path / "a.json", 4)


def test_a_document_that_strict_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"schema": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"schema": 1, "value": float("nan")}, allow_nan=False)
    assert read_json(tmp_path / "a.json", 1) == {"schema": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"schema": ' + "1" * 5_000 + "}", '{"schema": true}', '{"schema": 1.0}', "null", '"schema"'],
    ids=["nested without end", "a number without end", "true", "a fraction", "null", "text"],
)
def test_text_that_is_no_document_is_an_artifact_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"a\.json: expected a"):
        read_json(tmp_path / "a.json", 1)


def test_removing_an_artifact_leaves_its_neighbours(tmp_path: Path) -> None:
    for name in ("a", "a-partial", "[a]"):
        save_artifact(tmp_path / f"{name}.json", OLD, {})
    kept = sorted(path for path in tmp_path.iterdir() if not path.name.startswith("[a]"))
    for _ in range(2):
        remove_artifact(tmp_path / "[a].json")
        assert sorted(tmp_path.iterdir()) == kept
    remove_artifact(tmp_path / "a.json")
    assert equal(load_artifact(tmp_path / "a-partial.json")[0], OLD)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_replacing_an_artifact_is_safe_at_every_crash_point(tmp_path: Path) -> None:
    outcomes = []
    for alive in range(100):
        record = tmp_path / str(alive) / "a.json"
        save_artifact(record, OLD, {"name": "old"})
        with pytest.MonkeyPatch.context() as patch:
            dying = Dying(patch, alive)
            try:
                save_artifact(record, NEW, {"name": "new"})
            except Crash:
                assert dying.died
        tensors, document = load_artifact(record)
        assert equal(tensors, OLD if document["name"] == "old" else NEW)  # never one's record with the other's weights
        outcomes.append(document["name"])
        save_artifact(record, NEW, {"name": "new"})  # and what a crash left behind is in nobody's way
        assert equal(load_artifact(record)[0], NEW)
        assert len(list(record.parent.iterdir())) == 2
        if not dying.died:
            break
    assert "".join(name[0] for name in outcomes).strip("o").strip("n") == ""  # old up to a point, new from there on
    assert outcomes[0] == "old"
    assert outcomes[-1] == "new"
    assert outcomes.count("old") >= 4  # weights: fsync, chmod, replace; then the record's


def test_removing_an_artifact_takes_what_a_crash_left_of_it_and_nothing_else(tmp_path: Path) -> None:
    for left in every_crash_point(lambda place: save_artifact(place / "[a].json", OLD, {}), tmp_path):
        other = left / ".[a]-other.json.abcdefgh.tmp"
        other.touch()
        remove_artifact(left / "[a].json")
        assert list(left.iterdir()) == [other]


def test_a_crash_between_weights_and_record_keeps_the_old_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = stored(tmp_path, old := ensemble())
    real = files.write_atomic

    def stop_at_the_record(path: Path, content: bytes) -> None:
        if path == record:
            raise Crash
        real(path, content)

    monkeypatch.setattr(files, "write_atomic", stop_at_the_record)
    with pytest.raises(Crash):
        save_ensemble(record, ensemble(seed=9))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2  # the new weights are there, but nothing names them
    assert builders.same_weights(load_ensemble(record, old.recipe).checkpoints, old.checkpoints)


# --- stored with the repository ---------------------------------------------------------------------------------------
RECIPES, STORED = recipes(FIXTURES), FIXTURES / "weights"
PROVENANCE = {"name", "recipe", "entries", "versions", "device", "threads", "seconds", "date", "curve"}


def repository_record(name: str) -> Path:
    record = STORED / f"{RECIPES[name].address}.json"
    if not any(STORED.glob("*.safetensors")):
        pytest.skip("no weights are stored with the repository yet")
    return record


@pytest.mark.parametrize("name", RECIPES)
def test_stored_weights_verify_and_belong_to_the_recipe_of_today(name: str) -> None:
    record = repository_record(name)
    assert record.exists(), f"no weights for {RECIPES[name].address}; ace zoo store {name}"
    loaded = load_ensemble(record, RECIPES[name])
    assert loaded.provenance["entries"] == RECIPES[name].entries()
    assert all(torch.isfinite(value).all() for found in loaded.checkpoints.values() for value in found.values())


@pytest.mark.parametrize("name", RECIPES)
def test_stored_weights_say_how_they_came_to_be(name: str) -> None:
    recipe = RECIPES[name]
    provenance = load_ensemble(repository_record(name), recipe).provenance
    assert set(provenance) >= PROVENANCE
    assert set(provenance["versions"]) >= {"torch", "numpy", "ace-invariants"}
    assert provenance["seconds"] > 0
    assert datetime.fromisoformat(provenance["date"]).tzinfo is not None
    course, last = recipe.course or Course(), provenance.get("epochs", recipe.schedule.epochs)
    due = [epoch for epoch in range(1, last + 1) if course.has_point(epoch, recipe.schedule.epochs)]
    assert [point["epoch"] for point in provenance["curve"]] == due
    for point in provenance["curve"]:
        assert len(point["test_accuracy"]) == recipe.models * len(course.arms_at(point["epoch"]))


def test_no_weights_are_stored_that_no_recipe_of_today_asks_for() -> None:
    asked: list[Recipe | LanguageRecipe] = [*RECIPES.values(), *language_recipes(FIXTURES).values()]
    known = {recipe.address for recipe in asked}
    strangers = [p.name for p in STORED.iterdir() if p.name.partition(".")[0] not in known | {"", "README"}]
    assert strangers == []
