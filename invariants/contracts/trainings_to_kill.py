"""Three trainings that a test kills: what runs them in a process of its own, how far each has come, what comes out.

Each lasts some seconds a round, and stores what it has after every few steps.
"""

from __future__ import annotations

import json
import math
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch

from ace.engine import Engine
from ace.files import read_json
from ace.training import resumable
from ace.training.language import store as language_store
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.trainer import LanguageTrainer, train_language_model
from ace.training.result import TrainedEnsemble, load_ensemble
from ace.training.sweep.recipe import Run, read_sweep
from ace.training.sweep.run import run_sweep
from ace.training.sweep.table import read_table
from ace.training.train import train
from invariants.contracts import builders
from invariants.contracts.child import fingerprint
from invariants.contracts.sweeps import TOML

SECONDS = 0.05  # that a step of a training is made to last, so that a kill finds one at work
EPOCHS = {"schedule": {"epochs": 80}}
LANGUAGE = LanguageRecipe("tiny", (1, 2), 24, 1, 16, 2, 1e-2, 0.01, 1.0, 1, 80, 4, 1, 5)
Progress = dict[str, float]  # by part of the work: how far it has come, infinity where its outcome is stored


class Work(ABC):
    """A training in a folder. Two of them in two folders come to the same result, killed or not."""

    @abstractmethod
    def words(self, folder: Path) -> list[str]:
        """The command line, without the interpreter, of a process that begins the work or goes on with it."""

    @abstractmethod
    def stored(self, folder: Path) -> list[Path]:
        """The files that say how far it has come, those that are there."""

    @abstractmethod
    def progress(self, folder: Path) -> Progress:
        """How far it has come by what is stored; no process may be at work."""

    @abstractmethod
    def result(self, folder: Path) -> object:
        """What a finished work came to."""

    @abstractmethod
    def uninterrupted(self, folder: Path) -> object:
        """What it comes to in one go, in this process."""

    def shown(self, folder: Path) -> list[tuple[str, int]]:
        """What changes whenever something is stored; it may be asked while a process is at work."""
        found = []
        for path in self.stored(folder):
            try:
                found.append((path.name, path.stat().st_mtime_ns))
            except FileNotFoundError:  # it was removed meanwhile
                continue
        return sorted(found)


class SweepWork(Work):
    """Twelve small runs of a sweep, by the command."""

    def words(self, folder: Path) -> list[str]:
        return [
            *("-m", "ace", "sweep", str(self._recipe(folder)), "--out", str(folder / "table.jsonl")),
            *("--resume", "--workers", "1", "--seconds", "0.02"),
        ]

    def stored(self, folder: Path) -> list[Path]:
        table = folder / "table.jsonl"
        begun = table.exists() and table.read_bytes().count(b"\n") > 1  # a header alone is no work
        return [*([table] if begun else []), *folder.glob("table.jsonl.unfinished/*.json")]

    def progress(self, folder: Path) -> Progress:
        table, reached = folder / "table.jsonl", dict[str, float]()
        for path in folder.glob("table.jsonl.unfinished/*.json"):
            stack = read_json(path, 1)
            for run in stack["runs"]:
                name = str(Run(**run))
                reached[name] = max(reached.get(name, 0.0), stack["epoch"])
        if table.exists():  # which is refused where a run is there twice
            reached |= {str(outcome.run): math.inf for outcome in read_table(table).outcomes}
        return reached

    def result(self, folder: Path) -> object:
        runs = read_sweep(self._recipe(folder)).runs
        table = read_table(folder / "table.jsonl")
        assert len(table.outcomes) == len(runs)
        assert not (folder / "table.jsonl.unfinished").exists()
        return table.of(runs)

    def uninterrupted(self, folder: Path) -> object:
        recipe = read_sweep(self._recipe(folder))
        return run_sweep(recipe, folder / "whole.jsonl", engine=Engine(workers=1)).of(recipe.runs)

    def _recipe(self, folder: Path) -> Path:
        path = folder / "small.toml"
        path.write_text(TOML)
        return path


class EnsembleWork(Work):
    """An ensemble that a store is asked for."""

    def words(self, folder: Path) -> list[str]:
        plan = {"entries": builders.entries(**EPOCHS), "cache": str(folder / "cache"), "log": str(folder / "log")}
        (folder / "plan.json").write_text(json.dumps({**plan, "company": 1, "seconds": SECONDS}))
        (folder / "log").touch()
        return ["-m", "invariants.contracts.child", str(folder / "plan.json")]

    def stored(self, folder: Path) -> list[Path]:
        return sorted((folder / "cache").glob("*.json"))

    def progress(self, folder: Path) -> Progress:
        found = self.stored(folder)
        partial = [read_json(path, 1)["epoch"] for path in found if path.stem.endswith("-partial")]
        return {"ensemble": math.inf if len(found) > len(partial) else max(partial, default=0.0)}

    def result(self, folder: Path) -> object:
        (stored,) = self.stored(folder)
        return self._weights(load_ensemble(stored, builders.recipe(**EPOCHS)))

    def uninterrupted(self, folder: Path) -> object:
        return self._weights(train(builders.recipe(**EPOCHS)))

    def _weights(self, ensemble: TrainedEnsemble) -> str:
        return fingerprint(ensemble.checkpoints)


class LanguageWork(Work):
    """A language model, trained and stored as a store does it in a process of its own."""

    def words(self, folder: Path) -> list[str]:
        return ["-m", "invariants.contracts.trainings_to_kill", str(folder / "cache")]

    def stored(self, folder: Path) -> list[Path]:
        return [path for path in (self._partial(folder), self._model(folder)) if path.exists()]

    def progress(self, folder: Path) -> Progress:
        if self._model(folder).exists():
            return {"model": math.inf}
        partial = self._partial(folder)
        return {"model": read_json(partial, 1)["step"] if partial.exists() else 0.0}

    def result(self, folder: Path) -> object:
        assert sorted(path.name for path in (folder / "cache").iterdir()) == [LANGUAGE.address]
        return self._weights(language_store.load_language_folder(self._model(folder), LANGUAGE, 0).model)

    def uninterrupted(self, folder: Path) -> object:
        return self._weights(train_language_model(LANGUAGE, 0).model)

    def _model(self, folder: Path) -> Path:
        return folder / "cache" / LANGUAGE.address / "0"

    def _partial(self, folder: Path) -> Path:
        return language_store.partial_of(LANGUAGE, 0, folder / "cache")

    def _weights(self, model: torch.nn.Module) -> str:
        return fingerprint({0: model.state_dict()})


def _train_slowly(cache: Path) -> None:
    """Train and store the language model, each step made to last."""
    resumable.PARTIAL_SECONDS = 0.0
    advance = LanguageTrainer.advance

    def slowly(trainer: LanguageTrainer) -> None:
        time.sleep(SECONDS)
        advance(trainer)

    setattr(LanguageTrainer, "advance", slowly)  # noqa: B010 a method of a class, for this process
    one: Any = language_store._train_and_store
    one(LANGUAGE, 0, cache / LANGUAGE.address / "0", cache, False)


if __name__ == "__main__":
    _train_slowly(Path(sys.argv[1]))
