"""The rest in the place of the core of a model with a linear head: accuracy and cross-entropy, kept or removed."""

from __future__ import annotations

import torch

from ace.arrays import Array
from ace.study.memory import remembered
from ace.study.rest import DRAWS
from ace.study.subspaces import Subspaces, rest_subspaces
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split


@remembered
def rest_at(study: TokenStudy, index: int) -> Subspaces:
    """Draws of the rest at one model's site, from the states of the extraction split."""
    states = study.states(index, Split.EXTRACTION).flatten(0, 1)
    return rest_subspaces(study.core(index), states, DRAWS, seed=index)


@remembered
def rest_performance(study: TokenStudy, index: int, mode: str, numbers: tuple[int, ...]) -> Array:
    """(g, 2) accuracy and cross-entropy in nats on the evaluation split with each draw kept or removed, float32.

    A draw and the head make one map of the states, so that no state of full width is edited. Samples lie last, side by
    side in memory. A tie for the largest logit counts as right.

    Raises:
        Inapplicable: more than a linear head follows the site, or there is no rest to draw from.
    """
    drawn = rest_at(study, index).take(torch.tensor(numbers))
    weight, bias = (part.float() for part in study.head(index))
    mean, states = study.core(index).mean.float(), study.states(index, Split.EVALUATION).flatten(0, 1).float()
    targets = torch.from_numpy(study.batch(Split.EVALUATION).targets).flatten()
    maps = (weight.double() @ drawn.directions @ drawn.readers).float()  # (g, v, d)
    part = (maps.flatten(0, 1) @ (states - mean).T).view(len(numbers), len(weight), -1)
    if mode == "keep":
        logits = part.add_((weight @ mean + bias)[:, None])
    else:
        logits = part.neg_().add_(weight @ states.T + bias[:, None])
    chosen = logits.gather(1, targets.expand(len(numbers), 1, -1))[:, 0]
    right = (chosen >= logits.amax(dim=1)).double().mean(dim=1)
    return torch.stack([right, (logits.logsumexp(dim=1) - chosen).double().mean(dim=1)], dim=1).numpy()
