"""Do models of different scales place the same prompts alike along their axes of number?"""

from __future__ import annotations

import numpy as np

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.stats import Estimate, bootstrap
from ace.study.language_subjects import Scales
from ace.study.measurement import Measurement, measures
from ace.study.prompts import PromptStudy
from ace.study.subject import Subject
from ace.tasks.base import Split


@measures("untrained", "other prompts")
def scales(subject: Subject[Scales]) -> Measurement:
    """Correlation, within each class of prompts, of the core coordinates of two models of different scales."""
    scales = subject.trained.subjects
    names = [scale.name for scale in scales]
    trained = [scale.trained.studies for scale in scales]
    untrained = [tuple(scale.twins().study(k, own_labels=True) for k in range(len(scale.trained))) for scale in scales]
    first = trained[0][0]
    prompts = first.prompts(Split.EVALUATION)
    return Measurement(
        _pairs(names, trained, prompts.labels, prompts.clusters),
        {
            "untrained": _untrained_pairs(names, untrained),
            "other prompts": _pairs(names, trained, prompts.labels, prompts.clusters, shuffled=True),
        },
        details={
            "coordinates": {
                f"{scale.name}, seed {k}": _coordinate(study).tolist()
                for scale in scales
                for k, study in enumerate(scale.trained.studies)
            },
            "labels": prompts.labels.tolist(),
            "across classes": _across(names, trained),
        },
    )


def _across(names: list[str], scales: list[tuple[PromptStudy, ...]]) -> dict[str, float]:
    """Correlation over all prompts, the two numbers' difference included, of the first seeds of every two scales."""
    first = [_coordinate(studies[0]) for studies in scales]
    return {
        f"{names[i]} {names[j]}": float(np.corrcoef(first[i], first[j])[0, 1])
        for i in range(len(first))
        for j in range(i + 1, len(first))
    }


def _coordinate(study: PromptStudy) -> Array:
    """(n) first core coordinate on the evaluation prompts; the plural side is positive."""
    site = study.top.site
    values = study.core(site, 1).coordinates(study.states(Split.EVALUATION, site))[:, 0].numpy()
    towards = np.corrcoef(values, study.base(Split.EVALUATION))[0, 1]
    return np.asarray(values * np.sign(towards))


def _pairs(
    names: list[str],
    scales: list[tuple[PromptStudy, ...]],
    labels: Ints,
    clusters: Ints,
    *,
    shuffled: bool = False,
) -> tuple[Estimate, ...]:
    """Correlations of every two models of different scales; shuffled, the second sees other prompts of the class."""
    order = _within_order(labels) if shuffled else np.arange(len(labels))
    coordinates = [[_coordinate(study) for study in studies] for studies in scales]
    estimates = []
    for i in range(len(scales)):
        for j in range(i + 1, len(scales)):
            for a, first in enumerate(coordinates[i]):
                for b, second in enumerate(coordinates[j]):
                    label = f"{names[i]}/{a} {names[j]}/{b}"
                    estimates.append(_within_class(label, first, second[order], labels, clusters))
    return tuple(estimates)


def _within_order(labels: Ints) -> Ints:
    """(n) an order that exchanges prompts of the same class at random."""
    rng = np.random.default_rng(0)
    order = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order[rows] = rng.permutation(rows)
    return order


def _untrained_pairs(names: list[str], scales: list[tuple[PromptStudy, ...]]) -> tuple[Estimate, ...]:
    """The same for twins before training: the largest correlation that pairs of them show."""
    prompts = scales[0][0].prompts(Split.EVALUATION)
    return _pairs(names, scales, prompts.labels, prompts.clusters)


def _within_class(label: str, first: Array, second: Array, classes: Ints, clusters: Ints) -> Estimate:
    """Pooled correlation after each class's mean is taken out, bootstrapped over head nouns."""
    columns = np.column_stack([np.ones(len(first)), first, second, first**2, second**2, first * second])
    by_class = np.where((classes[:, None] == [0, 1])[:, :, None], columns[:, None, :], 0.0)  # (n, 2, 6)

    def pooled(mean: Array) -> float:
        count, x, y, xx, yy, xy = mean.T
        drawn = count > 0  # few clusters may leave a class out of a resample
        xx, yy, xy = (
            (products[drawn] - a[drawn] * b[drawn] / count[drawn]).sum()
            for products, a, b in ((xx, x, x), (yy, y, y), (xy, x, y))
        )
        return float(xy / np.sqrt(xx * yy))

    return bootstrap(label, cluster_sums(by_class, clusters), pooled)
