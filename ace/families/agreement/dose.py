"""Does the contrast follow the strength of the edit, all the way to the other number?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ace.arrays import Array
from ace.core import OBLIQUE, ORTHOGONAL
from ace.families.agreement.shown import band, digits
from ace.model.intervene import Intervention
from ace.stats import Estimate, clustered_proportion
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_rest import Runs, evaluation_runs, few_runs, own_contrasts, pushed_subspaces, rest_at
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import BATCH, Rest, jackknife
from ace.study.site_choice import rank_of
from ace.study.subspaces import Subspaces
from ace.tasks.base import Split

STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75, -1.0)


@measures("the rest")
def dose(subject: PromptSubject) -> Measurement:
    """Share of prompts whose contrast moves one way all along, strength 1 to -1, and ends with the other sign."""
    models = subject.trained
    curves = {projector: [_curves(study, projector) for study in models.studies] for projector in (OBLIQUE, ORTHOGONAL)}

    def shares(projector: str) -> tuple[Estimate, ...]:
        return tuple(
            _share(str(k), study, curve)
            for k, (study, curve) in enumerate(zip(models.studies, curves[projector], strict=True))
        )

    return Measurement(
        shares(OBLIQUE),
        {},
        details={
            "strengths": list(STRENGTHS),
            "curves": [_means(study, curve) for study, curve in zip(models.studies, curves[OBLIQUE], strict=True)],
            "the rest": [_band(study) for study in models.studies],
        },
        site=models.sites(OBLIQUE),
        rest=tuple(_rest(str(k), study) for k, study in enumerate(models.studies)),
        beside={ORTHOGONAL: shares(ORTHOGONAL)},
    )


def _curves(study: PromptStudy, projector: str) -> Array:
    """(strengths, n) contrasts of the evaluation prompts, at the site chosen for the oblique projector."""
    choice = study.choice(OBLIQUE)
    core = study.core(choice.site, rank_of(choice))
    steps = [Intervention(core, "scale", strength=strength, projector=projector) for strength in STRENGTHS]
    return study.push(Split.EVALUATION, choice.site, steps)


def turned(curves: Array) -> Array:
    """(..., n) 1 where curves (strengths, ..., n) move one way at every step and end with the other sign, else 0."""
    moves = np.diff(curves, axis=0) * -np.sign(curves[0])
    return ((moves > 0).all(axis=0) & (curves[0] * curves[-1] < 0)).astype(np.float64)


def _share(label: str, study: PromptStudy, curves: Array) -> Estimate:
    hits, clusters = turned(curves).astype(np.int64), study.prompts(Split.EVALUATION).clusters
    return clustered_proportion(label, np.bincount(clusters, hits).astype(np.int64), np.bincount(clusters))


def _rest(label: str, study: PromptStudy) -> Rest:
    """The same share for draws of the rest, each made as strong as the core's edit: equal mean squared displacement."""
    few = study.few_rows(Split.EVALUATION)

    def on_all(numbers: Sequence[int]) -> Array:
        return turned(_rest_curves(study, numbers, evaluation_runs(study))).mean(axis=1)[:, None]

    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        """Shares of prompts that end on the other side: those that turn monotonically are no more."""
        first, last = _rest_curves(study, numbers, few_runs(study, None), STRENGTHS[-1:])
        shares = (first * last < 0).astype(np.float64)  # (g, few)
        return jackknife(lambda rows: shares[:, rows].mean(axis=1)[:, None], len(few), len(few))

    many = len(study.labels(Split.EVALUATION)) > 2 * len(few)
    return Rest(label, (label,), on_all, on_few if many else None)


@remembered
def _few_curves(study: PromptStudy, numbers: tuple[int, ...]) -> Array:
    """(strengths, g, few) contrasts of few prompts along draws of the rest."""
    return _rest_curves(study, numbers, few_runs(study, None))


def _rest_curves(
    study: PromptStudy, numbers: Sequence[int], runs: Runs, strengths: Sequence[float] = STRENGTHS[1:]
) -> Array:
    """(1 + strengths, g, n) contrasts without edit and along draws of the rest, as strong as the core's edit."""
    choice = study.choice(OBLIQUE)
    rank = rank_of(choice)
    core = study.core(choice.site, rank)
    states = study.states(Split.EVALUATION, choice.site).double() - core.mean
    moved = (states @ core.readers.T @ core.directions.T).square().sum(dim=1).mean()
    drawn = rest_at(study, choice.site, rank, choice.projector).take(torch.tensor(numbers))
    each = (states @ drawn.readers.mT @ drawn.directions.mT).square().sum(dim=2).mean(dim=1)
    scaled = Subspaces(drawn.directions * (moved / each).sqrt()[:, None, None], drawn.readers)
    steps = [pushed_subspaces(study, runs, choice, scaled, strength) for strength in strengths]
    return np.stack([np.broadcast_to(own_contrasts(runs), steps[0].shape), *steps])


def _band(study: PromptStudy) -> dict[str, Any]:
    """Mean contrast of each number at every strength along the first draws of the rest, for the figure."""
    curves, labels = (
        _few_curves(study, tuple(range(BATCH))),
        study.labels(Split.EVALUATION)[study.few_rows(Split.EVALUATION)],
    )
    return {
        "draws": BATCH,
        "prompts": len(labels),
        **{
            name: band(curves[:, :, labels == number].mean(axis=2).T)
            for number, name in enumerate(("singular", "plural"))
        },
    }


def _means(study: PromptStudy, curves: Array) -> dict[str, Any]:
    """Mean contrast of each number at every strength, and how far remove lies from the middle of clean and flip."""
    labels = study.labels(Split.EVALUATION)
    middle = (curves[0] + curves[-1]) / 2
    off = np.abs(curves[STRENGTHS.index(0.0)] - middle).mean() / np.abs(curves[0] - curves[-1]).mean()
    return {
        "singular": digits(curves[:, labels == 0].mean(axis=1)),
        "plural": digits(curves[:, labels == 1].mean(axis=1)),
        "distance of remove from the midpoint": float(off),
    }
