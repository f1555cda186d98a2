"""Arms of one training that are trained apart, each in a process of its own, and put together afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ace.check import check_choice
from ace.errors import ArtifactError, InputError
from ace.training.course import Course
from ace.training.ensemble import Weights
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble

OF_EACH = ("epochs", "seconds", "date", "device", "processor", "threads", "versions", "resumed_from_epoch")


def arms_of(recipe: Recipe) -> tuple[str, ...]:
    """Names of a recipe's arms, none without a branch."""
    return tuple((recipe.course or Course()).arms)


def alone(recipe: Recipe, arm: str) -> tuple[Recipe, int]:
    """The recipe with one of its arms alone, and the last epoch of that arm.

    Its models see the batches and the dropout that they see beside the other arms.

    Raises:
        InputError: no such arm.
    """
    course = recipe.course or Course()
    if not course.arms:
        raise InputError(f"arm: expected a recipe with arms, got {arm!r} of {recipe.name}, which has none")
    chosen = course.arms[check_choice("arm", arm, tuple(course.arms))]
    last = recipe.schedule.epochs if chosen.until is None else chosen.until
    kept, halved = (tuple(epoch for epoch in epochs if epoch <= last) for epochs in (course.checkpoints, course.halved))
    single = replace(course, arms={arm: replace(chosen, until=None)}, checkpoints=kept, halved=halved)
    return replace(recipe, course=single), last


def joined(recipe: Recipe, parts: Mapping[str, TrainedEnsemble]) -> TrainedEnsemble:
    """The training of a recipe from its arms, each trained apart to its end.

    Args:
        parts: by name of the arm, of the recipes that `alone` gives.

    Raises:
        InputError: an arm is missing.
        ArtifactError: weights before the branch differ, so that the parts are not of one training.
    """
    course = recipe.course or Course()
    if set(parts) != set(course.arms) or not parts:
        raise InputError(f"parts: expected the arms {', '.join(course.arms)}, got {', '.join(parts) or 'none'}")
    trunk, *others = (parts[name] for name in course.arms)
    branch = course.branch or 0
    for epoch in (epoch for epoch in trunk.checkpoints if epoch <= branch):
        for part in others:
            if not _same(trunk.checkpoints[epoch], part.checkpoints[epoch]):
                raise ArtifactError(
                    f"{recipe.name}: expected arms of one training, got weights that differ at epoch {epoch}, before"
                    " the branch; arms are trained apart with one version of torch and one number of threads"
                )
    checkpoints = {
        epoch: weights if epoch <= branch else _side_by_side([parts[name].checkpoints[epoch] for name in arms])
        for epoch, weights in trunk.checkpoints.items()
        if (arms := course.arms_at(epoch))
    }
    curves = {name: {point["epoch"]: point for point in part.provenance["curve"]} for name, part in parts.items()}
    curve = [
        point if epoch <= branch else _one_point([curves[name][epoch] for name in course.arms_at(epoch)])
        for epoch, point in next(iter(curves.values())).items()
        if course.has_point(epoch, recipe.schedule.epochs)
    ]
    provenance = {
        **trunk.provenance,
        "recipe": recipe.digest,
        "entries": recipe.entries(),
        "seconds": round(sum(part.provenance["seconds"] for part in parts.values()), 2),
        "curve": curve,
        "trained_apart": {
            name: {key: part.provenance[key] for key in OF_EACH if key in part.provenance}
            for name, part in parts.items()
        },
    }
    return TrainedEnsemble(recipe, checkpoints, provenance)


def _same(first: Weights, second: Weights) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def _side_by_side(arms: list[Weights]) -> Weights:
    """Weights (e, ...) of several arms, arm by arm."""
    return {name: torch.cat([weights[name] for weights in arms]) for name in arms[0]}


def _one_point(points: list[dict[str, Any]]) -> dict[str, Any]:
    """A point of the curve with the entries of all arms, arm by arm."""
    names = [name for name in points[0] if name != "epoch"]
    return {
        "epoch": points[0]["epoch"],
        **{name: [value for point in points for value in point[name]] for name in names},
    }
