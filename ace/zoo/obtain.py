"""Load or train: content-addressed, atomic, one training at a time for a recipe."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from ace.errors import ArtifactError, InputError, NotTrained
from ace.files import read_provenance, remove_artifact, remove_cut_off
from ace.training.apart import alone, arms_of, joined
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.store import (
    PROVENANCE,
    load_language_folder,
    partial_of,
    read_folder_provenance,
    train_side_by_side,
)
from ace.training.language.trainer import TrainedLanguageModel
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, load_ensemble, save_ensemble
from ace.training.train import train, train_apart, trained_apart

AnyRecipe = TypeVar("AnyRecipe", Recipe, LanguageRecipe)


@dataclass(frozen=True)
class Store:
    """Where trained models are kept, and when they are trained anew.

    Models of a recipe are looked for among the weights of the fixtures, then in the cache; what is in neither is
    trained now, into the cache. Whatever is loaded is verified. A training that was interrupted, even by kill -9, goes
    on from where it was. Of several processes that want one recipe, one trains; the others wait and load its models.

    Attributes:
        folder: of the fixtures, with `recipes` and `weights`.
        cache: folder for what is trained here, made where it does not exist.
        retrain: do not use stored weights, nor cached ones older than `since`.
        seed: base seed in place of the recipes' own, under `retrain` only.
        since: start of this run; under `retrain`, what a fellow worker of the same run has trained counts as new. None
            counts nothing as new.
        device: "cpu" or a CUDA device, which ensembles train on.
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
        """Folder of the stored weights. Only `keep` writes there."""
        return self.folder / "weights"

    def ensemble(self, recipe: Recipe) -> TrainedEnsemble:
        """The models of a recipe: stored with the fixtures, cached, or trained now.

        Raises:
            ArtifactError: a stored or cached file is corrupt, truncated or foreign; it stays as it is, and only
                `retrain` puts another in a cached one's place. Or the cache is no folder that can be written.
            NotTrained: there are no weights, the recipe is not quick, and nobody asked for a training of hours.
        """
        wanted = self._seeded(recipe)
        stored, cached = _place(self.weights, wanted), _place(self.cache, wanted)
        if stored.exists() and not self.retrain:
            return load_ensemble(stored, wanted)
        if not (wanted.quick or self.patient or self._is_usable(cached, read_provenance)):
            raise NotTrained(
                f"{wanted.name} has no {'new' if self.retrain else 'stored'} weights and takes hours to train:"
                f" ace zoo store {wanted.name} does that and stores them,"
                " pytest with --ace-retrain --ace-scale paper does it for one run"
            )
        with self._locked(wanted):
            partial = self.cache / f"{wanted.address}-partial.json"
            if self._is_usable(cached, read_provenance):
                _remove_outlived(partial, cached)
                return load_ensemble(cached, wanted)
            with self.showing():
                ensemble = train(wanted, device=self.device, partial=partial, progress=self.progress)
            save_ensemble(cached, ensemble)
            remove_artifact(partial)
        return ensemble

    def language_models(self, recipe: LanguageRecipe) -> tuple[TrainedLanguageModel, ...]:
        """The language models of a recipe: stored with the fixtures, cached, or trained now, those that are missing.

        Raises:
            ArtifactError: as `ensemble`.
        """
        wanted = self._seeded(recipe)
        stored, cached = _place(self.weights, wanted), _place(self.cache, wanted)
        if stored.exists() and not self.retrain:
            return _load_language_models(stored, wanted)
        with self._locked(wanted):
            usable = [self._is_usable(cached / str(k), read_folder_provenance) for k in range(wanted.models)]
            self._train_language_models(wanted, cached, [k for k in range(wanted.models) if not usable[k]])
            return _load_language_models(cached, wanted)

    def is_stored(self, recipe: Recipe | LanguageRecipe) -> bool:
        """Whether weights of the recipe lie with the fixtures."""
        return _place(self.weights, recipe).exists()

    def keep(self, recipe: Recipe | LanguageRecipe, *, until: int | None = None) -> Path:
        """Train a recipe and keep its weights with the fixtures, in place of those of other settings under its name.

        Starts from nothing, or from where an interrupted call, or one `until` an earlier epoch, left off. An ensemble
        takes the place of one stored before; language models that are stored already stay.

        Args:
            until: last epoch trained of an ensemble; the recipe's by default.

        Returns:
            The record of the ensemble, or the folder of the language models.

        Raises:
            InputError: `until` outside the recipe, or with a recipe of language models.
            ArtifactError: a stored language model is corrupt, or the cache is no folder that can be written.
        """
        kept = _place(self.weights, recipe)
        if isinstance(recipe, LanguageRecipe):
            if until is not None:
                raise InputError(f"until: expected with a recipe of an ensemble, got {until} for {recipe.name}")
            with self._locked(recipe):
                missing = [k for k in range(recipe.models) if not (kept / str(k)).exists()]
                self._train_language_models(recipe, kept, missing)
                _load_language_models(kept, recipe)
        else:
            with self._locked(recipe):
                self._keep_ensemble(recipe, kept, until)
        self._remove_other_settings(recipe)
        return kept

    def keep_arm(self, recipe: Recipe | LanguageRecipe, arm: str) -> Path:
        """Train one arm of a recipe apart from the others, to its end; once all are there, keep them with the fixtures.

        Several arms can be trained at once, each by a process of its own. An interrupted call is gone on with.

        Returns:
            The record of the ensemble, or of the arm's training in the cache as long as other arms are not there.

        Raises:
            InputError: no such arm, or a recipe of language models.
            ArtifactError: weights of the arms differ before the branch, or the cache is no folder that can be written.
        """
        if isinstance(recipe, LanguageRecipe):
            raise InputError(f"arm: expected with a recipe of an ensemble, got {arm!r} for {recipe.name}")
        alone(recipe, arm)  # refused before anything is written
        records = {name: self.cache / f"{recipe.address}-{name}-stored-partial.json" for name in arms_of(recipe)}
        with self._locked(recipe, arm), self.showing():
            train_apart(recipe, arm, device=self.device, partial=records[arm], progress=self.progress)
        kept = _place(self.weights, recipe)
        with self._locked(recipe):
            if not all(record.exists() for record in records.values()):
                return records[arm]
            parts = {name: trained_apart(recipe, name, record, device=self.device) for name, record in records.items()}
            finished = {name: part for name, part in parts.items() if part is not None}
            if len(finished) < len(parts):
                return records[arm]
            save_ensemble(kept, joined(recipe, finished))
            for record in records.values():
                remove_artifact(record)
        self._remove_other_settings(recipe)
        return kept

    def _keep_ensemble(self, recipe: Recipe, record: Path, until: int | None) -> None:
        partial = self.cache / f"{recipe.address}-stored-partial.json"
        with self.showing():
            ensemble = train(recipe, device=self.device, partial=partial, progress=self.progress, until=until)
        save_ensemble(record, ensemble)
        if ensemble.provenance["epochs"] == recipe.schedule.epochs:
            remove_artifact(partial)

    def _remove_other_settings(self, recipe: Recipe | LanguageRecipe) -> None:
        """Remove weights stored under a recipe's name at another address: no recipe asks for them any more."""
        of_the_name = re.compile(rf"{re.escape(recipe.name)}-[0-9a-f]{{12}}(\..*)?")
        for path in self.weights.iterdir():
            if of_the_name.fullmatch(path.name) and not path.name.startswith(recipe.address):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _seeded(self, recipe: AnyRecipe) -> AnyRecipe:
        return replace(recipe, seed=self.seed) if self.retrain and self.seed is not None else recipe

    def _is_usable(self, cached: Path, provenance_of: Callable[[Path], dict[str, Any]]) -> bool:
        """Whether something in the cache is there and need not be trained anew.

        Without `retrain` what is corrupt counts, so that loading reports it.
        """
        if not self.retrain:
            return cached.exists()
        try:
            date = datetime.fromisoformat(provenance_of(cached)["date"])
            return self.since is not None and date >= self.since.replace(microsecond=0)
        except (ArtifactError, KeyError, TypeError, ValueError):  # missing or corrupt, or no date with a time zone
            return False

    def _train_language_models(self, recipe: LanguageRecipe, folder: Path, indices: list[int]) -> None:
        if indices:
            with self.showing():
                train_side_by_side(recipe, folder, indices, self.cache, progress=self.progress)
        for index in range(recipe.models):
            remove_cut_off(folder / str(index))
            _remove_outlived(partial_of(recipe, index, self.cache), folder / str(index) / PROVENANCE)

    @contextmanager
    def _locked(self, recipe: Recipe | LanguageRecipe, arm: str = "") -> Iterator[None]:
        """Wait until no other process trains the recipe, or the arm of it, and keep others waiting.

        The lock dies with its process.
        """
        name = f"{recipe.address}-{arm}" if arm else recipe.address
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.cache / f"{name}.lock").acquire()
        except OSError as error:
            raise ArtifactError(f"cache: expected a folder that can be written, got {self.cache}: {error}") from error
        with lock:
            yield


def _remove_outlived(partial: Path, result: Path) -> None:
    """Remove an unfinished training whose result was stored after it: who stored that was killed before it did so."""
    with suppress(FileNotFoundError):
        if partial.stat().st_mtime_ns <= result.stat().st_mtime_ns:
            remove_artifact(partial)


def _place(folder: Path, recipe: Recipe | LanguageRecipe) -> Path:
    """Where a recipe's models lie in a folder: an ensemble's record, or a folder with a folder for each model."""
    return folder / (recipe.address if isinstance(recipe, LanguageRecipe) else f"{recipe.address}.json")


def _load_language_models(folder: Path, recipe: LanguageRecipe) -> tuple[TrainedLanguageModel, ...]:
    return tuple(load_language_folder(folder / str(index), recipe, index) for index in range(recipe.models))
