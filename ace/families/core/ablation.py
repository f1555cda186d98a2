"""Keeping and removing cores: what is left of a model's score, in units of what it scores above chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.core import OBLIQUE, ORTHOGONAL, PROJECTORS, Core
from ace.families.core.size import require_cores
from ace.model.intervene import Intervention
from ace.stats import Estimate, bootstrap_ratio
from ace.study.alternatives import CORE, core_or_alternative, shared_alternatives
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.rest import Rest, jackknife
from ace.study.subspaces import Subspaces
from ace.study.token_rest import rest_at
from ace.study.tokens import TokenStudy, TokenSubject

Value = Callable[[Array, Array, Array], list[float]]

SEQUENCES = 128  # on which a draw is first judged where the model itself has to be run
GROUPS = 16  # of them, left out in turn


def relative(label: str, study: TokenStudy, index: int, scores: Array, reference: Array, sign: float = 1.0) -> Estimate:
    """`sign` times (scores - reference) over (base - chance), means over sequences (n), bootstrapped over sequences."""
    above = study.base_scores(index) - study.chance
    columns = np.column_stack([sign * (scores - reference), above])
    return bootstrap_ratio(label, columns)


@remembered
def edited(study: TokenStudy, index: int, mode: str, projector: str, name: str = CORE) -> Array:
    """(n) scores of the evaluation sequences with a model's core kept or removed.

    Args:
        name: "core", or an alternative that stands in its place.
    """
    return study.scores(index, Intervention(core_or_alternative(study, index, name), mode, projector=projector).apply)


def rest_of(study: TokenStudy, index: int, mode: str, parts: tuple[str, ...], value: Value) -> Rest:
    """Draws of the rest, kept or removed in one model's core's place.

    Where the model itself has to be run, a draw is first judged on a few of the evaluation sequences.

    Args:
        value: scores (n), the model's own (n) and chance (n) of the same sequences -> one value a part.
    """
    core, own, chance = study.core(index), study.base_scores(index), study.chance

    def scores(number: int, rows: int | None) -> Array:
        drawn = rest_at(study, index).take(torch.tensor([number]))
        return study.scores(index, partial(_edited_once, drawn, core, mode), limit=rows)

    def on_all(numbers: Sequence[int]) -> Array:
        return np.array([value(scores(number, None), own, chance) for number in numbers])

    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        few = [scores(number, SEQUENCES) for number in numbers]

        def values(rows: Ints) -> Array:
            return np.array([value(each[rows], own[rows], chance[rows]) for each in few])

        return jackknife(values, SEQUENCES, GROUPS)

    many = study.tail(index).head is None and len(own) > 2 * SEQUENCES
    return Rest(str(index), parts, on_all, on_few if many else None)


def _edited_once(subspaces: Subspaces, core: Core, mode: str, states: Tensor) -> Tensor:
    """States (n, s, d) edited with one subspace; half precision is computed in float32."""
    working = states.to(torch.promote_types(states.dtype, torch.float32))
    return subspaces.edited(working.flatten(0, -2), core.mean, mode)[0].view_as(states).to(states.dtype)


@measures("the rest", "complement")
def sufficiency(subject: TokenSubject) -> Measurement:
    """What keeping the core adds to the score, over what the model scores above chance: 0 where nothing is lost."""
    study = require_cores(subject.trained)

    def change(mode: str, projector: str = ORTHOGONAL, name: str = CORE) -> tuple[Estimate, ...]:
        return tuple(
            relative(str(k), study, k, edited(study, k, mode, projector, name), study.base_scores(k))
            for k in study.members
        )

    def lost(scores: Array, own: Array, chance: Array) -> list[float]:
        return [float((scores - own).mean() / (own - chance).mean())]

    return Measurement(
        change("keep"),
        {"complement": change("remove")},
        details=_scores(study),
        rest=tuple(rest_of(study, k, "keep", (str(k),), lost) for k in study.members),
        beside=_beside(study, partial(change, "keep")),
    )


@measures("the rest")
def necessity(subject: TokenSubject) -> Measurement:
    """How far the score without the core lies above, and below, chance, over what the model scores above chance."""
    study = require_cores(subject.trained)

    def both_sides(projector: str = ORTHOGONAL, name: str = CORE) -> tuple[Estimate, ...]:
        return tuple(
            relative(f"{k}, {side}", study, k, edited(study, k, "remove", projector, name), study.chance, sign)
            for k in study.members
            for side, sign in (("above", 1.0), ("below", -1.0))
        )

    def left(scores: Array, own: Array, chance: Array) -> list[float]:
        above = float((scores - chance).mean() / (own - chance).mean())
        return [above, -above]

    return Measurement(
        both_sides(),
        {},
        details=_scores(study),
        rest=tuple(rest_of(study, k, "remove", (f"{k}, above", f"{k}, below"), left) for k in study.members),
        beside=_beside(study, both_sides),
    )


def _beside(study: TokenStudy, edit: Callable[..., tuple[Estimate, ...]]) -> dict[str, tuple[Estimate, ...]]:
    """The same by the oblique projector, and with each alternative in the core's place where every model has it."""
    return {OBLIQUE: edit(OBLIQUE), **{name: edit(name=name) for name in shared_alternatives(study)}}


def _scores(study: TokenStudy) -> dict[str, object]:
    """What a reader wants beside keep and remove."""
    return {
        "base": [float(study.base_scores(k).mean()) for k in study.members],
        "chance": float(study.chance.mean()),
        "dimensions": [study.core(k).dimension for k in study.members],
        **{
            f"{mode}, {projector}": [float(edited(study, k, mode, projector).mean()) for k in study.members]
            for mode in ("keep", "remove")
            for projector in PROJECTORS
        },
    }
