"""Do models of different scales place the same prompts alike along their axes of number?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from scipy.stats import rankdata

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.core import OBLIQUE, ORTHOGONAL
from ace.errors import Inapplicable
from ace.extract import extracted
from ace.rank import Fixed
from ace.stats import Estimate, bootstrap
from ace.study.language_subjects import Scales
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_seeds import TWINS, PromptStudies
from ace.study.prompts import PromptStudy
from ace.study.subject import Subject
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts


@dataclass(frozen=True, eq=False)
class _Coordinates:
    """First core coordinates on the evaluation prompts.

    Attributes:
        names: of the scales. values: one for each scale, (seeds, n).
        labels, clusters: (n) of the prompts.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    labels: Ints
    clusters: Ints

    @cached_property
    def pairs(self) -> tuple[tuple[str, int, int, Array, Array], ...]:
        """Every two models of different scales: label, their scales, and their coordinates."""
        return tuple(self._pairs())

    def _pairs(self) -> Iterator[tuple[str, int, int, Array, Array]]:
        for i in range(len(self.values)):
            for j in range(i + 1, len(self.values)):
                for a, first in enumerate(self.values[i]):
                    for b, second in enumerate(self.values[j]):
                        yield f"{self.names[i]}/{a} {self.names[j]}/{b}", i, j, first, second


@measures("untrained")
def scales(subject: Subject[Scales]) -> Measurement:
    """Pearson's and Spearman's correlation, over all prompts, of the core coordinates of models of different scales."""
    trained, untrained = _coordinates(subject), _coordinates(subject, untrained=True)
    return Measurement(
        _overall(trained),
        {"untrained": _overall(untrained)},
        beside={OBLIQUE: _overall(_coordinates(subject, projector=OBLIQUE))},
        details={
            "coordinates": {
                f"{name}, seed {k}": row.tolist()
                for name, rows in zip(trained.names, trained.values, strict=True)
                for k, row in enumerate(rows)
            },
            "labels": trained.labels.tolist(),
        },
    )


@measures("untrained", "other prompts")
def scales_within(subject: Subject[Scales]) -> Measurement:
    """Correlation within each number, over what two estimates of one scale's axis reach: its noise ceiling."""
    trained, untrained = _coordinates(subject), _coordinates(subject, untrained=True)
    ceilings = _ceilings(subject, trained)
    order = _other_prompts(subject.trained.subjects[0].trained.studies[0].prompts(Split.EVALUATION))
    return Measurement(
        _within(trained, ceilings),
        {
            "untrained": _within(untrained, ceilings),
            "other prompts": _within(trained, ceilings, order),
        },
        details={
            "noise ceiling": dict(zip(trained.names, ceilings, strict=True)),
            "between seeds of one scale": _between_seeds(trained),
        },
    )


def _overall(of: _Coordinates) -> tuple[Estimate, ...]:
    estimates = []
    for label, _, _, first, second in of.pairs:
        estimates.append(_correlation(f"{label}, Pearson", first, second, of, pooled=False))
        ranks = rankdata(first), rankdata(second)
        estimates.append(_correlation(f"{label}, Spearman", *ranks, of, pooled=False))
    return tuple(estimates)


def _within(of: _Coordinates, ceilings: Sequence[float], order: Ints | None = None) -> tuple[Estimate, ...]:
    """Pooled correlations over their noise ceilings; with an order, the second model sees other prompts."""
    return tuple(
        _correlation(
            label,
            first,
            second if order is None else second[order],
            of,
            pooled=True,
            ceiling=float(np.sqrt(ceilings[i] * ceilings[j])),
        )
        for label, i, j, first, second in of.pairs
    )


def _coordinates(subject: Subject[Scales], *, untrained: bool = False, projector: str = ORTHOGONAL) -> _Coordinates:
    each = subject.trained.subjects
    prompts = each[0].trained.studies[0].prompts(Split.EVALUATION)
    if not untrained:
        values = [np.stack([_coordinate(study, projector) for study in scale.trained.studies]) for scale in each]
        return _Coordinates(tuple(scale.name for scale in each), tuple(values), prompts.labels, prompts.clusters)
    fewer = each[0].twins().study(0, own_labels=True).prompts(Split.EVALUATION)
    values = [_untrained_coordinates(scale.twins()) for scale in each]
    return _Coordinates(tuple(scale.name for scale in each), tuple(values), fewer.labels, fewer.clusters)


@remembered
def _untrained_coordinates(twins: PromptStudies) -> Array:
    """(twins, n) on prompts that each labels by its own contrast."""
    return np.stack(twins.each_alone(TWINS, lambda index, study: _coordinate(study)))


def _coordinate(study: PromptStudy, projector: str = ORTHOGONAL) -> Array:
    """(n) first core coordinate on the evaluation prompts, at the projector's site; the plural side is positive.

    That of the oblique projector is what the core's first reader reads.
    """
    site = study.choice(projector).site
    values = study.core(site, 1).coordinates(study.states(Split.EVALUATION, site), projector)[:, 0].numpy()
    return _towards(values, study)


def _towards(values: Array, study: PromptStudy) -> Array:
    return np.asarray(values * np.sign(np.corrcoef(values, study.base(Split.EVALUATION))[0, 1]))


def _ceilings(subject: Subject[Scales], trained: _Coordinates) -> list[float]:
    """Of each scale, the mean correlation within a number of one model's coordinates by axes from two halves."""

    def repeated(study: PromptStudy) -> float:
        first, second = _halves(study)
        return _correlation("", first, second, trained, pooled=True, resampled=False).value

    means = [float(np.mean([repeated(study) for study in each.trained.studies])) for each in subject.trained.subjects]
    for each, mean in zip(subject.trained.subjects, means, strict=True):
        if mean <= 0:
            raise Inapplicable(
                f"{each.name}: axes from two halves of the prompts correlate at {mean:.3f} within a number; a"
                " correlation between scales is held against that, so it should be positive"
            )
    return means


def _between_seeds(trained: _Coordinates) -> dict[str, list[float]]:
    """Of each scale, the correlation within a number of every two of its models."""
    return {
        name: [
            _correlation("", rows[i], rows[j], trained, pooled=True, resampled=False).value
            for i in range(len(rows))
            for j in range(i + 1, len(rows))
        ]
        for name, rows in zip(trained.names, trained.values, strict=True)
    }


def _halves(study: PromptStudy) -> Array:
    """(2, n) coordinates by the axes that two halves of the extraction split give."""
    site = study.choice().site
    states, gradients = (by_site[site.index] for by_site in study.observed)
    parts = torch.randperm(len(states), generator=torch.Generator().manual_seed(0)).tensor_split(2)
    cores = [
        extracted(
            study.extractor,
            states[part],
            gradients[part],
            rank=Fixed(1),
            labels=partial(study.observed_labels().__getitem__, part.numpy()),
        )
        for part in parts
    ]
    fresh = study.states(Split.EVALUATION, site)
    return np.stack([_towards(core.coordinates(fresh)[:, 0].numpy(), study) for core in cores])


def _other_prompts(prompts: Prompts) -> Ints:
    """(n) an order that exchanges prompts of the same number at random, and of the same attractor where there is one.

    Exchanged within a number alone they could have nothing in common but the number, which is taken out: no subject
    could show it. So they share the attractor's number too, which models may agree in that agree in nothing else.
    """
    kinds = prompts.labels if prompts.attractors is None else 2 * prompts.labels + prompts.attractors
    rng = np.random.default_rng(0)
    order = np.arange(len(prompts))
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        order[rows] = rng.permutation(rows)
    return order


def _correlation(
    label: str,
    first: Array,
    second: Array,
    of: _Coordinates,
    *,
    pooled: bool,
    ceiling: float = 1.0,
    resampled: bool = True,
) -> Estimate:
    """Pearson's correlation, `pooled` after each class's mean is taken out, bootstrapped over head nouns."""
    columns = np.column_stack([np.ones(len(first)), first, second, first**2, second**2, first * second])
    classes = (of.labels[:, None] == [0, 1]) if pooled else np.ones((len(first), 1), dtype=bool)
    by_class = np.where(classes[:, :, None], columns[:, None, :], 0.0)  # (n, c, 6)

    def correlation(means: Array) -> Array:
        """(b) from means (b, c, 6) by class."""
        count, x, y, x_x, y_y, x_y = np.moveaxis(means, -1, 0)
        drawn = count > 0  # few clusters may leave a class out of a resample
        count = np.where(drawn, count, 1.0)
        xx, yy, xy = (
            (product - a * b / count).sum(axis=1, where=drawn)
            for product, a, b in ((x_x, x, x), (y_y, y, y), (x_y, x, y))
        )
        size = np.sqrt(np.maximum(xx * yy, 0.0))
        return np.divide(xy, size * ceiling, out=np.full_like(xy, math.nan), where=size > 0)

    sums = cluster_sums(by_class, of.clusters)
    if not resampled:
        return Estimate(label, float(correlation(sums.mean(axis=0)[None])[0]))
    return bootstrap(label, sums, correlation, vectorized=True, possible=(-1 / ceiling, 1 / ceiling))
