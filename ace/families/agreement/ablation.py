"""Keeping, removing and reflecting the axis of number, at the chosen site, below the top, and at the final norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ace.arrays import Array
from ace.auc import Discrimination, chance_halfwidth, estimate, simple_auc
from ace.core import Core
from ace.families.agreement.controls import (
    ablation,
    chosen_ablation,
    control_prompts,
    other_studies,
    random_contrasts,
)
from ace.linalg import random_frames
from ace.model.intervene import Intervention
from ace.stats import Estimate, exact, quantile
from ace.study.controls import LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import MARGIN, Choice, rank_of
from ace.study.subspaces import KINDS
from ace.tasks.base import Split

SLACK = 0.05  # of an AUC that should be at chance, or reflected
BASE, KEEP, REMOVE, FLIP = range(4)

Pair = tuple[float, Array]  # a value and its replicates


def kept_loss(by_mode: Discrimination) -> Pair:
    """AUC with the core kept minus the model's own."""
    return float(by_mode.auc[KEEP] - by_mode.auc[BASE]), by_mode.auc_replicates[KEEP] - by_mode.auc_replicates[BASE]


def complement_kept(by_mode: Discrimination) -> Pair:
    """AUC with everything but the core kept minus the model's own."""
    return float(by_mode.auc[REMOVE] - by_mode.auc[BASE]), by_mode.auc_replicates[REMOVE] - by_mode.auc_replicates[BASE]


def left_over(by_mode: Discrimination) -> Pair:
    """Distance from .5 of the AUC with the core removed."""
    return abs(float(by_mode.auc[REMOVE]) - 0.5), np.abs(by_mode.auc_replicates[REMOVE] - 0.5)


def unreflected(by_mode: Discrimination) -> Pair:
    """By how much AUC or accuracy under the flip, whichever is worse, exceeds one minus the model's own."""
    auc = float(by_mode.auc[FLIP] - (1 - by_mode.auc[BASE]))
    accuracy = float(by_mode.accuracy[FLIP] - (1 - by_mode.accuracy[BASE]))
    auc_draws = by_mode.auc_replicates[FLIP] - (1 - by_mode.auc_replicates[BASE])
    accuracy_draws = by_mode.accuracy_replicates[FLIP] - (1 - by_mode.accuracy_replicates[BASE])
    return max(auc, accuracy), np.maximum(auc_draws, accuracy_draws)


def excess(by_mode: Discrimination, halfwidth: float) -> Pair:
    """The worst of the three, each less what it is allowed: at most 0 where all three hold.

    Args:
        halfwidth: of the .5 interval that the claim is held against, on its controls too.
    """
    kept, left, reflected = kept_loss(by_mode), left_over(by_mode), unreflected(by_mode)
    return (
        max(-kept[0] - MARGIN, left[0] - SLACK - halfwidth, reflected[0] - SLACK),
        np.max([-kept[1] - MARGIN, left[1] - SLACK - halfwidth, reflected[1] - SLACK], axis=0),
    )


def seed_estimates(models: PromptStudies, part: Callable[[PromptStudy], Pair]) -> tuple[Estimate, ...]:
    """A quantity of every seed on the evaluation split."""
    return tuple(
        estimate(str(k), *part(study), count=len(study.prompts(Split.EVALUATION)))
        for k, study in enumerate(models.studies)
    )


@remembered
def _random(study: PromptStudy, choice: Choice, kind: str) -> dict[str, Array]:
    """Name -> (draws) of the quantities above, for random subspaces of the core's rank."""
    contrasts = random_contrasts(study, choice.site, rank_of(choice), kind)
    base = simple_auc(contrasts.base[None], contrasts.labels)[0]
    auc = {mode: simple_auc(scores, contrasts.labels) for mode, scores in contrasts.edited.items()}
    signs = np.where(contrasts.labels == 1, 1.0, -1.0)
    right = (contrasts.edited["flip"] * signs > 0).mean(axis=1)
    reflected = np.maximum(auc["flip"] - (1 - base), right - (1 - (contrasts.base * signs > 0).mean()))
    left = np.abs(auc["remove"] - 0.5)
    halfwidth = chance_halfwidth(study.labels(Split.EVALUATION))
    allowed = (base - auc["keep"] - MARGIN, left - SLACK - halfwidth, reflected - SLACK)
    return {
        "kept": auc["keep"] - base,
        "left": left,
        "reflected": reflected,
        "excess": np.max(allowed, axis=0),
        "auc keep": auc["keep"],
        "auc remove": auc["remove"],
        "auc flip": auc["flip"],
    }


def random_controls_of(
    models: PromptStudies, quantity: str, better: int, choose: Callable[[PromptStudy], Choice]
) -> dict[str, tuple[Estimate, ...]]:
    """The 99.9 % most favourable of 1,000 random subspaces of each kind, for each seed."""
    controls = {}
    for kind in KINDS:
        drawn = [_random(study, choose(study), kind)[quantity] for study in models.studies]
        controls[kind] = tuple(
            exact(str(k), better * quantile(better * values, LEVEL), count=len(values))
            for k, values in enumerate(drawn)
        )
    return controls


def top(study: PromptStudy) -> Choice:
    """The choice among all sites below the final norm."""
    return study.top


def deep(study: PromptStudy) -> Choice:
    """The choice among sites in the lower 80 % of depth."""
    return study.deep


@measures("random, Haar", "random, covariance", "complement", "arbitrary contrasts")
def sufficiency(subject: PromptSubject) -> Measurement:
    """AUC with the core kept, minus the model's own."""
    models = subject.trained
    controls = random_controls_of(models, "kept", +1, top)
    controls["complement"] = seed_estimates(models, lambda study: complement_kept(chosen_ablation(study, study.top)))
    controls["arbitrary contrasts"] = _others(models, kept_loss)
    return Measurement(
        seed_estimates(models, lambda study: kept_loss(chosen_ablation(study, study.top))),
        controls,
        details=_details(models),
    )


@measures("random, Haar", "random, covariance", "arbitrary contrasts")
def necessity(subject: PromptSubject) -> Measurement:
    """Distance from .5 of the AUC with the core removed."""
    models = subject.trained
    controls = random_controls_of(models, "left", -1, top)
    controls["arbitrary contrasts"] = _others(models, left_over)
    return Measurement(
        seed_estimates(models, lambda study: left_over(chosen_ablation(study, study.top))),
        controls,
        {"half of the .5 interval": _halfwidth(models)},
        {**_details(models), "separation left": [_separation_left(study) for study in models.studies]},
    )


def _separation_left(study: PromptStudy) -> float:
    """Difference of the mean contrasts of the two numbers with the core removed, over the model's own."""
    labels = study.labels(Split.EVALUATION)
    scores = study.ablated(Split.EVALUATION, study.top.site, rank_of(study.top))[1]
    base = study.base(Split.EVALUATION)
    apart = [float(values[labels == 1].mean() - values[labels == 0].mean()) for values in (scores, base)]
    return apart[0] / apart[1]


@measures("random, Haar", "random, covariance", "arbitrary contrasts")
def flip(subject: PromptSubject) -> Measurement:
    """By how much AUC or accuracy under the flip exceeds one minus the model's own."""
    models = subject.trained
    controls = random_controls_of(models, "reflected", -1, top)
    controls["arbitrary contrasts"] = _others(models, unreflected)
    return Measurement(
        seed_estimates(models, lambda study: unreflected(chosen_ablation(study, study.top))),
        controls,
        details=_details(models),
    )


@measures("random, Haar", "random, covariance", "arbitrary contrasts")
def depth(subject: PromptSubject) -> Measurement:
    """The worst of keep, remove and flip, less its allowance, at a site in the lower 80 % of depth."""
    models = subject.trained
    halfwidth = _halfwidth(models)
    controls = random_controls_of(models, "excess", -1, deep)
    controls["arbitrary contrasts"] = _others(models, lambda part: excess(part, halfwidth), deep)
    return Measurement(
        seed_estimates(models, lambda study: excess(chosen_ablation(study, study.deep), halfwidth)),
        controls,
        details={
            "sites": [study.deep.site.index for study in models.studies],
            "depth": [study.deep.site.depth for study in models.studies],
            "by depth": [_by_depth(study) for study in models.studies],
        },
        site=" or ".join(dict.fromkeys(str(study.deep.site) for study in models.studies)),
    )


def _by_depth(study: PromptStudy) -> dict[str, Any]:
    """AUC of the four modes at every site on the evaluation split, rank 1, with the null band at the chosen one."""
    rows = np.array([ablation(study, site, 1).auc for site in study.sites]).T
    null = {
        mode: [float(x) for x in np.quantile(_random(study, study.top, KINDS[0])[f"auc {mode}"], [0.0005, 0.9995])]
        for mode in ("keep", "remove", "flip")
    }
    names = ("base", "keep", "remove", "flip")
    return {
        "depth": [site.depth for site in study.sites],
        **dict(zip(names, rows.tolist(), strict=True)),
        "null": null,
        "chosen": study.top.site.index,
    }


@measures("untrained, own labels", "random, Haar")
def final_norm(subject: PromptSubject) -> Measurement:
    """The flip along the oblique axis at the final norm, for the model and for any contrast of an untrained twin."""
    models = subject.trained
    twins = [subject.twins().study(k, own_labels=True) for k in range(len(models))]

    def reflected(study: PromptStudy, core: Core | None = None) -> Pair:
        site = study.sites[-1]
        turn = Intervention(core or study.core(site), "flip", projector="oblique")
        scores = [study.base(Split.EVALUATION)[None], study.push(Split.EVALUATION, site, [turn])]
        scored = study.discriminate(Split.EVALUATION, np.concatenate(scores))
        excesses = scored.auc_replicates[1] - (1 - scored.auc_replicates[0])
        return float(scored.auc[1] - (1 - scored.auc[0])), excesses

    def random(study: PromptStudy) -> Pair:
        core = study.core(study.sites[-1])
        frame = random_frames(core.width, 1, 1, torch.Generator().manual_seed(0))[0]
        return reflected(study, core.with_basis(frame))

    untrained = tuple(
        estimate(str(k), *reflected(twin), count=len(twin.labels(Split.EVALUATION))) for k, twin in enumerate(twins)
    )
    return Measurement(
        seed_estimates(models, reflected),
        {"untrained, own labels": untrained, "random, Haar": seed_estimates(models, random)},
        site=" or ".join(dict.fromkeys(str(study.sites[-1]) for study in models.studies)),
    )


def _others(
    models: PromptStudies,
    part: Callable[[Discrimination], Pair],
    choose: Callable[[PromptStudy], Choice] = top,
) -> tuple[Estimate, ...]:
    """The median, over arbitrary contrasts of the same model, of a quantity at the same site."""
    estimates = []
    for k, study in enumerate(models.studies):
        choice = choose(study)
        values = [part(ablation(other, choice.site, rank_of(choice)))[0] for other in other_studies(study)]
        estimates.append(exact(str(k), float(np.median(values)), count=len(values)))
    return tuple(estimates)


def _halfwidth(models: PromptStudies) -> float:
    return chance_halfwidth(models.studies[0].labels(Split.EVALUATION))


def _details(models: PromptStudies) -> dict[str, Any]:
    """What a reader wants beside each of keep, remove and flip."""
    rows = [chosen_ablation(study, study.top) for study in models.studies]
    names = ("base", "keep", "remove", "flip")
    return {
        "sites": [study.top.site.index for study in models.studies],
        "ranks": [rank_of(study.top) for study in models.studies],
        "auc": [dict(zip(names, row.auc.tolist(), strict=True)) for row in rows],
        "accuracy": [dict(zip(names, row.accuracy.tolist(), strict=True)) for row in rows],
        "random flips, median AUC": [
            {kind: float(np.median(_random(study, study.top, kind)["auc flip"])) for kind in KINDS}
            for study in models.studies
        ],
        "control prompts": len(control_prompts(models.studies[0])[1]),
    }
