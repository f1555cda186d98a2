"""Do models of different scales place the same prompts alike along their axes of number?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.errors import ClaimError, Inapplicable
from ace.families.agreement.subject import AgreementSubject, untrained_study
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement
from ace.study.prompts import LanguageStudy
from ace.tasks.base import Split


@dataclass(frozen=True, eq=False)
class FamilySubject:
    """Models of several scales on the same prompts.

    Attributes:
        name: shown in tables. scales: the subjects, smallest first.
        rerun: the command that reruns one of its claims, with `{claim}` in the claim's place.
    """

    name: str
    scales: tuple[AgreementSubject, ...]
    rerun: str = ""

    @property
    def site(self) -> str:
        """Each model's own site."""
        return "each model's chosen site"

    def require_behaviour(self) -> None:
        """Refuse claims about how models agree that do not agree, or to compare one scale with itself.

        Raises:
            Inapplicable: a model lacks the behaviour, or there are fewer than two scales.
        """
        if len(self.scales) < 2:
            raise Inapplicable("one model alone has no other scale to be compared with")
        for scale in self.scales:
            scale.require_behaviour()

    def command(self, claim: str) -> str:
        """The command that reruns one claim on this subject."""
        return self.rerun.format(claim=claim)


def scales(subject: object) -> Measurement:
    """Correlation, within each class of prompts, of the core coordinates of two models of different scales."""
    if not isinstance(subject, FamilySubject):
        raise ClaimError(f"subject: expected models of several scales, got {type(subject).__name__}")
    names = [scale.name for scale in subject.scales]
    trained = [scale.studies for scale in subject.scales]
    untrained = [
        tuple(untrained_study(scale, k, own_labels=True) for k in range(len(scale))) for scale in subject.scales
    ]
    first = subject.scales[0].studies[0]
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
                for scale in subject.scales
                for k, study in enumerate(scale.studies)
            },
            "labels": prompts.labels.tolist(),
            "across classes": _across(names, trained),
        },
    )


def _across(names: list[str], scales: list[tuple[LanguageStudy, ...]]) -> dict[str, float]:
    """Correlation over all prompts, the two numbers' difference included, of the first seeds of every two scales."""
    first = [_coordinate(studies[0]) for studies in scales]
    return {
        f"{names[i]} {names[j]}": float(np.corrcoef(first[i], first[j])[0, 1])
        for i in range(len(first))
        for j in range(i + 1, len(first))
    }


def _coordinate(study: LanguageStudy) -> Array:
    """(n) first core coordinate on the evaluation prompts; the plural side is positive."""
    site = study.top.site
    values = study.core(site, 1).coordinates(study.states(Split.EVALUATION, site))[:, 0].numpy()
    towards = np.corrcoef(values, study.base(Split.EVALUATION))[0, 1]
    return np.asarray(values * np.sign(towards))


def _pairs(
    names: list[str],
    scales: list[tuple[LanguageStudy, ...]],
    labels: Ints,
    clusters: Ints,
    *,
    shuffled: bool = False,
) -> tuple[Estimate, ...]:
    """Correlations of every two models of different scales; shuffled, the second sees other prompts of the class."""
    order = _within_order(labels) if shuffled else np.arange(len(labels))
    coordinates = [[_coordinate(study) for study in studies] for studies in scales]
    found = []
    for i in range(len(scales)):
        for j in range(i + 1, len(scales)):
            for a, first in enumerate(coordinates[i]):
                for b, second in enumerate(coordinates[j]):
                    label = f"{names[i]}/{a} {names[j]}/{b}"
                    found.append(_within_class(label, first, second[order], labels, clusters))
    return tuple(found)


def _within_order(labels: Ints) -> Ints:
    """(n) an order that exchanges prompts of the same class at random."""
    rng = np.random.default_rng(0)
    order = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order[rows] = rng.permutation(rows)
    return order


def _untrained_pairs(names: list[str], scales: list[tuple[LanguageStudy, ...]]) -> tuple[Estimate, ...]:
    """The same for twins before training: the largest correlation that pairs of them show."""
    prompts = scales[0][0].prompts(Split.EVALUATION)
    return _pairs(names, scales, prompts.labels, prompts.clusters)


def _within_class(label: str, first: Array, second: Array, classes: Ints, clusters: Ints) -> Estimate:
    """Pooled correlation after each class's mean is taken out, bootstrapped over head nouns."""
    columns = np.column_stack([np.ones(len(first)), first, second, first**2, second**2, first * second])
    by_class = np.where((classes[:, None] == [0, 1])[:, :, None], columns[:, None, :], 0.0)  # (n, 2, 6)

    def pooled(mean: Array) -> float:
        count, x, y, xx, yy, xy = mean.T
        there = count > 0  # few clusters may leave a class out of a resample
        xx, yy, xy = (
            (products[there] - a[there] * b[there] / count[there]).sum()
            for products, a, b in ((xx, x, x), (yy, y, y), (xy, x, y))
        )
        return float(xy / np.sqrt(xx * yy))

    return bootstrap(label, cluster_sums(by_class, clusters), pooled)


MEASURES: Mapping[str, Callable[[Any], Measurement]] = MappingProxyType({"agreement.scales": scales})
