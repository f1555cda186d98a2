"""The rest in the place of a core of modular addition: accuracy with its random subspaces kept or removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ace.arrays import Array
from ace.study.memory import remembered
from ace.study.rest import DRAWS, Rest
from ace.study.subspaces import Subspaces, rest_subspaces
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split


@remembered
def _subspaces(study: TokenStudy, index: int) -> Subspaces:
    states = study.states(index, Split.EXTRACTION).flatten(0, 1)
    return rest_subspaces(study.core(index), states, DRAWS, seed=index)


@remembered
def _hits(study: TokenStudy, index: int, mode: str, numbers: tuple[int, ...]) -> Array:
    """(g) how many of the evaluation pairs are answered with each draw kept or removed.

    One product a draw: its coordinates add to the logits of the mean, or are taken from those of the state.

    Raises:
        Inapplicable: more than a linear head follows the site, or there is no rest to draw from.
    """
    drawn = _subspaces(study, index).take(torch.tensor(numbers))
    weight, bias = study.head(index)
    mean, states = study.core(index).mean, study.states(index, Split.EVALUATION).flatten(0, 1).double()
    targets = torch.from_numpy(study.batch(Split.EVALUATION).targets).flatten()
    part = ((states - mean) @ drawn.readers.mT) @ (weight @ drawn.directions).mT  # (g, n, v)
    logits = weight @ mean + bias + part if mode == "keep" else states @ weight.T + bias - part
    return np.asarray((logits.argmax(dim=-1) == targets).sum(dim=1).double().numpy())


def rest_hits(study: TokenStudy, index: int, mode: str, numbers: Sequence[int]) -> Array:
    """(g) how many of the evaluation pairs are answered with each draw of the rest kept or removed."""
    return _hits(study, index, mode, tuple(numbers))


def rest_of(study: TokenStudy, value: Callable[[int, Sequence[int]], Array]) -> tuple[Rest, ...]:
    """The rest of every model.

    Args:
        value: a model and numbers of draws (g) -> (g) the claim's quantity with each of them in the core's place.
    """

    def of(index: int) -> Rest:
        return Rest(str(index), (str(index),), lambda numbers: value(index, numbers)[:, None])

    return tuple(map(of, study.members))
