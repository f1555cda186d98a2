"""Load or train: content-addressed, atomic, one training at a time for a recipe."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from ace.errors import ArtifactError, NotTrained
from ace.files import read_provenance, remove_artifact
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.store import load_language_folder, read_folder_provenance, train_side_by_side
from ace.training.language.trainer import TrainedLanguageModel
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, load_ensemble, save_ensemble
from ace.training.train import train


def default_cache() -> Path:
    """Folder for what is trained on this machine: `ace-invariants` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ace-invariants"


@dataclass(frozen=True)
class Store:
    """Where trained models are kept, and when they are trained anew.

    Attributes:
        folder: of the fixtures, with `recipes` and `weights`.
        cache: folder for what is trained here; never the stored weights.
        retrain: do not use stored weights, nor cached ones older than `since`.
        seed: base seed in place of the recipes' own, under `retrain` only.
        since: start of this run; under `retrain`, what a fellow worker of the same run has trained counts as new.
        device: trains on "cpu" or a CUDA device.
        progress: show progress bars.
        patient: train recipes that are not quick, too, though it takes hours.
        showing: entered while something is trained, so that its progress bars reach the user.
    """

    folder: Path
    cache: Path
    retrain: bool = False
    seed: int | None = None
    since: datetime | None = None
    device: str = "cpu"
    progress: bool = True
    patient: bool = False
    showing: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def weights(self) -> Path:
        """Folder of the stored weights."""
        return self.folder / "weights"

    def ensemble(self, recipe: Recipe) -> TrainedEnsemble:
        """The recipe's ensemble: stored with the repository, cached, or trained now.

        One process trains, others that want the same recipe wait for it and load the result. Whatever is loaded is
        verified; nothing is trained over a corrupt file without being asked to by `retrain`.

        Raises:
            ArtifactError: a stored or cached file is corrupt, truncated or foreign.
            NotTrained: there are no weights, the recipe is not quick, and nobody asked for a training of hours.
        """
        wanted = replace(recipe, seed=self.seed) if self.retrain and self.seed is not None else recipe
        stored = self.weights / f"{wanted.address}.json"
        if stored.exists() and not self.retrain:
            return load_ensemble(stored, wanted)
        record = self.cache / f"{wanted.address}.json"

        def usable() -> bool:
            return record.exists() and self._fresh(lambda: read_provenance(record))

        if not (wanted.quick or self.patient or usable()):
            raise NotTrained(
                f"{wanted.name} has no {'new' if self.retrain else 'stored'} weights and takes hours to train:"
                f" ace zoo store {wanted.name} does that and stores them,"
                " pytest with --ace-retrain --ace-scale paper does it for one run"
            )
        self.cache.mkdir(parents=True, exist_ok=True)
        partial = self.cache / f"{wanted.address}-partial.json"
        with FileLock(self.cache / f"{wanted.address}.lock"):
            if usable():
                return load_ensemble(record, wanted)
            with self.showing():
                ensemble = train(wanted, device=self.device, partial=partial, progress=self.progress)
            save_ensemble(record, ensemble)
            remove_artifact(partial)
        return ensemble

    def language_models(self, recipe: LanguageRecipe) -> tuple[TrainedLanguageModel, ...]:
        """The recipe's language models, as `ensemble`.

        Raises:
            ArtifactError: a stored or cached model is corrupt, truncated or foreign.
        """
        wanted = replace(recipe, seed=self.seed) if self.retrain and self.seed is not None else recipe
        stored = self.weights / wanted.address
        if stored.exists() and not self.retrain:
            return load_models(stored, wanted)
        folder = self.cache / wanted.address

        def usable(index: int) -> bool:
            own = folder / str(index)
            return own.exists() and self._fresh(lambda: read_folder_provenance(own))

        self.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(self.cache / f"{wanted.address}.lock"):
            missing = [index for index in range(wanted.models) if not usable(index)]
            with self.showing():
                train_side_by_side(wanted, folder, missing, self.cache, progress=self.progress)
            return load_models(folder, wanted)

    def _fresh(self, provenance: Callable[[], dict[str, Any]]) -> bool:
        """Whether something in the cache need not be trained; what is corrupt counts, so that loading reports it."""
        if not self.retrain:
            return True
        if self.since is None:
            return False
        try:
            return datetime.fromisoformat(provenance()["date"]) >= self.since.replace(microsecond=0)
        except (ArtifactError, KeyError, TypeError, ValueError):
            return False

    def is_stored(self, recipe: Recipe | LanguageRecipe) -> bool:
        """Whether its weights lie with the fixtures."""
        name = recipe.address if isinstance(recipe, LanguageRecipe) else f"{recipe.address}.json"
        return (self.weights / name).exists()

    def keep(self, recipe: Recipe | LanguageRecipe, *, until: int | None = None) -> Path:
        """Train a recipe and keep its weights with the fixtures, in place of those stored before.

        Starts from nothing, or from where an interrupted call, or one `until` an earlier epoch, left off.
        """
        if isinstance(recipe, LanguageRecipe):
            folder = self.weights / recipe.address
            missing = [index for index in range(recipe.models) if not (folder / str(index)).exists()]
            train_side_by_side(recipe, folder, missing, self.cache, progress=self.progress)
            load_models(folder, recipe)
            return folder
        partial = self.cache / f"{recipe.address}-stored-partial.json"
        ensemble = train(recipe, device=self.device, partial=partial, progress=self.progress, until=until)
        record = self.weights / f"{recipe.address}.json"
        save_ensemble(record, ensemble)
        if ensemble.provenance["epochs"] == recipe.schedule.epochs:
            remove_artifact(partial)
        for old in self.weights.glob(f"{recipe.name}-????????????.*"):
            if not old.name.startswith(recipe.address):
                old.unlink()
        return record


def load_models(folder: Path, recipe: LanguageRecipe) -> tuple[TrainedLanguageModel, ...]:
    """All models of a recipe from a folder with one folder each.

    Raises:
        ArtifactError: one is missing, corrupt or foreign.
    """
    return tuple(load_language_folder(folder / str(index), recipe, index) for index in range(recipe.models))
