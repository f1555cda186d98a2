"""One optimiser for groups of models in one buffer, each with a weight decay and moments of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ace.training.buffer import WeightBuffer
from ace.training.recipe import Optimiser

Moments = dict[str, Tensor]
MOMENTS = ("exp_avg", "exp_avg_sq")


class GroupOptimiser:
    """AdamW over the rows of a buffer, in groups of neighbouring rows.

    Args:
        buffer: weights and gradients (e, L); a step changes the weights in place.
        settings: the recipe's; its weight decay is not used.
        groups: (rows, weight decay) of each group, in the order of the buffer.
    """

    def __init__(self, buffer: WeightBuffer, settings: Optimiser, groups: Sequence[tuple[int, float]]) -> None:
        self._learning_rate = settings.learning_rate
        sizes = [rows for rows, _ in groups]
        parts = zip(buffer.rows.split(sizes), buffer.gradients.split(sizes), groups, strict=True)
        made = []
        for weights, gradients, (_, decay) in parts:
            weights.grad = gradients
            made.append({"params": [weights], "weight_decay": decay})
        self._adamw = torch.optim.AdamW(
            made,
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
        """Step count and moments (models, L) of each group; none before its first step."""
        return [dict(self._adamw.state.get(group["params"][0], {})) for group in self._adamw.param_groups]

    def take_up(self, moments: Iterable[Moments]) -> None:
        """Go on with the moments of each group; a group with none starts anew."""
        self._adamw.state.clear()
        for group, values in zip(self._adamw.param_groups, moments, strict=True):
            if values:
                self._adamw.state[group["params"][0]] = values


def moment_shapes(models: int, length: int) -> dict[str, torch.Size]:
    """Names and shapes of one group's moments after a step, for rows of `length` values."""
    return {"step": torch.Size(), **dict.fromkeys(MOMENTS, torch.Size((models, length)))}
