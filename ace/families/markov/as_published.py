"""The claims about Markov chains by the published protocol, on our models: what its choices do to its figures.

It differs from ours in this. A core is extracted from the test sequences that it is evaluated on, logits are not
centred over classes, so that a shift of all of them counts as an output, and what is kept or removed is kept or removed
about zero. Operators and canonical correlations are fitted on the sequences that they are judged on. Nothing is drawn,
nothing resampled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ace.arrays import Array
from ace.compare import canonical_correlations, overlap, weight_cosine
from ace.core import Core
from ace.extract import extract_core
from ace.families.core.operator import spectrum_distance, steps
from ace.families.markov.ablation import shared_subspaces
from ace.model.intervene import Intervention
from ace.moments import explained, moments, regression
from ace.study.memory import remembered
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.tasks.markov import MarkovChain

TEST = Split.EVALUATION  # 3,000 sequences, as published


@remembered
def published_core(study: TokenStudy, index: int) -> Core:
    """One model's core from the test sequences and the head's weight as it is, by the study's energy rule, .999."""
    weight, _ = study.head(index)
    return extract_core(study.states(index, TEST).flatten(0, 1), weight, rank=study.rank)


def _coordinates(study: TokenStudy, index: int) -> Array:
    return published_core(study, index).coordinates(study.states(index, TEST)).numpy()


def _accuracy(study: TokenStudy, index: int, core: Core, mode: str) -> float:
    return float(study.performance(index, Intervention(core, mode, reference="zero").apply)[0].mean())


def _base(study: TokenStudy, index: int) -> float:
    return float(study.base(index)[0].mean())


def _of_each(figure: Callable[[TokenStudy, int], float]) -> Callable[[TokenSubject], tuple[float, ...]]:
    """A figure of every model."""
    return lambda subject: tuple(float(figure(subject.trained, k)) for k in subject.trained.members)


def _of_pairs(figure: Callable[[TokenStudy, int, int], float]) -> Callable[[TokenSubject], tuple[float, ...]]:
    """A figure of every pair of models."""
    return lambda subject: tuple(float(figure(subject.trained, i, j)) for i, j in subject.trained.pairs)


def _below_oracle(study: TokenStudy, index: int) -> float:
    return _base(study, index) - float(study.batch(TEST).oracle_hits.mean())


def _kept(study: TokenStudy, index: int) -> float:
    return _accuracy(study, index, published_core(study, index), "keep") - _base(study, index)


def _removed(study: TokenStudy, index: int) -> float:
    return _accuracy(study, index, published_core(study, index), "remove")


def _distance(study: TokenStudy, index: int) -> float:
    wanted = study.expect_task(MarkovChain).eigenvalues
    return float(spectrum_distance(steps(_coordinates(study, index)).mean(axis=0), wanted))


def _r2_over_oracle(study: TokenStudy, index: int) -> float:
    shown = np.eye(study.task.vocabulary)[study.batch(TEST).inputs][..., :-1]
    return in_sample_r2(_coordinates(study, index)) / in_sample_r2(shown)


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


accuracy = _of_each(_below_oracle)
rank = _of_each(lambda study, k: published_core(study, k).dimension)
sufficiency = _of_each(_kept)
necessity = _of_each(_removed)
divergence = _of_pairs(lambda study, i, j: overlap(published_core(study, i).basis, published_core(study, j).basis))
weights = _of_pairs(lambda study, i, j: abs(weight_cosine(study.models[i], study.models[j])))
spectrum = _of_each(_distance)
oracle_r2 = _of_each(_r2_over_oracle)


def _smallest_correlation(study: TokenStudy, i: int, j: int) -> float:
    views = [published_core(study, k).coordinates(study.states(k, TEST)).flatten(0, 1) for k in (i, j)]
    return float(canonical_correlations(*views).min())


alignment = _of_pairs(_smallest_correlation)
