"""The axis of number as a knob: the contrast against the core coordinate, and against the strength of an edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.auc import cluster_sums
from ace.families.agreement.controls import (
    control_prompts,
    pushed_subspaces,
    random_bases_at,
    random_contrasts,
)
from ace.model.continuation import encode_prompts, scattered
from ace.model.intervene import Intervention
from ace.model.prefix import PrefixRun
from ace.model.sites import Site
from ace.stats import Estimate, bootstrap, exact, quantile
from ace.study.controls import DRAWS, LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import rank_of
from ace.study.subspaces import KINDS
from ace.tasks.base import Split

STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75, -1.0)
FOLLOWED = 25  # random subspaces followed step by step at a time


@measures("random, Haar", "random, covariance", "embedding of the last token")
def knob(subject: PromptSubject) -> Measurement:
    """R2 on the evaluation split of the contrast as an affine function of the core coordinates, fitted on selection."""
    models = subject.trained

    def held_out(site_of: Callable[[PromptStudy], Site]) -> tuple[Estimate, ...]:
        return tuple(_held_out_r2(str(k), study, site_of(study)) for k, study in enumerate(models.studies))

    controls = {}
    for kind in KINDS:
        drawn = [_random_r2(study, kind) for study in models.studies]
        controls[kind] = tuple(
            exact(str(k), quantile(values, LEVEL), count=len(values)) for k, values in enumerate(drawn)
        )
    controls["embedding of the last token"] = held_out(lambda study: study.sites[0])
    return Measurement(
        held_out(lambda study: study.top.site),
        controls,
        details={"points": [_points(study) for study in models.studies]},
    )


def _held_out_r2(label: str, study: PromptStudy, site: Site) -> Estimate:
    """R2 of the contrast on the core coordinates at a site, bootstrapped over head nouns."""
    core = study.core(site, rank_of(study.top))
    splits = (Split.SELECTION, Split.EVALUATION)
    before, after = (core.coordinates(study.states(split, site)) for split in splits)
    residual = _residuals(study, before[None], after[None])[0]
    wanted = study.base(Split.EVALUATION)
    columns = np.column_stack([residual**2, wanted, wanted**2, np.ones(len(wanted))])
    sums = cluster_sums(columns, study.prompts(Split.EVALUATION).clusters)
    return bootstrap(label, sums, lambda mean: float(1 - mean[0] / (mean[2] - mean[1] ** 2 / mean[3])))


def _random_r2(study: PromptStudy, kind: str) -> Array:
    """(draws) the same R2, on the same prompts, for random subspaces in the core's place."""
    site, rank = study.top.site, rank_of(study.top)
    frames, mean = random_bases_at(study, site, rank, kind), study.core(site, rank).mean
    splits = (Split.SELECTION, Split.EVALUATION)
    before, after = ((study.states(split, site).double() - mean) @ frames for split in splits)
    wanted = study.base(Split.EVALUATION)
    unexplained = (_residuals(study, before, after) ** 2).sum(axis=1)
    return np.asarray(1 - unexplained / ((wanted - wanted.mean()) ** 2).sum())


def _residuals(study: PromptStudy, before: Tensor, after: Tensor) -> Array:
    """(draws, n) contrasts of the evaluation split less lines in coordinates (draws, n, r) fitted on selection."""
    contrasts = torch.from_numpy(study.base(Split.SELECTION))
    line = torch.linalg.lstsq(_with_ones(before), contrasts.expand(len(before), -1)[..., None]).solution
    return np.asarray(study.base(Split.EVALUATION) - (_with_ones(after) @ line)[..., 0].numpy())


def _with_ones(coordinates: Tensor) -> Tensor:
    """(draws, n, r + 1) coordinates (draws, n, r) and a constant."""
    return torch.cat([coordinates, torch.ones_like(coordinates[..., :1])], dim=-1)


def _points(study: PromptStudy) -> dict[str, list[float]]:
    """Core coordinate and contrast of every evaluation prompt, clean and flipped, for the figure."""
    site = study.top.site
    core = study.core(site, 1)
    return {
        "coordinate": core.coordinates(study.states(Split.EVALUATION, site))[:, 0].tolist(),
        "contrast": study.base(Split.EVALUATION).tolist(),
        "flipped": study.ablated(Split.EVALUATION, site, 1)[2].tolist(),
        "label": study.labels(Split.EVALUATION).tolist(),
    }


@measures("random, Haar", "random, covariance")
def dose(subject: PromptSubject) -> Measurement:
    """Share of prompts whose contrast moves one way all along, strength 1 to -1, and ends with the other sign."""
    models = subject.trained
    curves = [_curves(study) for study in models.studies]
    controls = {}
    for kind in KINDS:
        shares = [_best_random_share(study, kind) for study in models.studies]
        controls[kind] = tuple(exact(str(k), share, count=DRAWS) for k, share in enumerate(shares))
    return Measurement(
        tuple(
            _turned_share(str(k), study, curve)
            for k, (study, curve) in enumerate(zip(models.studies, curves, strict=True))
        ),
        controls,
        details={
            "strengths": list(STRENGTHS),
            "curves": [_dose_curve(study, curve) for study, curve in zip(models.studies, curves, strict=True)],
        },
    )


def _curves(study: PromptStudy) -> Array:
    """(strengths, n) contrasts of the evaluation prompts."""
    core = study.core(study.top.site, rank_of(study.top))
    steps = [Intervention(core, "scale", strength=strength) for strength in STRENGTHS]
    return study.push(Split.EVALUATION, study.top.site, steps)


def _turned(curves: Array) -> Array:
    """(..., n) 1 where curves (strengths, ..., n) move one way at every step and end with the other sign, else 0."""
    moves = np.diff(curves, axis=0) * -np.sign(curves[0])
    return ((moves > 0).all(axis=0) & (curves[0] * curves[-1] < 0)).astype(np.float64)


def _turned_share(label: str, study: PromptStudy, curves: Array) -> Estimate:
    turned = _turned(curves)
    sums = cluster_sums(np.column_stack([turned, np.ones(len(turned))]), study.prompts(Split.EVALUATION).clusters)
    return bootstrap(label, sums, lambda mean: float(mean[0] / mean[1]))


def _best_random_share(study: PromptStudy, kind: str) -> float:
    """The largest share of prompts that one of 1,000 random subspaces turns step by step: their 99.9 % quantile.

    A subspace turns no more prompts step by step than its flip turns, so few have to be followed through all steps.
    """
    site, rank = study.top.site, rank_of(study.top)
    flipped = random_contrasts(study, site, rank, kind)
    most = (flipped.edited["flip"] * flipped.base < 0).mean(axis=1)  # what no share can exceed
    groups = encode_prompts(study.language, control_prompts(study)[0])
    runs = [PrefixRun(study.language, group) for group in groups]
    core, frames = study.core(site, rank), random_bases_at(study, site, rank, kind)
    best = 0.0
    for rows in np.array_split(np.argsort(-most), max(1, len(most) // FOLLOWED)):
        if most[rows[0]] <= best:
            break
        followed = frames[torch.from_numpy(rows)]
        steps = [
            scattered(
                groups, (pushed_subspaces(run, site, core.mean, followed, strength) for run in runs), axis=1
            ).numpy()
            for strength in STRENGTHS
        ]
        best = max(best, float(_turned(np.stack(steps)).mean(axis=1).max()))
    return best


def _dose_curve(study: PromptStudy, curves: Array) -> dict[str, Any]:
    """Mean contrast of each number at every strength, and how far remove lies from the middle of clean and flip."""
    labels = study.labels(Split.EVALUATION)
    middle = (curves[0] + curves[-1]) / 2
    off = np.abs(curves[STRENGTHS.index(0.0)] - middle).mean() / np.abs(curves[0] - curves[-1]).mean()
    return {
        "singular": curves[:, labels == 0].mean(axis=1).tolist(),
        "plural": curves[:, labels == 1].mean(axis=1).tolist(),
        "distance of remove from the midpoint": float(off),
    }
