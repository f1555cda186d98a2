"""Keeping and removing cores, and subspaces in their place, in models of a Markov chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ace.arrays import Array
from ace.compare import consensus
from ace.core import Core
from ace.families.markov.the_rest import rest_of
from ace.families.trained import share_that_may_fail
from ace.rank import Gap, GivenSpectrum
from ace.stats import Estimate, bootstrap_mean, bootstrap_ratio
from ace.study.alternatives import CORE, core_or_alternative, shared_alternatives
from ace.study.controls import edited
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.subspaces import REST
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

CONSENSUS_TIMES = 5
CONSENSUS_LEFT = 0.1
ACCURACY, LOSS = 0, 1  # of what `TokenStudy.performance` gives

Quantity = Callable[[int, Array], Estimate]  # of a model, from accuracy and cross-entropy (2, n) under an edit


@remembered
def edited_performance(study: TokenStudy, index: int, name: str, mode: str, projector: str = "orthogonal") -> Array:
    """(2, n) accuracy, and cross-entropy in nats, of each evaluation sequence under an edit.

    Args:
        name: "core", or an alternative that stands in its place.
    """
    core = core_or_alternative(study, index, name)
    return np.stack([part.mean(axis=1) for part in study.performance(index, edited(core, mode, projector))])


def own_performance(study: TokenStudy, index: int) -> Array:
    """(2, n) the same of the model as it is."""
    return np.stack([part.mean(axis=1) for part in study.base(index)])


def _of_all(study: TokenStudy, quantity: Quantity, mode: str, name: str = CORE) -> tuple[Estimate, ...]:
    return tuple(quantity(k, edited_performance(study, k, name, mode)) for k in study.members)


def _beside(study: TokenStudy, quantity: Quantity, mode: str) -> dict[str, tuple[Estimate, ...]]:
    """The quantity by the other projector, and with each alternative in the core's place where every model has it."""
    return {
        "oblique": tuple(quantity(k, edited_performance(study, k, CORE, mode, "oblique")) for k in study.members),
        **{name: _of_all(study, quantity, mode, name) for name in shared_alternatives(study)},
    }


def _kept(study: TokenStudy, measure: int) -> Measurement:
    """Keeping the core: accuracy or cross-entropy minus the model's own, on the same sequences."""

    def change(index: int, performance: Array) -> Estimate:
        return bootstrap_mean(str(index), performance[measure] - own_performance(study, index)[measure])

    def drawn(index: int, performance: Array) -> Array:
        return np.asarray(performance[:, measure] - own_performance(study, index)[measure].mean())

    return Measurement(
        _of_all(study, change, "keep"),
        {"complement": _of_all(study, change, "remove")},
        details=share_that_may_fail(study),
        rest=rest_of(study, "keep", drawn),
        beside=_beside(study, change, "keep"),
    )


@measures(REST, "complement")
def sufficiency(subject: TokenSubject) -> Measurement:
    """Accuracy with the core kept, minus the model's own, on the same sequences."""
    return _kept(subject.trained, ACCURACY)


@measures(REST, "complement")
def sufficiency_loss(subject: TokenSubject) -> Measurement:
    """Cross-entropy with the core kept, minus the model's own, on the same sequences."""
    return _kept(subject.trained, LOSS)


@measures(REST)
def necessity(subject: TokenSubject) -> Measurement:
    """Accuracy above chance with the core removed, over that of the whole model, on the same sequences."""
    study = subject.trained
    chance = float(study.chance.mean())

    def above_chance(index: int, performance: Array) -> Estimate:
        columns = np.column_stack([performance[ACCURACY], own_performance(study, index)[ACCURACY]])
        return bootstrap_ratio(str(index), columns - study.chance[:, None])

    def drawn(index: int, performance: Array) -> Array:
        return np.asarray(
            (performance[:, ACCURACY] - chance) / (own_performance(study, index)[ACCURACY].mean() - chance)
        )

    return Measurement(
        _of_all(study, above_chance, "remove"),
        {},
        details={
            "chance": chance,
            "accuracy after removal": [
                float(edited_performance(study, k, CORE, "remove")[ACCURACY].mean()) for k in study.members
            ],
            **share_that_may_fail(study),
        },
        rest=rest_of(study, "remove", drawn),
        beside=_beside(study, above_chance, "remove"),
    )


@measures("untrained")
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
        {"untrained": untrained},
        details={**details, "untrained": beside, **share_that_may_fail(study)},
        beside={"core as consensus": cores},
    )


def _left(study: TokenStudy, index: int, core: Core) -> Estimate:
    """Accuracy above chance after a subspace is removed, over the 10 % that must be left."""
    hits = study.performance(index, edited(core, "remove"))[ACCURACY].mean(axis=1) - study.chance
    return bootstrap_mean(str(index), hits / CONSENSUS_LEFT)


def shared_subspaces(study: TokenStudy, split: Split) -> tuple[list[Core], list[float]]:
    """The consensus of the whole states of a split in each model, and all its agreements.

    It ends before the largest relative gap of its agreement: no threshold to choose.
    """
    shared = consensus([study.states(k, split).flatten(0, 1) for k in study.members])
    agreement = shared.agreement
    size = Gap().choose(GivenSpectrum(agreement, len(agreement), lambda draws, generator: agreement)).value or 1
    return [study.core(k).with_basis(shared.basis(k, size)) for k in study.members], agreement.tolist()


def _consensus_margins(study: TokenStudy) -> tuple[tuple[Estimate, ...], dict[str, Any]]:
    subspaces, agreement = shared_subspaces(study, Split.EXTRACTION)
    size = subspaces[0].dimension
    left = [_left(study, k, subspaces[k]) for k in study.members]
    margins = tuple(_capped(e, size / (CONSENSUS_TIMES * study.core(k).dimension)) for k, e in enumerate(left))
    above = [CONSENSUS_LEFT * estimate.value for estimate in left]
    return margins, {"rank": size, "accuracy above chance after removal": above, "agreement": agreement}


def _capped(estimate: Estimate, limit: float) -> Estimate:
    replicates = None if estimate.replicates is None else np.minimum(estimate.replicates, limit)
    return replace(estimate, value=min(estimate.value, limit), replicates=replicates)
