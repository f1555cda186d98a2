"""A sweep as data: which runs there are, and what all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ace.check import check_choice, check_count, check_fraction
from ace.errors import InputError, RecipeError
from ace.tasks.modular_addition import ModularAddition
from ace.training.recipe import (
    NOT_NEGATIVE,
    RANGES,
    Optimiser,
    check_in_range,
    check_keys,
    check_scales,
    digest_of,
    read_entries,
)
from ace.training.transformer import Architecture

SPLITS = ("shared", "own")
STARTS = ("random", "given")
PAIR = 2  # positions of a pair of numbers
TABLES = (  # with the keys that each must have, and may have
    ("task", {"share"}, set[str]()),
    ("model", {"blocks", "width", "heads", "hidden"}, {"dropout"}),
    ("optimiser", {"learning_rate"}, {"beta1", "beta2", "epsilon"}),
    ("search", {"threshold", "every", "limit"}, set[str]()),
)


@dataclass(frozen=True, order=True)
class Run:
    """One training of a sweep.

    Attributes:
        modulus: p of modular addition.
        weight_decay: of AdamW, on every parameter.
        seed: of the weights, the order of the batches and the dropout; the same at every modulus and decay.
        batch: pairs a step; 0: all training pairs, one step an epoch.
        split: "shared", one deal of the pairs to training for all seeds of a modulus, or "own", one a seed.
        start: "random" weights, or "given": all but the head are those with which the same run, from random weights,
            generalised. Nothing is left to be found but the head, which makes it a control of any law of the delay.
    """

    modulus: int
    weight_decay: float
    seed: int
    batch: int = 0
    split: str = "shared"
    start: str = "random"

    @property
    def setting(self) -> tuple[int, float]:
        """Modulus and weight decay: what the runs of a part differ in but for their seeds."""
        return self.modulus, self.weight_decay

    @property
    def stacks_with(self) -> tuple[object, ...]:
        """What runs must have in common to be trained as one stack: shapes and steps an epoch."""
        return self.modulus, self.batch, self.start

    def task(self, share: float) -> ModularAddition:
        """The pairs that it trains on and is asked."""
        return ModularAddition(self.modulus, share, 0 if self.split == "shared" else 1 + self.seed)

    def __str__(self) -> str:
        batch = f"batch{self.batch}" if self.batch else "full"
        return f"p{self.modulus}-wd{self.weight_decay:g}-seed{self.seed}-{batch}-{self.split}-{self.start}"


@dataclass(frozen=True)
class Part:
    """Runs for one purpose: all combinations of moduli, weight decays and seeds 0 to `seeds` - 1."""

    moduli: tuple[int, ...]
    weight_decays: tuple[float, ...]
    seeds: int
    batch: int = 0
    split: str = "shared"
    start: str = "random"

    def runs(self) -> Iterator[Run]:
        """The combinations, decay by decay."""
        for modulus in self.moduli:
            for decay in self.weight_decays:
                for seed in range(self.seeds):
                    yield Run(modulus, decay, seed, self.batch, self.split, self.start)


@dataclass(frozen=True)
class SweepRecipe:
    """Everything that determines the outcomes of a sweep.

    Attributes:
        name: stem of the recipe file.
        scales: which of "compact" and "paper" it serves; does not enter the address.
        share: part of the p^2 pairs that a run trains on.
        model: the architecture; its vocabulary is a run's modulus.
        optimiser: AdamW's settings; its weight decay is a run's.
        threshold: accuracy at which training pairs count as memorised and held-out ones as generalised.
        every: epochs between two looks at the accuracies.
        limit: steps after which a run that has not generalised is given up; its delay is then censored.
        parts: runs by purpose. Runs that several parts name are trained once.
        seed: base seed.
    """

    name: str
    scales: tuple[str, ...]
    share: float
    model: Architecture
    optimiser: Optimiser
    threshold: float
    every: int
    limit: int
    parts: Mapping[str, Part]
    seed: int = 0

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, each once, in rising order."""
        return tuple(sorted({run for part in self.parts.values() for run in part.runs()}))

    def architecture(self, run: Run) -> Architecture:
        """Sizes of a run's model."""
        return replace(self.model, vocabulary=run.modulus)

    @property
    def settings(self) -> dict[str, Any]:
        """What the outcome of a run depends on beside the run itself, as plain values."""
        model, optimiser = asdict(self.model), asdict(self.optimiser)
        del model["vocabulary"], optimiser["weight_decay"]
        search = {"threshold": self.threshold, "every": self.every, "limit": self.limit}
        return {"share": self.share, "model": model, "optimiser": optimiser, "search": search, "seed": self.seed}

    @property
    def digest(self) -> str:
        """SHA-256 of `settings`, 64 hexadecimal digits: tables of the same digest can share rows."""
        return digest_of(self.settings)

    @property
    def address(self) -> str:
        """`name-` and 12 hexadecimal digits of the digest."""
        return f"{self.name}-{self.digest[:12]}"


def read_sweep(path: Path) -> SweepRecipe:
    """Sweep from a TOML file; its name is the file's stem.

    Raises:
        RecipeError: unreadable, missing or unknown keys, values out of range.
    """
    return parse_sweep(path.stem, read_entries(path))


def parse_sweep(name: str, entries: Mapping[str, Any]) -> SweepRecipe:
    """Sweep from parsed entries; unknown keys are errors, so that a misspelt setting cannot be ignored.

    Raises:
        RecipeError: naming the key.
    """
    tables = {"scales", "task", "model", "optimiser", "search", "parts"}
    check_keys(name, entries, tables | {"seed"}, required=tables)
    for table, required, optional in TABLES:
        check_keys(f"{name}.{table}", entries[table], required | optional, required)
    parts = entries["parts"]
    if not isinstance(parts, Mapping) or not parts:
        raise RecipeError(f"{name}.parts: expected a table of parts, got {parts!r}")
    search = entries["search"]
    try:
        share = check_fraction(f"{name}.task.share", entries["task"]["share"])
        threshold = check_fraction(f"{name}.search.threshold", search["threshold"])
        every = check_count(f"{name}.search.every", search["every"])
        limit = check_count(f"{name}.search.limit", search["limit"])
        seed = check_count(f"{name}.seed", entries.get("seed", 0), smallest=0)
        made = {key: _part(f"{name}.parts.{key}", part) for key, part in parts.items()}
        sweep = SweepRecipe(
            name=name,
            scales=check_scales(name, entries["scales"]),
            share=share,
            model=Architecture(vocabulary=PAIR, context=PAIR, **entries["model"]),
            optimiser=Optimiser(**entries["optimiser"]),
            threshold=threshold,
            every=every,
            limit=limit,
            parts=made,
            seed=seed,
        )
        for run in {(run.modulus, run.split == "own" and run.seed): run for run in sweep.runs}.values():
            _check_deal(f"{name}.task", run, share)  # refuses moduli that the share leaves too little of
    except (InputError, RecipeError, TypeError) as error:
        raise RecipeError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    for key, value in entries["optimiser"].items():
        check_in_range(f"{name}.optimiser.{key}", value, RANGES[key])
    return sweep


def _check_deal(where: str, run: Run, share: float) -> None:
    try:
        run.task(share)
    except InputError as error:
        raise RecipeError(f"{where}.{error} at modulus {run.modulus}, {run.split} split of seed {run.seed}") from error


def _part(where: str, entries: object) -> Part:
    required = {"moduli", "weight_decays", "seeds"}
    check_keys(where, entries, required | {"batch", "split", "start"}, required)
    assert isinstance(entries, Mapping)
    for key in ("moduli", "weight_decays"):
        if not isinstance(entries[key], list | tuple) or not entries[key]:
            raise RecipeError(f"{where}.{key}: expected a list of numbers, got {entries[key]!r}")
    for decay in entries["weight_decays"]:
        check_in_range(f"{where}.weight_decays", decay, NOT_NEGATIVE)
    return Part(
        moduli=tuple(check_count(f"{where}.moduli", modulus, smallest=3) for modulus in entries["moduli"]),
        weight_decays=tuple(float(decay) for decay in entries["weight_decays"]),
        seeds=check_count(f"{where}.seeds", entries["seeds"]),
        batch=check_count(f"{where}.batch", entries.get("batch", 0), smallest=0),
        split=check_choice(f"{where}.split", entries.get("split", "shared"), SPLITS),
        start=check_choice(f"{where}.start", entries.get("start", "random"), STARTS),
    )
