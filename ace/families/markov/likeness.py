"""How like each other models of a Markov chain are: weights, subspaces, coordinates, and one run on another."""

from __future__ import annotations

import numpy as np
import torch

from ace.compare import overlap, overlap_null, weight_cosine
from ace.families.core.alignment import oblique, overlaps
from ace.families.core.likeness import outputs
from ace.families.core.transplant import transplants
from ace.families.trained import share_that_may_fail
from ace.stats import Estimate, exact, quantile
from ace.study.controls import LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.training.transformer import SmallTransformer, initialise, without_weights

INITIALISATIONS = 50


@measures("untrained", "own initialisation")
def weights(subject: TokenSubject) -> Measurement:
    """Absolute cosine of the weights of each pair of seeds."""
    study, start = subject.trained, subject.twins()
    sizes = study.expect_model(0, SmallTransformer).sizes
    fresh = []
    for seed in range(INITIALISATIONS):
        model = without_weights(sizes)
        initialise(model, torch.Generator().manual_seed(10_000 + seed))
        fresh.append(model)
    null = [abs(weight_cosine(fresh[i], fresh[j])) for i in range(len(fresh)) for j in range(i)]

    def cosines(one: TokenStudy) -> tuple[Estimate, ...]:
        return tuple(exact(f"{i}-{j}", abs(weight_cosine(one.models[i], one.models[j]))) for i, j in one.pairs)

    own = tuple(exact(str(k), abs(weight_cosine(study.models[k], start.models[k]))) for k in range(len(study)))
    return Measurement(
        cosines(study),
        {"untrained": cosines(start), "own initialisation": own},
        {"99.9% of independent inits": quantile(np.array(null), LEVEL)},
        {"null median": float(np.median(null)), "null pairs": len(null), **share_that_may_fail(study)},
    )


@measures("untrained", "same model")
def divergence(subject: TokenSubject) -> Measurement:
    """Overlap of the cores of each pair of seeds."""
    study = subject.trained
    null = overlap_null(study.core(0).width, study.core(0).dimension, 10_000, torch.Generator().manual_seed(0))

    def same(index: int) -> Estimate:
        # The core of the same model from other data: the overlap that two estimates of one subspace have.
        return exact(str(index), overlap(study.core(index).basis, study.core_of(index, Split.SELECTION).basis))

    return Measurement(
        overlaps(study),
        {"untrained": overlaps(subject.twins()), "same model": tuple(same(k) for k in range(len(study)))},
        {"99.9% of Haar subspaces": quantile(null, LEVEL)},
        {
            "Haar quantiles .001, .5, .999": [float(q) for q in np.quantile(null, [0.001, 0.5, 0.999])],
            **share_that_may_fail(study),
        },
    )


@measures("shuffled map", "untrained donor", "outputs")
def transplant(subject: TokenSubject) -> Measurement:
    """Accuracy of each host on every donor's core coordinates, mapped affinely, minus the host's own."""
    return Measurement(
        transplants(subject.trained, subject.trained),
        {
            "shuffled map": transplants(subject.trained, subject.trained, shuffled=True),
            "untrained donor": transplants(subject.twins(), subject.trained),
            "outputs": transplants(subject.trained, subject.trained, view=outputs),
        },
        details=share_that_may_fail(subject.trained),
        beside={"oblique": transplants(subject.trained, subject.trained, view=oblique, projector="oblique")},
    )
