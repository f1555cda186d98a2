"""Keeping and removing cores of modular addition, and carrying their coordinates from one model to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ace.core import Core
from ace.families.core.transplant import transplants
from ace.families.modular_addition.clock_or_pizza import distance_irrelevance, gradient_symmetricity
from ace.families.modular_addition.rotation import class_means
from ace.rotation import leading_modes, mode_energy
from ace.stats import Estimate, bootstrap_mean, proportion, quantile
from ace.study.controls import LEVEL, edited, principal_core, random_accuracy, random_controls
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.training.transformer import SmallTransformer


def chance_of(study: TokenStudy) -> float:
    """1 / p: each answer is right for as many pairs as any other."""
    return 1 / study.task.vocabulary


def chance_error(study: TokenStudy) -> float:
    """Standard error of an accuracy of 1 / p on the evaluation pairs."""
    chance = chance_of(study)
    return float(np.sqrt(chance * (1 - chance) / len(study.batch(Split.EVALUATION).targets)))


def chance_bound(study: TokenStudy) -> float:
    """1 / p and three standard errors."""
    return chance_of(study) + 3 * chance_error(study)


def kept_margin(study: TokenStudy, index: int, core: Core | None = None, mode: str = "keep") -> Estimate:
    """Accuracy with a core kept, or its complement, minus that of the whole model, on the same pairs."""
    hits = study.performance(index, edited(core or study.core(index), mode))[0]
    return bootstrap_mean(str(index), (hits - study.base(index)[0]).mean(axis=1))


def removed_accuracy(
    study: TokenStudy, index: int, core: Core | None = None, projector: str = "orthogonal"
) -> Estimate:
    """Accuracy with a core removed, with its exact binomial interval: pairs are independent draws of the answer."""
    hits = study.performance(index, edited(core or study.core(index), "remove", projector))[0]
    return proportion(str(index), int(hits.sum()), hits.size)


def kept_accuracy(study: TokenStudy, index: int) -> Estimate:
    """Accuracy with the core kept, with its exact binomial interval."""
    hits = study.performance(index, edited(study.core(index), "keep"))[0]
    return proportion(str(index), int(hits.sum()), hits.size)


def random_kept(study: TokenStudy, index: int) -> float:
    """Accuracy that the 99.9 % best of 1,000 Haar subspaces of the core's rank keeps."""
    return quantile(random_accuracy(study, index, "random, Haar", "keep"), LEVEL)


@measures("random, Haar", "random, covariance", "complement", "PCA")
def sufficiency(subject: TokenSubject) -> Measurement:
    """Accuracy with the core kept, minus base, on the same pairs."""
    study = subject.trained
    members = range(len(study))
    controls = random_controls(study, "keep", random_accuracy, +1, lambda k: study.base(k)[0].mean(axis=1))
    controls["complement"] = tuple(kept_margin(study, k, mode="remove") for k in members)
    controls["PCA"] = tuple(kept_margin(study, k, principal_core(study, k)) for k in members)
    return Measurement(
        tuple(kept_margin(study, k) for k in members),
        controls,
        details={
            "dimensions": [study.core(k).dimension for k in members],
            "base": [float(study.base(k)[0].mean()) for k in members],
        },
    )


@measures("random, Haar", "random, covariance", "PCA", "oblique")
def necessity(subject: TokenSubject) -> Measurement:
    """Accuracy with the core removed, against 1 / p."""
    study = subject.trained
    members = range(len(study))
    controls = random_controls(study, "remove", random_accuracy, -1, lambda k: np.zeros(1))
    controls["PCA"] = tuple(removed_accuracy(study, k, principal_core(study, k)) for k in members)
    controls["oblique"] = tuple(removed_accuracy(study, k, projector="oblique") for k in members)
    return Measurement(
        tuple(removed_accuracy(study, k) for k in members),
        controls,
        {"chance and 3 s.e.": chance_bound(study)},
        {"dimensions": [study.core(k).dimension for k in members], "chance": chance_of(study)},
    )


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
