"""The rest in the place of a core of a Markov chain's model: accuracy and cross-entropy with it kept or removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ace.arrays import Array
from ace.study.rest import Rest, jackknife
from ace.study.token_rest import FEW, GROUPS, rest_performance, rest_scores
from ace.study.tokens import TokenStudy


def rest_of(study: TokenStudy, mode: str, value: Callable[[int, Array], Array]) -> tuple[Rest, ...]:
    """The rest of every model.

    Args:
        value: a model, accuracy and cross-entropy (g, 2) with draws in its core's place -> (g) the claim's quantity.
    """

    def of(index: int) -> Rest:
        def values(numbers: Sequence[int]) -> Array:
            performance = rest_performance(study, index, mode, tuple(numbers))
            return np.asarray(value(index, performance))[:, None]

        def few(numbers: Sequence[int]) -> tuple[Array, Array]:
            scores = rest_scores(study, index, mode, tuple(numbers), FEW)
            return jackknife(lambda rows: value(index, scores[:, :, rows].mean(axis=2))[:, None], FEW, GROUPS)

        return Rest(str(index), (str(index),), values, few if len(study.base_scores(index)) > 2 * FEW else None)

    return tuple(map(of, study.members))
