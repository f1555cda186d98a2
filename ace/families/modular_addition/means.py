"""Class means of core coordinates on the evaluation pairs of each answer, as they are, resampled and relabelled."""

from __future__ import annotations

import numpy as np

from ace import rotation
from ace.arrays import Array, Complex, Ints
from ace.check import check_choice
from ace.families.core.likeness import outputs
from ace.study.controls import DRAWS
from ace.study.memory import remembered
from ace.study.replicates import REPLICATES
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

SOURCES = ("core", "outputs", "states")
SAMPLES = ("itself", "resampled", "relabelled")


@remembered
def coordinates(study: TokenStudy, index: int, source: str = "core") -> Array:
    """(n, k) what class means are taken of, on the evaluation pairs.

    Args:
        source: "core", core coordinates; "outputs", the model's own outputs in as many directions; "states", the whole
            states.
    """
    check_choice("source", source, SOURCES)
    if source == "states":
        return np.asarray(study.states(index, Split.EVALUATION)[:, -1].double().numpy())
    view = study.coordinates(index, Split.EVALUATION) if source == "core" else outputs(study, index, Split.EVALUATION)
    return view[:, -1]


def answers(study: TokenStudy) -> Ints:
    """(n) the right answer of each evaluation pair."""
    return study.batch(Split.EVALUATION).targets[:, -1]


def class_means(study: TokenStudy, index: int, source: str = "core") -> Array:
    """(p, k) means of one model's coordinates on the evaluation pairs of each answer."""
    return rotation.class_means(coordinates(study, index, source), answers(study), study.task.vocabulary)


def resampled_means(study: TokenStudy, index: int, source: str = "core") -> Array:
    """(b, p, k) class means of pairs drawn with replacement among those of the same answer."""
    values, rng = coordinates(study, index, source), np.random.default_rng(index)
    return rotation.resampled_means(values, answers(study), study.task.vocabulary, REPLICATES, rng)


def random_orders(study: TokenStudy, index: int) -> Ints:
    """(b, p) random orders of the answers: the null of what is said of c and c + 1."""
    return rotation.random_orders(study.task.vocabulary, DRAWS, np.random.default_rng(index))


def operator_rank(study: TokenStudy, index: int, source: str = "core") -> int:
    """How many of the coordinates the operator acts on: at most a third of p - 1, so that edges can be held out."""
    return rotation.rank_limit(study.task.vocabulary, coordinates(study, index, source).shape[1])


@remembered
def eigenvalues(study: TokenStudy, index: int, sample: str = "itself", source: str = "core") -> Complex:
    """(b, folds, rank) eigenvalues of shift operators fitted without a fifth of the edges each.

    Two claims look at them, of which one may be asked without the other.

    Args:
        sample: "itself", one set of class means; "resampled", by pairs; "relabelled", in random orders of the answers.
    """
    check_choice("sample", sample, SAMPLES)
    if sample == "resampled":
        means = resampled_means(study, index, source)
    else:
        means = class_means(study, index, source)
        means = means[random_orders(study, index)] if sample == "relabelled" else means[None]
    return rotation.held_out_eigenvalues(means, operator_rank(study, index, source))
