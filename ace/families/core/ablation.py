"""Keeping and removing cores: what is left of a model's score, in units of what it scores above chance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.core import Core
from ace.errors import Inapplicable
from ace.families.core.size import require_cores
from ace.model.intervene import Intervention
from ace.stats import Estimate, bootstrap, exact, quantile
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.subspaces import REST, random_subspaces
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

DRAWS = 199  # of the rest; with one more as good as the core its rank p-value is .01
LEVEL = 0.99
ROUNDING = 1e-6  # of the states' size: what is below is no direction that they vary in
SEQUENCES = 256  # for each draw where the model itself has to be run; the whole model is measured on the same ones


def relative(label: str, study: TokenStudy, index: int, scores: Array, reference: Array, sign: float = 1.0) -> Estimate:
    """`sign` times (scores - reference) over (base - chance), means over sequences (n), bootstrapped over sequences."""
    above = study.base_scores(index) - study.chance
    columns = np.column_stack([sign * (scores - reference), above])
    return bootstrap(label, columns, lambda mean: float(mean[0] / mean[1]))


@remembered
def edited(study: TokenStudy, index: int, mode: str, projector: str) -> Array:
    """(n) scores of the evaluation sequences with a model's core kept or removed."""
    return study.scores(index, Intervention(study.core(index), mode, projector=projector).apply)


def rows_of_the_rest(study: TokenStudy, index: int) -> int | None:
    """How many evaluation sequences random subspaces are scored on: all (None) below a linear head, else the first."""
    return None if study.tail(index).head is not None else SEQUENCES


@remembered
def rest_scores(study: TokenStudy, index: int, mode: str) -> Array:
    """(draws) mean score with a random subspace of the rest kept or removed in the core's place.

    Raises:
        Inapplicable: states outside the core have fewer directions than the core.
    """
    core, states = study.core(index), study.states(index, Split.EXTRACTION).flatten(0, 1)
    _require_rest(core, states, index)
    bases = random_subspaces(core, REST, DRAWS, seed=index, states=lambda: states)
    edits = [Intervention(core.with_basis(basis), mode).apply for basis in bases]
    return np.array([study.scores(index, edit, limit=rows_of_the_rest(study, index)).mean() for edit in edits])


def _require_rest(core: Core, states: Tensor, index: int) -> None:
    """Random subspaces of the core's rank, orthogonal to it, are there only where states vary in as many directions."""
    centred = states.double() - core.mean
    outside = torch.linalg.qr(centred - centred @ core.basis @ core.basis.T, mode="r").R
    varied = int((torch.linalg.svdvals(outside) > ROUNDING * float(centred.norm())).sum())
    if varied < core.dimension:
        raise Inapplicable(
            f"model {index}: the core takes {core.dimension} of {core.width} dimensions and states vary in {varied}"
            " others, too few for random subspaces of its size"
        )


def _of_the_rest(study: TokenStudy, mode: str, better: int) -> tuple[Estimate, ...]:
    """The value of the 99 % most favourable of the rest, for each model.

    Args:
        better: +1 where keeping it shall change the score little: the change, the larger the better. -1 where removing
            it shall bring the score to chance: the distance, to either side, the smaller the better.
    """
    values = []
    for index in study.members:
        scores, rows = rest_scores(study, index, mode), rows_of_the_rest(study, index)
        base, chance = (float(part[:rows].mean()) for part in (study.base_scores(index), study.chance))
        drawn = (scores - base if better > 0 else np.abs(scores - chance)) / (base - chance)
        values.append(exact(str(index), better * quantile(better * drawn, LEVEL), count=DRAWS))
    return tuple(values)


@measures("the rest", "complement", "oblique")
def sufficiency(subject: TokenSubject) -> Measurement:
    """What keeping the core adds to the score, over what the model scores above chance: 0 where nothing is lost."""
    study = require_cores(subject.trained)

    def change(mode: str, projector: str = "orthogonal") -> tuple[Estimate, ...]:
        return tuple(
            relative(str(k), study, k, edited(study, k, mode, projector), study.base_scores(k)) for k in study.members
        )

    return Measurement(
        change("keep"),
        {
            "the rest": _of_the_rest(study, "keep", +1),
            "complement": change("remove"),
            "oblique": change("keep", "oblique"),
        },
        details=_scores(study),
    )


@measures("the rest", "oblique")
def necessity(subject: TokenSubject) -> Measurement:
    """How far the score without the core lies above, and below, chance, over what the model scores above chance."""
    study = require_cores(subject.trained)

    def both_sides(projector: str) -> tuple[Estimate, ...]:
        return tuple(
            relative(f"{k}, {side}", study, k, edited(study, k, "remove", projector), study.chance, sign)
            for k in study.members
            for side, sign in (("above", 1.0), ("below", -1.0))
        )

    return Measurement(
        both_sides("orthogonal"),
        {"the rest": _of_the_rest(study, "remove", -1), "oblique": both_sides("oblique")},
        details=_scores(study),
    )


def _scores(study: TokenStudy) -> dict[str, object]:
    """What a reader wants beside keep and remove."""
    return {
        "base": [float(study.base_scores(k).mean()) for k in study.members],
        "chance": float(study.chance.mean()),
        "dimensions": [study.core(k).dimension for k in study.members],
        **{
            f"{mode}, {projector}": [float(edited(study, k, mode, projector).mean()) for k in study.members]
            for mode in ("keep", "remove")
            for projector in ("orthogonal", "oblique")
        },
    }
