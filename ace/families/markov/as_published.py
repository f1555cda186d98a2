"""What is a Markov chain's alone in the published protocol: accuracy, the chain's oracle, its spectrum, its consensus.

How a core is extracted, kept and removed is the same for any task: see `ace.families.core.as_published`. Operators are
fitted on the sequences that they are judged on, too.
"""

from __future__ import annotations

import numpy as np

from ace.arrays import Array
from ace.compare import weight_cosine
from ace.core import Core
from ace.families.core.as_published import (
    TEST,
    of_each,
    of_pairs,
    published_coordinates,
    published_core,
    published_edit,
)
from ace.families.markov.ablation import shared_subspaces
from ace.moments import explained, moments, regression
from ace.study.tokens import TokenStudy, TokenSubject


def _accuracy(study: TokenStudy, index: int, core: Core, mode: str) -> float:
    return float(study.performance(index, published_edit(core, mode))[0].mean())


def _base(study: TokenStudy, index: int) -> float:
    return float(study.base(index)[0].mean())


def _below_oracle(study: TokenStudy, index: int) -> float:
    return _base(study, index) - float(study.batch(TEST).oracle_hits.mean())


def _kept(study: TokenStudy, index: int) -> float:
    return _accuracy(study, index, published_core(study, index), "keep") - _base(study, index)


def _removed(study: TokenStudy, index: int) -> float:
    return _accuracy(study, index, published_core(study, index), "remove")


def _r2_over_oracle(study: TokenStudy, index: int) -> float:
    shown = np.eye(study.task.vocabulary)[study.batch(TEST).inputs][..., :-1]
    return in_sample_r2(published_coordinates(study, index)) / in_sample_r2(shown)


def in_sample_r2(values: Array) -> float:
    """R2 of the next of coordinates (n, t, k), by the operator that was fitted to them."""
    step = moments(values[:, :-1], values[:, 1:])
    before, after = step.views
    slope, offset = regression(step.total, before, after)
    return float(explained(step.total, before, after, slope, offset))


def consensus(subject: TokenSubject) -> tuple[float, ...]:
    """Accuracy of every model without the consensus of the whole states."""
    study = subject.trained
    subspaces, _ = shared_subspaces(study, TEST)
    return tuple(_accuracy(study, k, subspaces[k], "remove") for k in study.members)


accuracy = of_each(_below_oracle)
sufficiency = of_each(_kept)
necessity = of_each(_removed)
weights = of_pairs(lambda study, i, j: abs(weight_cosine(study.models[i], study.models[j])))
oracle_r2 = of_each(_r2_over_oracle)
