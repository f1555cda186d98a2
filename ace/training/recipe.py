"""A recipe: everything that determines an ensemble's weights, in one small declarative record with an address."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ace.check import check_count
from ace.errors import InputError, RecipeError
from ace.tasks import Split, Task, build_task
from ace.training.course import Course, parse_course
from ace.training.transformer import Architecture

SCALES = ("compact", "paper")
Range = tuple[Callable[[float], bool], str]  # whether a number fits, and what is expected in words
POSITIVE: Range = (lambda value: 0 < value < math.inf, "a number above 0")
NOT_NEGATIVE: Range = (lambda value: 0 <= value < math.inf, "a number of at least 0")
BETA: Range = (lambda value: 0 <= value < 1, "a number in 0 <= beta < 1")
RANGES: Mapping[str, Range] = {
    "learning_rate": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "beta1": BETA,
    "beta2": BETA,
    "epsilon": POSITIVE,
}


@dataclass(frozen=True)
class Optimiser:
    """AdamW; weight decay is decoupled and applies to every parameter.

    `decay` of the learning rate: "constant", or "linear", from `learning_rate` at the first step to 0 after the last.
    """

    learning_rate: float
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay: str = "constant"


@dataclass(frozen=True)
class Schedule:
    """How long and on what.

    Attributes:
        sequences: training sequences, drawn once from the task's training split with `data_seed`.
        batch: sequences a step; the last batch of an epoch is smaller where they do not divide.
        epochs: passes over the training sequences, each in a new order.
        test_sequences: sequences of the selection split behind the test curve.
    """

    sequences: int
    batch: int
    epochs: int
    data_seed: int = 0
    test_sequences: int = 500


@dataclass(frozen=True)
class Recipe:
    """One ensemble of models that differ only in their seed.

    Attributes:
        name: stem of the recipe file.
        scales: which of "compact" and "paper" the recipe serves; does not enter the address.
        task: kind and arguments of the task.
        model, optimiser, schedule: see their records.
        models: how many models train together.
        seed: base seed; model k draws everything from its own stream (seed, k), whatever its neighbours.
        dtype: of weights and arithmetic in training.
        course: what is kept along the way and where arms branch off; None keeps the start and the end.
        quick: trains in minutes on a CPU; others are trained only when that is asked for. Does not enter the address.
    """

    name: str
    scales: tuple[str, ...]
    task: Mapping[str, Any]
    model: Architecture
    optimiser: Optimiser
    schedule: Schedule
    models: int
    seed: int = 0
    dtype: str = "float32"
    course: Course | None = None
    quick: bool = True

    @property
    def address(self) -> str:
        """`name-` and 12 hexadecimal digits of a hash over all that determines the weights."""
        return f"{self.name}-{self.digest[:12]}"

    @property
    def digest(self) -> str:
        """SHA-256 of all that determines the weights, 64 hexadecimal digits."""
        return digest_of(self.entries())

    def entries(self) -> dict[str, Any]:
        """All that determines the weights, as plain values; not `name`, `scales`, `quick`, nor what a course keeps."""
        entries = asdict(self)
        entries["task"] = dict(self.task)
        del entries["name"], entries["scales"], entries["quick"]
        course = entries.pop("course")
        if course is not None and course["branch"] is not None:
            arms = {name: {k: v for k, v in arm.items() if k != "until"} for name, arm in course["arms"].items()}
            entries["branch"] = {"epoch": course["branch"], "arms": arms}
        return entries

    def build_task(self) -> Task:
        """The task the models train on."""
        return build_task(self.task)


def digest_of(entries: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of plain values: sorted keys, no spaces."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_in_range(name: str, value: object, allowed: Range) -> None:
    """Refuse a setting that is no number or outside its range.

    Raises:
        RecipeError: naming the setting.
    """
    fits, expected = allowed
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise RecipeError(f"{name}: expected {expected}, got {value!r}")


def check_scales(name: str, scales: object) -> tuple[str, ...]:
    """The scales that a recipe serves.

    Raises:
        RecipeError: none, or others than there are.
    """
    if not isinstance(scales, list | tuple) or not scales or any(scale not in SCALES for scale in scales):
        raise RecipeError(f"{name}.scales: expected some of {', '.join(SCALES)}, got {scales!r}")
    return tuple(scales)


def read_entries(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        RecipeError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: expected a readable TOML file: {error}") from error


def read_recipe(path: Path) -> Recipe:
    """Recipe from a TOML file; its name is the file's stem.

    Raises:
        RecipeError: unreadable, missing or unknown keys, values out of range.
    """
    return parse_recipe(path.stem, read_entries(path))


def parse_recipe(name: str, entries: Mapping[str, Any]) -> Recipe:
    """Recipe from parsed entries; unknown keys are errors, so that a misspelt setting cannot be ignored.

    Raises:
        RecipeError: naming the key.
    """
    tables = {"task", "model", "optimiser", "schedule", "ensemble", "scales"}
    check_keys(name, entries, tables | {"course", "quick"}, required=tables)
    ensemble = entries["ensemble"]
    check_keys(f"{name}.ensemble", ensemble, {"models", "seed", "dtype"}, required={"models"})
    scales = check_scales(name, entries["scales"])
    quick = entries.get("quick", True)
    if not isinstance(quick, bool):
        raise RecipeError(f"{name}.quick: expected true or false, got {quick!r}")
    try:
        task = build_task(entries["task"])
    except RecipeError as error:
        raise RecipeError(f"{name}.{error}") from error
    check_keys(f"{name}.model", entries["model"], {field.name for field in fields(Architecture)}, required=set())
    model = {"vocabulary": task.vocabulary, **entries["model"]}
    recipe = Recipe(
        name=name,
        scales=scales,
        task=dict(entries["task"]),
        model=_record(f"{name}.model", Architecture, model),
        optimiser=_record(f"{name}.optimiser", Optimiser, entries["optimiser"]),
        schedule=_record(f"{name}.schedule", Schedule, entries["schedule"]),
        models=ensemble["models"],
        seed=ensemble.get("seed", 0),
        dtype=ensemble.get("dtype", "float32"),
        course=parse_course(f"{name}.course", entries["course"]) if "course" in entries else None,
        quick=quick,
    )
    _validate(recipe, task)
    return recipe


def _validate(recipe: Recipe, task: Task) -> None:
    try:
        check_count("ensemble.models", recipe.models)
        check_count("ensemble.seed", recipe.seed, smallest=0)
        check_count("schedule.data_seed", recipe.schedule.data_seed, smallest=0)
        for key in ("sequences", "batch", "epochs", "test_sequences"):
            check_count(f"schedule.{key}", getattr(recipe.schedule, key))
    except InputError as error:
        raise RecipeError(f"{recipe.name}.{error}") from error
    for split, count in (
        (Split.TRAINING, recipe.schedule.sequences),
        (Split.SELECTION, recipe.schedule.test_sequences),
    ):
        size = task.size(split)
        if size is not None and count > size:
            raise RecipeError(f"{recipe.name}.schedule: expected at most the {size} sequences of {split}, got {count}")
    if recipe.dtype not in ("float32", "float64"):
        raise RecipeError(f"{recipe.name}.ensemble.dtype: expected float32 or float64, got {recipe.dtype!r}")
    if recipe.model.vocabulary != task.vocabulary:
        raise RecipeError(f"{recipe.name}.model.vocabulary: expected {task.vocabulary}, got {recipe.model.vocabulary}")
    for key, allowed in RANGES.items():
        check_in_range(f"{recipe.name}.optimiser.{key}", getattr(recipe.optimiser, key), allowed)
    if recipe.optimiser.decay not in ("constant", "linear"):
        raise RecipeError(f"{recipe.name}.optimiser.decay: expected constant or linear, got {recipe.optimiser.decay!r}")


def _record(where: str, kind: type[Any], entries: Mapping[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    check_keys(where, entries, known, required=set())
    try:
        return kind(**entries)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error


def check_keys(where: str, entries: object, known: set[str], required: set[str]) -> None:
    """Refuse entries that are no table, have keys that are not known, or lack required ones.

    Raises:
        RecipeError: naming the keys.
    """
    if not isinstance(entries, Mapping):
        raise RecipeError(f"{where}: expected a table, got {type(entries).__name__}")
    unknown = sorted(set(entries) - known)
    if unknown:
        raise RecipeError(f"{where}: unknown key(s) {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    missing = sorted(required - set(entries))
    if missing:
        raise RecipeError(f"{where}: missing key(s) {', '.join(missing)}")
