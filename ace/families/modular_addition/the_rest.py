"""The rest in the place of a core of modular addition: accuracy with its random subspaces kept or removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ace.arrays import Array
from ace.study.rest import Rest
from ace.study.token_rest import rest_performance
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split


def rest_hits(study: TokenStudy, index: int, mode: str, numbers: Sequence[int]) -> Array:
    """(g) how many of the evaluation pairs are answered with each draw of the rest kept or removed."""
    accuracy = rest_performance(study, index, mode, tuple(numbers))[:, 0]
    return np.round(accuracy * study.batch(Split.EVALUATION).targets.size)


def rest_of(study: TokenStudy, value: Callable[[int, Sequence[int]], Array]) -> tuple[Rest, ...]:
    """The rest of every model.

    Args:
        value: a model and numbers of draws (g) -> (g) the claim's quantity with each of them in the core's place.
    """

    def of(index: int) -> Rest:
        return Rest(str(index), (str(index),), lambda numbers: value(index, numbers)[:, None])

    return tuple(map(of, study.members))
