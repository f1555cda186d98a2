"""Keeping and removing cores of modular addition, and carrying their coordinates from one model to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ace.core import Core
from ace.families.core.transplant import transplants
from ace.families.modular_addition.clock_or_pizza import distance_irrelevance, gradient_symmetricity
from ace.families.modular_addition.means import class_means
from ace.rotation import leading_modes, mode_energy
from ace.stats import Estimate, bootstrap_mean, proportion, quantile
from ace.study.controls import LEVEL, edited, principal_core, random_accuracy, random_controls
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.training.transformer import SmallTransformer

WHEN = "at the first checkpoint after grokking"


def chance_of(study: TokenStudy) -> float:
    """1 / p: each answer is right for as many pairs as any other."""
    return 1 / study.task.vocabulary


def published_bound(study: TokenStudy) -> float:
    """2 / p: what the paper allows to be left without the core."""
    return 2 / study.task.vocabulary


def kept_margin(
    study: TokenStudy, index: int, core: Core | None = None, mode: str = "keep", projector: str = "orthogonal"
) -> Estimate:
    """Accuracy with a core kept, or its complement, minus that of the whole model, on the same pairs."""
    hits = study.performance(index, edited(core or study.core(index), mode, projector))[0]
    return bootstrap_mean(str(index), (hits - study.base(index)[0]).mean(axis=1))


def removed_accuracy(
    study: TokenStudy, index: int, core: Core | None = None, projector: str = "orthogonal"
) -> Estimate:
    """Accuracy with a core removed, with its exact binomial interval: pairs are independent draws of the answer."""
    hits = study.performance(index, edited(core or study.core(index), "remove", projector))[0]
    return proportion(str(index), int(hits.sum()), hits.size)


def kept_accuracy(study: TokenStudy, index: int, projector: str = "orthogonal") -> Estimate:
    """Accuracy with the core kept, with its exact binomial interval."""
    hits = study.performance(index, edited(study.core(index), "keep", projector))[0]
    return proportion(str(index), int(hits.sum()), hits.size)


def random_kept(study: TokenStudy, index: int) -> float:
    """Accuracy that the 99.9 % best of 1,000 Haar subspaces of the core's rank keeps."""
    return quantile(random_accuracy(study, index, "random, Haar", "keep"), LEVEL)


@measures("random, Haar", "random, covariance", "complement", "PCA", "oblique", "at the end")
def sufficiency(subject: TokenSubject) -> Measurement:
    """Accuracy with the core kept, minus base, on the same pairs, at the first checkpoint after grokking."""
    study, late = _stages(subject)
    controls = random_controls(study, "keep", random_accuracy, +1, lambda k: study.base(k)[0].mean(axis=1))
    controls["complement"] = tuple(kept_margin(study, k, mode="remove") for k in study.members)
    controls["PCA"] = tuple(kept_margin(study, k, principal_core(study, k)) for k in study.members)
    controls["oblique"] = tuple(kept_margin(study, k, projector="oblique") for k in study.members)
    controls["at the end"] = tuple(kept_margin(late, k) for k in late.members)
    return Measurement(
        tuple(kept_margin(study, k) for k in study.members),
        controls,
        details={
            "dimensions": [study.core(k).dimension for k in study.members],
            "base": [float(study.base(k)[0].mean()) for k in study.members],
        },
        site=f"{study.site}, {WHEN}",
    )


@measures("random, Haar", "random, covariance", "PCA", "oblique", "at the end", "at the end, oblique")
def necessity(subject: TokenSubject) -> Measurement:
    """Accuracy with the core removed, at the first checkpoint after grokking, against 2 / p."""
    study, late = _stages(subject)
    controls = random_controls(study, "remove", random_accuracy, -1, lambda k: np.zeros(1))
    controls["PCA"] = tuple(removed_accuracy(study, k, principal_core(study, k)) for k in study.members)
    controls["oblique"] = tuple(removed_accuracy(study, k, projector="oblique") for k in study.members)
    controls["at the end"] = tuple(removed_accuracy(late, k) for k in late.members)
    controls["at the end, oblique"] = tuple(removed_accuracy(late, k, projector="oblique") for k in late.members)
    return Measurement(
        tuple(removed_accuracy(study, k) for k in study.members),
        controls,
        {"2 / p": published_bound(study)},
        {
            "dimensions": [study.core(k).dimension for k in study.members],
            "dimensions at the end": [late.core(k).dimension for k in late.members],
            "chance": chance_of(study),
        },
        site=f"{study.site}, {WHEN}",
    )


def _stages(subject: TokenSubject) -> tuple[TokenStudy, TokenStudy]:
    """The models at their first checkpoint after grokking, and at the end of their training."""
    history = subject.training()
    return subject.trained, history.study(history.last)


@measures("shuffled map", "memorised donor", "at the end")
def universality(subject: TokenSubject) -> Measurement:
    """Accuracy of each host on every donor's core coordinates, mapped affinely, minus the host's own."""
    history = subject.training()
    study, late = subject.trained, history.study(history.last)
    memorised = subject.companion("memorised")
    stages = {"untrained": subject.twins(), "memorised": memorised, "after grokking": study, "at the end": late}
    return Measurement(
        transplants(study, study),
        {
            "shuffled map": transplants(study, study, shuffled=True),
            "memorised donor": transplants(memorised, study),
            "at the end": transplants(late, late),
        },
        details={stage: _algorithm(models) for stage, models in stages.items()},
    )


def _algorithm(study: TokenStudy) -> dict[str, Any]:
    """Which algorithm each model runs, as far as the published measures tell, and by which frequencies."""
    models = [study.expect_model(k, SmallTransformer) for k in range(len(study))]
    pairs = study.batch(Split.SELECTION).inputs
    return {
        "gradient symmetricity": [gradient_symmetricity(model, pairs, seed=0) for model in models],
        "distance irrelevance": [distance_irrelevance(model) for model in models],
        "frequencies, strongest first": [
            leading_modes(mode_energy(class_means(study, k))).tolist() for k in range(len(study))
        ],
    }
