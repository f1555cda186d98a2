"""The rest in the place of the core of a model with a linear head: accuracy and cross-entropy, kept or removed."""

from __future__ import annotations

import numpy as np
import torch

from ace.arrays import Array
from ace.study.memory import remembered
from ace.study.rest import DRAWS
from ace.study.subspaces import Subspaces, rest_subspaces
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

FEW = 100  # sequences on which a draw is judged first
GROUPS = 20  # of them, left out in turn


@remembered
def rest_at(study: TokenStudy, index: int) -> Subspaces:
    """Draws of the rest at one model's site, from the states of the extraction split."""
    states = study.states(index, Split.EXTRACTION).flatten(0, 1)
    return rest_subspaces(study.core(index), states, DRAWS, seed=index)


@remembered
def rest_scores(
    study: TokenStudy, index: int, mode: str, numbers: tuple[int, ...], sequences: int | None = None
) -> Array:
    """(g, 2, n) accuracy and cross-entropy in nats of each evaluation sequence with each draw kept or removed, float32.

    A draw and the head make one map of the states, so that no state of full width is edited. Samples lie last, side by
    side in memory. A tie for the largest logit counts as right.

    Args:
        sequences: only so many, the first.

    Raises:
        Inapplicable: more than a linear head follows the site, or there is no rest to draw from.
    """
    drawn = rest_at(study, index).take(torch.tensor(numbers))
    weight, bias = (part.float() for part in study.head(index))
    kept = study.states(index, Split.EVALUATION)[:sequences].float()
    mean, states = study.core(index).mean.float(), kept.flatten(0, 1)
    targets = torch.from_numpy(study.batch(Split.EVALUATION).targets[:sequences]).flatten()
    maps = (weight.double() @ drawn.directions @ drawn.readers).float()  # (g, v, d)
    part = (maps.flatten(0, 1) @ (states - mean).T).view(len(numbers), len(weight), -1)
    if mode == "keep":
        logits = part.add_((weight @ mean + bias)[:, None])
    else:
        logits = part.neg_().add_(weight @ states.T + bias[:, None])
    chosen = logits.gather(1, targets.expand(len(numbers), 1, -1))[:, 0]
    scores = torch.stack([(chosen >= logits.amax(dim=1)).float(), logits.logsumexp(dim=1) - chosen], dim=1)
    return scores.view(len(numbers), 2, len(kept), -1).double().mean(dim=3).numpy()


def rest_performance(study: TokenStudy, index: int, mode: str, numbers: tuple[int, ...]) -> Array:
    """(g, 2) mean accuracy and cross-entropy of `rest_scores` on the whole evaluation split."""
    return np.asarray(rest_scores(study, index, mode, numbers).mean(axis=2))
