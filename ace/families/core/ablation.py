"""Keeping and removing cores: what is left of a model's score, in units of what it scores above chance."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ace.arrays import Array
from ace.core import Core
from ace.model.intervene import Intervention
from ace.stats import Estimate, bootstrap, exact, quantile
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.subspaces import REST, random_subspaces
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

DRAWS = 199  # of the rest: the best of its 99 % is then one of the draws
LEVEL = 0.99


def relative(label: str, study: TokenStudy, index: int, scores: Array, reference: Array, sign: float = 1.0) -> Estimate:
    """`sign` times (scores - reference) over (base - chance), means over sequences (n), bootstrapped over sequences."""
    above = study.base_scores(index) - study.chance
    columns = np.column_stack([sign * (scores - reference), above])
    return bootstrap(label, columns, lambda mean: float(mean[0] / mean[1]))


def kept(study: TokenStudy, index: int, core: Core, mode: str, projector: str = "orthogonal") -> Array:
    """(n) scores of the evaluation sequences with a core kept or removed."""
    return study.scores(index, Intervention(core, mode, projector=projector).apply)


@remembered
def rest_scores(study: TokenStudy, index: int, mode: str) -> Array:
    """(draws) mean score with a random subspace of the rest kept or removed in the core's place."""
    core = study.core(index)

    def states() -> Tensor:
        return study.states(index, Split.EXTRACTION).flatten(0, 1)

    bases = random_subspaces(core, REST, DRAWS, seed=index, states=states)
    return np.array([kept(study, index, core.with_basis(basis), mode).mean() for basis in bases])


def _of_the_rest(study: TokenStudy, mode: str, reference: str, better: int) -> tuple[Estimate, ...]:
    """The value of the 99 % most favourable of the rest, for each model."""
    values = []
    for index in study.members:
        against = study.base_scores(index).mean() if reference == "base" else study.chance.mean()
        above = study.base_scores(index).mean() - study.chance.mean()
        drawn = (rest_scores(study, index, mode) - against) / above
        values.append(exact(str(index), better * quantile(better * drawn, LEVEL), count=DRAWS))
    return tuple(values)


@measures("the rest", "complement", "oblique")
def sufficiency(subject: TokenSubject) -> Measurement:
    """What keeping the core adds to the score, over what the model scores above chance: 0 where nothing is lost."""
    study = subject.trained

    def change(mode: str, projector: str = "orthogonal") -> tuple[Estimate, ...]:
        return tuple(
            relative(str(k), study, k, kept(study, k, study.core(k), mode, projector), study.base_scores(k))
            for k in study.members
        )

    return Measurement(
        change("keep"),
        {
            "the rest": _of_the_rest(study, "keep", "base", +1),
            "complement": change("remove"),
            "oblique": change("keep", "oblique"),
        },
        details=_scores(study),
    )


@measures("the rest", "oblique")
def necessity(subject: TokenSubject) -> Measurement:
    """How far the score without the core lies above, and below, chance, over what the model scores above chance."""
    study = subject.trained

    def both_sides(projector: str) -> tuple[Estimate, ...]:
        sides = (("above", 1.0), ("below", -1.0))
        return tuple(
            relative(f"{k}, {side}", study, k, kept(study, k, study.core(k), "remove", projector), study.chance, sign)
            for k in study.members
            for side, sign in sides
        )

    return Measurement(
        both_sides("orthogonal"),
        {"the rest": _of_the_rest(study, "remove", "chance", -1), "oblique": both_sides("oblique")},
        details=_scores(study),
    )


def _scores(study: TokenStudy) -> dict[str, object]:
    """What a reader wants beside keep and remove."""
    return {
        "base": [float(study.base_scores(k).mean()) for k in study.members],
        "chance": float(study.chance.mean()),
        "dimensions": [study.core(k).dimension for k in study.members],
        **{
            f"{mode}, {projector}": [
                float(kept(study, k, study.core(k), mode, projector).mean()) for k in study.members
            ]
            for mode in ("keep", "remove")
            for projector in ("orthogonal", "oblique")
        },
    }
