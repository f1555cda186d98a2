"""How like each other the cores of independently trained models are: subspaces, coordinates, and one run on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from ace.arrays import Array
from ace.core import OBLIQUE
from ace.errors import Inapplicable
from ace.families.core.alignment import aligned, coordinates, oblique, overlaps
from ace.families.core.operator import fitted_spectrum, known_eigenvalues, plane, spectrum_error, steps
from ace.families.core.size import require_cores, require_several
from ace.families.core.transplant import transplanted
from ace.linalg import random_frames
from ace.stats import Estimate, quantile
from ace.study.checks import as_tensor
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

NULL_DRAWS = 10_000
LEVEL = 0.999
VARIED = 1e-9  # share of the outputs' variance below which a direction of theirs is rounding
MOST_OUTPUTS = 1024

View = Callable[[TokenStudy, int, Split], Array]


@remembered
def outputs(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, s, k) the model's own outputs in the place of its core coordinates, in their leading principal directions.

    As many directions as the core has, or all that outputs vary in. Logits are centred over classes. Of more than
    1,024 outputs, as many random combinations stand for them. Directions come from the selection split.
    """

    def raw(of: Split) -> Tensor:
        batch, parts = study.batch(of), []
        for part in study.tail(index).outputs(as_tensor(batch.inputs), study.states(index, of), batch.scored):
            values = part.double()
            values = values - values.mean(dim=-1, keepdim=True) if study.task.logits else values
            if values.shape[-1] > MOST_OUTPUTS:
                mixture = torch.Generator().manual_seed(0)
                values = values @ torch.randn(values.shape[-1], MOST_OUTPUTS, generator=mixture, dtype=torch.float64)
            parts.append(values)
        return torch.cat(parts)

    fitted = raw(Split.SELECTION).flatten(0, 1)
    centred = fitted - fitted.mean(dim=0)
    _, sizes, axes = torch.linalg.svd(torch.linalg.qr(centred, mode="r").R)
    varied = int((sizes.square() > VARIED * sizes.square().sum()).sum())
    if varied == 0:
        raise Inapplicable(f"model {index} gives the same outputs for every input")
    return ((raw(split) - fitted.mean(dim=0)) @ axes[: min(varied, study.core(index).dimension)].T).numpy()


@measures("untrained")
def divergence(subject: TokenSubject) -> Measurement:
    """Overlap of the cores of each pair of models, over what 999 of 1,000 Haar subspaces of their ranks stay below.

    Raises:
        Inapplicable: one model alone, or models of different widths.
    """
    study, twins = require_cores(require_several(subject)), require_cores(subject.twins(), "untrained model")
    widths = sorted({study.core(k).width for k in study.members})
    if len(widths) > 1:
        raise Inapplicable(f"{subject.name}: states of different widths {widths} have no subspaces in common")
    return Measurement(
        _overlaps(study),
        {"untrained": _overlaps(twins)},
        details={"overlap": _plain_overlaps(study), "overlap, untrained": _plain_overlaps(twins)},
    )


def _overlaps(study: TokenStudy) -> tuple[Estimate, ...]:
    """Overlaps over what Haar subspaces of these ranks stay below."""
    estimates = []
    for (i, j), plain in zip(study.pairs, overlaps(study), strict=True):
        largest = _largest_by_chance(study.core(i).width, *sorted((study.core(i).dimension, study.core(j).dimension)))
        replicates = None if plain.replicates is None else plain.replicates / largest
        estimates.append(replace(plain, value=plain.value / largest, replicates=replicates))
    return tuple(estimates)


def _plain_overlaps(study: TokenStudy) -> dict[str, float]:
    return {estimate.label: estimate.value for estimate in overlaps(study)}


@lru_cache
def _largest_by_chance(width: int, smaller: int, larger: int) -> float:
    """What the overlap of two independent Haar subspaces of these ranks stays below in 999 of 1,000 draws."""
    frames = random_frames(width, smaller, NULL_DRAWS, torch.Generator().manual_seed(0))
    return quantile(frames[:, :larger].square().sum(dim=(1, 2)).numpy() / smaller, LEVEL)


@measures("untrained", "outputs")
def alignment(subject: TokenSubject) -> Measurement:
    """Smallest canonical correlation of the core coordinates of each pair; directions from the selection split.

    Raises:
        Inapplicable: one model alone, or models whose states have different positions.
    """
    study, twins = require_cores(require_several(subject)), require_cores(subject.twins(), "untrained model")
    places = sorted({study.states(k, Split.SELECTION).shape[1] for k in study.members})
    if len(places) > 1:
        raise Inapplicable(f"{subject.name}: models whose states have {places} positions have none to be compared at")
    trained, every = aligned(study, coordinates)
    untrained, others = aligned(twins, coordinates)
    beside, outward = aligned(study, outputs)
    return Measurement(
        trained,
        {"untrained": untrained, "outputs": beside},
        details={"all": every, "all, untrained": others, "all, outputs": outward},
    )


@measures("shuffled map", "untrained donor", "outputs")
def transplant(subject: TokenSubject) -> Measurement:
    """What each host loses when it is run on another model's core coordinates, over what it scores above chance."""
    study, twins = require_cores(require_several(subject)), require_cores(subject.twins(), "untrained model")
    return Measurement(
        transplanted(study, study, coordinates),
        {
            "shuffled map": transplanted(study, study, coordinates, shuffled=True),
            "untrained donor": transplanted(twins, study, coordinates),
            "outputs": transplanted(study, study, outputs),
        },
        beside={OBLIQUE: transplanted(study, study, oblique, projector=OBLIQUE)},
    )


@measures("untrained", "outputs")
def spectrum(subject: TokenSubject) -> Measurement:
    """Matching distance of the eigenvalues of the one-step operator in core coordinates to the task's known ones.

    Raises:
        Inapplicable: the task names no eigenvalues, or its states have one position.
    """
    wanted = known_eigenvalues(subject.trained.task)
    study, twins = require_cores(subject.trained), require_cores(subject.twins(), "untrained model")

    def with_steps(of: TokenStudy, view: View, index: int) -> Array:
        values = view(of, index, Split.EVALUATION)
        if values.shape[1] < 2:
            raise Inapplicable("states or outputs have a single position, so there is no step from one to the next")
        return values

    def distances(of: TokenStudy, view: View) -> tuple[Estimate, ...]:
        return tuple(spectrum_error(str(k), with_steps(of, view, k), wanted) for k in of.members)

    fitted = [fitted_spectrum(steps(with_steps(study, coordinates, k)).mean(axis=0)) for k in study.members]
    return Measurement(
        distances(study, coordinates),
        {"untrained": distances(twins, coordinates), "outputs": distances(study, outputs)},
        details={"true": plane(wanted), "fitted": [plane(values) for values in fitted]},
    )
