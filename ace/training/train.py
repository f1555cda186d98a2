"""Train a recipe's ensemble to its end, or to an epoch before it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from ace.check import check_count
from ace.errors import InputError
from ace.machine import processor
from ace.training.apart import alone
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble
from ace.training.resumable import advance_to, take_up
from ace.training.trainer import UNIT, EnsembleTrainer


def train(
    recipe: Recipe,
    *,
    device: str = "cpu",
    partial: Path | None = None,
    progress: bool = False,
    until: int | None = None,
) -> TrainedEnsemble:
    """Train a recipe to its end, or to an epoch before it.

    Args:
        device: "cpu" or a CUDA device.
        partial: record to store an unfinished training in, every few seconds, and to resume from. It outlives this
            call: who stores the result removes it afterwards, so that no moment exists at which a crash loses both.
        progress: True shows a progress bar with accuracies on the terminal.
        until: last epoch trained; the recipe's by default. What is trained is the same up to there. An unfinished
            training that is past it already is returned as far as it is.

    Raises:
        InputError, RecipeError: as `EnsembleTrainer`; InputError for an epoch outside the recipe.
    """
    last = recipe.schedule.epochs if until is None else check_count("until", until)
    if last > recipe.schedule.epochs:
        raise InputError(f"until: expected at most the recipe's {recipe.schedule.epochs} epochs, got {until}")
    trainer = EnsembleTrainer(recipe, device)
    resumed = take_up(trainer, partial)
    advance_to(trainer, last, partial=partial, title=recipe.name, unit=UNIT, progress=progress)
    return result_of(trainer, resumed)


def train_apart(
    recipe: Recipe, arm: str, *, device: str = "cpu", partial: Path, progress: bool = False
) -> TrainedEnsemble:
    """Train one arm of a recipe to its end, without the others.

    Args:
        partial: as in `train`, of this arm.

    Raises:
        InputError: no such arm, or as `train`.
    """
    single, last = alone(recipe, arm)
    return train(single, device=device, partial=partial, progress=progress, until=last)


def trained_apart(recipe: Recipe, arm: str, partial: Path, *, device: str = "cpu") -> TrainedEnsemble | None:
    """One arm of a recipe where it is trained to its end already, else None."""
    single, last = alone(recipe, arm)
    trainer = EnsembleTrainer(single, device)
    resumed = take_up(trainer, partial)
    return result_of(trainer, resumed) if resumed >= last else None


def result_of(trainer: EnsembleTrainer, resumed: int) -> TrainedEnsemble:
    """What a training has come to, with how it came to be.

    Args:
        resumed: epoch from which it was gone on with.
    """
    recipe = trainer.recipe
    provenance = {
        "name": recipe.name,
        "recipe": recipe.digest,
        "entries": recipe.entries(),
        "versions": {name: version(name) for name in ("torch", "numpy", "ace-invariants")},
        "device": str(trainer.device),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "epochs": trainer.epoch,
        "seconds": round(trainer.seconds, 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resumed_from_epoch": resumed,
        "curve": trainer.curve,
    }
    return TrainedEnsemble(recipe, trainer.kept(), provenance)
