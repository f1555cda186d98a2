"""Keeping and removing cores, and subspaces in their place, in models of a Markov chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ace.compare import consensus
from ace.core import Core
from ace.rank import Gap, GivenSpectrum
from ace.stats import Estimate, bootstrap_mean
from ace.study.controls import edited, principal_core, random_accuracy, random_controls, random_loss
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

CONSENSUS_TIMES = 5
CONSENSUS_LEFT = 0.1


@measures("random, Haar", "random, covariance", "complement", "PCA")
def sufficiency(subject: TokenSubject) -> Measurement:
    """Accuracy with the core kept, minus base, on the same sequences."""
    study = subject.trained
    controls = random_controls(study, "keep", random_accuracy, +1, lambda k: study.base(k)[0].mean(axis=1))
    controls["complement"] = _kept(study, 0, study.core, "remove")
    controls["PCA"] = _kept(study, 0, lambda k: principal_core(study, k))
    return Measurement(_kept(study, 0, study.core), controls)


@measures("random, Haar", "random, covariance", "complement", "PCA")
def sufficiency_loss(subject: TokenSubject) -> Measurement:
    """Cross-entropy with the core kept, minus base, on the same sequences."""
    study = subject.trained
    controls = random_controls(study, "keep", random_loss, -1, lambda k: study.base(k)[1].mean(axis=1))
    controls["complement"] = _kept(study, 1, study.core, "remove")
    controls["PCA"] = _kept(study, 1, lambda k: principal_core(study, k))
    return Measurement(_kept(study, 1, study.core), controls)


@measures("random, Haar", "random, covariance", "PCA", "oblique")
def necessity(subject: TokenSubject) -> Measurement:
    """Accuracy with the core removed, minus that of the best constant guess, on the same sequences."""
    study = subject.trained

    def removed(core: Callable[[int], Core], projector: str = "orthogonal") -> tuple[Estimate, ...]:
        return tuple(
            bootstrap_mean(
                str(k), study.performance(k, edited(core(k), "remove", projector))[0].mean(axis=1) - study.chance
            )
            for k in range(len(study))
        )

    controls = random_controls(study, "remove", random_accuracy, -1, lambda k: study.chance)
    controls |= {"PCA": removed(lambda k: principal_core(study, k)), "oblique": removed(study.core, "oblique")}
    estimates = removed(study.core)
    return Measurement(
        estimates,
        controls,
        {"s.e. of chance": study.chance_error},
        {
            "chance": float(study.chance.mean()),
            "accuracy after removal": [float(study.chance.mean()) + estimate.value for estimate in estimates],
        },
    )


@measures("core as consensus", "untrained")
def consensus_substitute(subject: TokenSubject) -> Measurement:
    """Size of the consensus of the whole states and what its removal leaves, each over what the claim asks for."""
    study = subject.trained
    trained, details = _consensus_margins(study)
    untrained, beside = _consensus_margins(subject.twins())
    cores = tuple(
        _capped(_left(study, k, study.core(k)), 1 / CONSENSUS_TIMES) for k in range(len(study))
    )  # a consensus of the core's own rank has 1/5 of the size that is asked for
    return Measurement(
        trained,
        {"core as consensus": cores, "untrained": untrained},
        details={**details, "untrained": beside},
    )


def _kept(study: TokenStudy, measure: int, core: Callable[[int], Core], mode: str = "keep") -> tuple[Estimate, ...]:
    """Hits (measure 0) or cross-entropy (measure 1) with a core kept, or its complement, minus base."""
    estimates = []
    for index in range(len(study)):
        change = study.performance(index, edited(core(index), mode))[measure] - study.base(index)[measure]
        estimates.append(bootstrap_mean(str(index), change.mean(axis=1)))
    return tuple(estimates)


def _left(study: TokenStudy, index: int, core: Core) -> Estimate:
    """Accuracy above chance after a subspace is removed, over the 10 % that must be left."""
    hits = study.performance(index, edited(core, "remove"))[0].mean(axis=1) - study.chance
    return bootstrap_mean(str(index), hits / CONSENSUS_LEFT)


def _consensus_margins(study: TokenStudy) -> tuple[tuple[Estimate, ...], dict[str, Any]]:
    """The consensus ends before the largest relative gap of its agreement: no threshold to choose."""
    shared = consensus([study.states(k, Split.EXTRACTION).flatten(0, 1) for k in range(len(study))])
    agreement = shared.agreement
    size = Gap().choose(GivenSpectrum(agreement, len(agreement), lambda draws, generator: agreement)).value or 1
    bases = [study.core(k).with_basis(shared.basis(k, size)) for k in range(len(study))]
    left = [_left(study, k, bases[k]) for k in range(len(study))]
    margins = tuple(_capped(e, size / (CONSENSUS_TIMES * study.core(k).dimension)) for k, e in enumerate(left))
    above = [CONSENSUS_LEFT * estimate.value for estimate in left]
    return margins, {"rank": size, "accuracy above chance after removal": above, "agreement": agreement.tolist()}


def _capped(estimate: Estimate, limit: float) -> Estimate:
    replicates = None if estimate.replicates is None else np.minimum(estimate.replicates, limit)
    return Estimate(estimate.label, min(estimate.value, limit), replicates=replicates, count=estimate.count)
