"""One optimiser for all arms of a course: a group of weights, settings and moments for each."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ace.training.buffer import WeightBuffer
from ace.training.course import Arm
from ace.training.recipe import Optimiser

Moments = dict[str, Tensor]
MOMENTS = ("exp_avg", "exp_avg_sq")


class ArmOptimiser:
    """AdamW over the rows of a buffer, in which each arm has all models, arm by arm.

    Args:
        buffer: weights and gradients (arms * models, L); a step changes the weights in place.
        settings: the recipe's; an arm may have a weight decay of its own.
        arms: in the order of the buffer.
        models: how many each arm has.
    """

    def __init__(self, buffer: WeightBuffer, settings: Optimiser, arms: Iterable[Arm], models: int) -> None:
        self._learning_rate = settings.learning_rate
        groups = []
        parts = (rows.split(models) for rows in (buffer.rows, buffer.gradients))
        for arm, weights, gradients in zip(arms, *parts, strict=True):
            weights.grad = gradients
            decay = settings.weight_decay if arm.weight_decay is None else arm.weight_decay
            groups.append({"params": [weights], "weight_decay": decay})
        self._adamw = torch.optim.AdamW(
            groups,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            fused=True,
        )

    def step(self, share: float) -> None:
        """Take one step at a share, 0 to 1, of the learning rate."""
        for group in self._adamw.param_groups:
            group["lr"] = self._learning_rate * share
        self._adamw.step()

    @property
    def moments(self) -> list[Moments]:
        """Step count and moments (models, L) of each arm; none before its first step."""
        return [dict(self._adamw.state.get(group["params"][0], {})) for group in self._adamw.param_groups]

    def take_up(self, moments: Iterable[Moments]) -> None:
        """Go on with the moments of each arm; an arm with none starts anew."""
        self._adamw.state.clear()
        for group, values in zip(self._adamw.param_groups, moments, strict=True):
            if values:
                self._adamw.state[group["params"][0]] = values


def moment_shapes(models: int, length: int) -> dict[str, torch.Size]:
    """Names and shapes of one arm's moments after a step, for rows of `length` values."""
    return {"step": torch.Size(), **dict.fromkeys(MOMENTS, torch.Size((models, length)))}
