"""What a training leaves: weights at checkpoints with provenance, stored and loaded verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ace.errors import ArtifactError
from ace.files import load_artifact, save_artifact
from ace.training.course import Course
from ace.training.ensemble import Weights, member
from ace.training.recipe import Recipe
from ace.training.transformer import SmallTransformer, without_weights

HALF = torch.float16


@dataclass(frozen=True)
class TrainedEnsemble:
    """Weights of a recipe's models at their checkpoints, with what is known of how they came to be.

    Attributes:
        recipe: what they were trained by.
        checkpoints: epoch -> stacked weights (e, ...); 0 is the untrained twin, the largest is the end. Past a branch
            the arms follow each other, each with all models.
        provenance: versions, wall time, date and training curve.
    """

    recipe: Recipe
    checkpoints: dict[int, Weights]
    provenance: dict[str, Any]

    def models(self, epoch: int | None = None, arm: str | None = None) -> tuple[SmallTransformer, ...]:
        """The models at a checkpoint, by default the last, as ordinary modules in evaluation mode.

        Args:
            arm: past a branch, which one; the first by default. Before it, all arms are the trunk.

        Raises:
            ArtifactError: no such checkpoint or arm.
        """
        chosen = max(self.checkpoints) if epoch is None else epoch
        if chosen not in self.checkpoints:
            raise ArtifactError(f"epoch: expected one of {sorted(self.checkpoints)}, got {chosen}")
        course = self.recipe.course or Course()
        if arm is not None and arm not in course.arms:
            raise ArtifactError(f"arm: expected one of {list(course.arms)}, got {arm!r}")
        if arm is not None and not course.has_arm(arm, chosen):
            raise ArtifactError(f"arm: expected one that lasts to epoch {chosen}, got {arm!r}, which ends before")
        arms = list(course.arms_at(chosen))
        first = self.recipe.models * (arms.index(arm) if arm in arms else 0)
        weights = self.checkpoints[chosen]
        return tuple(member(self.recipe.model, weights, first + index) for index in range(self.recipe.models))


def save_ensemble(record: Path, ensemble: TrainedEnsemble) -> None:
    """Store an ensemble at `record` (JSON) with its weights beside it, atomically."""
    course = ensemble.recipe.course or Course()
    save_artifact(record, tensors_of(ensemble.checkpoints, course), ensemble.provenance)


def load_ensemble(record: Path, recipe: Recipe) -> TrainedEnsemble:
    """Load an ensemble that `save_ensemble` stored.

    Raises:
        ArtifactError: corrupt, of another recipe, or without weights of the recipe's shapes and dtype at the start and
            the end of what was trained.
    """
    tensors, provenance = load_artifact(record)
    if provenance.get("recipe") != recipe.digest:
        raise ArtifactError(f"{record}: expected recipe {recipe.digest[:12]}, got {str(provenance.get('recipe'))[:12]}")
    checkpoints = checkpoints_of(record, recipe, tensors)
    last = provenance.get("epochs", recipe.schedule.epochs)
    kept = (recipe.course or Course()).checkpoints
    expected = {0, last, *(epoch for epoch in kept if epoch <= last)}
    if not expected <= set(checkpoints):
        raise ArtifactError(f"{record}: expected weights at epochs {sorted(expected)}, got {sorted(checkpoints)}")
    return TrainedEnsemble(recipe, checkpoints, provenance)


def rounded(weights: Weights) -> Weights:
    """Weights as half precision holds them, in their own dtype."""
    return {name: value.to(HALF).to(value.dtype) for name, value in weights.items()}


def tensors_of(checkpoints: dict[int, Weights], course: Course) -> Weights:
    """Weights at several epochs as one mapping, named epoch/parameter; in half precision where the course has it so."""
    return {
        f"{epoch}/{name}": value.to(HALF) if epoch in course.halved else value
        for epoch, weights in checkpoints.items()
        for name, value in weights.items()
    }


def checkpoints_of(record: Path, recipe: Recipe, tensors: Weights) -> dict[int, Weights]:
    """The inverse of `tensors_of`, in the recipe's dtype, with shapes and dtype verified.

    Raises:
        ArtifactError: names, shapes or a dtype that are not the recipe's; `record` says where they came from.
    """
    checkpoints: dict[int, Weights] = {}
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        if not number.isdecimal():
            raise ArtifactError(f"{record}: expected weights named epoch/parameter, got {key!r}")
        checkpoints.setdefault(int(number), {})[name] = value
    dtype = getattr(torch, recipe.dtype)
    course = recipe.course or Course()
    single = {name: tuple(value.shape) for name, value in without_weights(recipe.model).state_dict().items()}
    for epoch, weights in checkpoints.items():
        count, held = recipe.models * len(course.arms_at(epoch)), HALF if epoch in course.halved else dtype
        shapes = {name: (count, *shape) for name, shape in single.items()}
        fitting = {name: tuple(value.shape) for name, value in weights.items() if value.dtype == held}
        if fitting != shapes or len(weights) != len(shapes):
            raise ArtifactError(
                f"{record}: the weights at epoch {epoch} do not have the shapes and dtype of recipe {recipe.name}"
            )
    return {epoch: {n: v.to(dtype) for n, v in checkpoints[epoch].items()} for epoch in sorted(checkpoints)}
