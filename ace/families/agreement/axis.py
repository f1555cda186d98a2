"""Does the model agree, and does one dimension carry it?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ace.auc import estimate
from ace.families.agreement.ablation import seed_estimates
from ace.families.agreement.controls import (
    other_studies,
)
from ace.linalg import random_frames
from ace.stats import exact, quantile
from ace.study.controls import LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import sufficient_at_site
from ace.tasks.base import Split

TURNS = 200


@measures("untrained")
def behaviour(subject: PromptSubject) -> Measurement:
    """AUC of the contrast for the head's number."""
    models = subject.trained
    twins = [subject.twins().study(k) for k in range(len(models))]
    return Measurement(
        seed_estimates(models, lambda study: (float(study.behaviour.auc[0]), study.behaviour.auc_replicates[0])),
        {
            "untrained": tuple(
                estimate(
                    str(k),
                    float(twin.behaviour.auc[0]),
                    twin.behaviour.auc_replicates[0],
                    len(twin.labels(Split.EVALUATION)),
                )
                for k, twin in enumerate(twins)
            )
        },
        details={
            "accuracy": [float(study.behaviour.accuracy[0]) for study in models.studies],
            "prompts": len(models.studies[0].prompts(Split.EVALUATION)),
            "examples": list(models.studies[0].prompts(Split.EVALUATION).texts[:4]),
        },
    )


@measures("untrained, own labels", "arbitrary contrasts")
def one_dimension(subject: PromptSubject) -> Measurement:
    """1 where one dimension suffices and the relative gap after it exceeds the null's, else 0."""
    models = subject.trained

    def indicator(study: PromptStudy, index: int) -> tuple[float, dict[str, Any]]:
        site = study.sites[index]
        rank = sufficient_at_site(study, Split.EVALUATION, site).value
        if rank != 1:
            return 0.0, {"r_suf": rank}
        gap, null = _gap(study, site.index)
        return float(gap > null), {"r_suf": rank, "gap": gap, "null gap": null}

    places = [study.top.site.index for study in models.studies]
    seeds = [indicator(study, place) for study, place in zip(models.studies, places, strict=True)]
    twins = [indicator(subject.twins().study(k, own_labels=True), place) for k, place in enumerate(places)]
    others = [
        float(np.median([indicator(other, place)[0] for other in other_studies(study)]))
        for study, place in zip(models.studies, places, strict=True)
    ]
    return Measurement(
        tuple(exact(str(k), value) for k, (value, _) in enumerate(seeds)),
        {
            "untrained, own labels": tuple(exact(str(k), value) for k, (value, _) in enumerate(twins)),
            "arbitrary contrasts": tuple(exact(str(k), value) for k, value in enumerate(others)),
        },
        details={"seeds": [details for _, details in seeds], "untrained": [details for _, details in twins]},
    )


def _gap(study: PromptStudy, site: int) -> tuple[float, float]:
    """1 - sigma_2 / sigma_1, and its 99.9 % quantile when sensitivities are turned at random against the states."""
    states, gradients = (by_site[site].double() for by_site in study.observed)
    reach = torch.linalg.qr(states - states.mean(dim=0), mode="r").R
    read = torch.linalg.qr(gradients, mode="r").R
    generator = torch.Generator().manual_seed(site)
    turns = random_frames(states.shape[1], states.shape[1], TURNS, generator)
    products = torch.stack([reach @ read.T, *(reach @ turn @ read.T for turn in turns)])
    sigma = torch.linalg.svdvals(products)[:, :2]
    gaps = (1 - sigma[:, 1] / sigma[:, 0]).numpy()
    return float(gaps[0]), quantile(gaps[1:], LEVEL)
