"""The state of an ensemble's training between two epochs, as a record and as tensors for a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ace.errors import ArtifactError
from ace.training.buffer import row_length
from ace.training.checkpoint import require_shapes
from ace.training.course import Course
from ace.training.ensemble import Weights
from ace.training.groups import Moments, moment_shapes
from ace.training.recipe import Recipe
from ace.training.result import checkpoints_of, tensors_of


@dataclass(frozen=True, eq=False)
class EnsembleState:
    """All tensors that the rest of a training depends on, or that it will return.

    Past a branch e counts every model once in each arm, arm by arm.

    Attributes:
        rows: (e, L) weights as a `WeightBuffer` holds them.
        moments: of each arm; see `GroupOptimiser.moments`.
        generators: states of the e generators of batches and dropout.
        losses: (e) of every step since the last point of the curve.
        checkpoints: epoch -> weights (e, ...) kept so far.
    """

    rows: Tensor
    moments: Sequence[Moments]
    generators: Sequence[Tensor]
    losses: Sequence[Tensor]
    checkpoints: dict[int, Weights]

    def tensors(self, course: Course) -> dict[str, Tensor]:
        """By name, for a file."""
        named = {"weights": self.rows}
        for arm, values in enumerate(self.moments):
            named |= {f"arm{arm}/{name}": value for name, value in values.items()}
        named |= {f"generator/{index}": value for index, value in enumerate(self.generators)}
        if self.losses:
            named["losses"] = torch.stack(list(self.losses))
        return named | {f"checkpoint/{name}": value for name, value in tensors_of(self.checkpoints, course).items()}


def ensemble_state(
    record: Path, recipe: Recipe, epoch: int, tensors: dict[str, Tensor], generator: torch.Size
) -> EnsembleState:
    """The inverse of `EnsembleState.tensors`, with names and shapes verified.

    Args:
        record: says where they came from.
        epoch: after which the state was stored. The weights stand for the arms of that epoch; a branch is taken by the
            next one.
        generator: shape of a generator's state.

    Raises:
        ArtifactError: names or shapes that are not those of an unfinished training of the recipe.
    """
    kept = {name: value for name, value in tensors.items() if name.startswith("checkpoint/")}
    checkpoints = checkpoints_of(record, recipe, {n.removeprefix("checkpoint/"): v for n, v in kept.items()})
    if 0 not in checkpoints:
        raise ArtifactError(f"{record}: expected an unfinished training, got no weights of its start")
    arms = len((recipe.course or Course()).arms_at(epoch))
    models, length = recipe.models * arms, row_length(checkpoints[0])
    shapes = {"weights": torch.Size((models, length))}
    shapes |= {f"generator/{index}": generator for index in range(models)}
    if epoch:
        each = moment_shapes(recipe.models, length)
        shapes |= {f"arm{arm}/{name}": shape for arm in range(arms) for name, shape in each.items()}
    if "losses" in tensors:
        steps = len(tensors["losses"]) if tensors["losses"].ndim else 0
        shapes["losses"] = torch.Size((steps, models))
    rest = {name: value for name, value in tensors.items() if name not in kept}
    require_shapes(record, rest, shapes)
    return EnsembleState(
        rows=rest["weights"],
        moments=[
            {name.partition("/")[2]: value for name, value in rest.items() if name.startswith(f"arm{arm}/")}
            for arm in range(arms)
        ],
        generators=[rest[f"generator/{index}"] for index in range(models)],
        losses=list(rest.get("losses", ())),
        checkpoints=checkpoints,
    )
