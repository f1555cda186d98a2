"""The rest in the place of a core of a Markov chain's model: accuracy and cross-entropy with it kept or removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ace.arrays import Array
from ace.study.rest import Rest, jackknife_error
from ace.study.token_rest import FEW, few_performance, rest_performance
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
            performance, without = few_performance(study, index, mode, tuple(numbers))
            errors = jackknife_error(np.array([value(index, part) for part in without]))
            return np.asarray(value(index, performance))[:, None], errors[:, None]

        return Rest(str(index), (str(index),), values, few if len(study.base_scores(index)) > 2 * FEW else None)

    return tuple(map(of, study.members))
