"""Intervals of functions of a mean over clusters: means, ratios, R2, correlations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ace.arrays import Array
from ace.auc import cluster_sums
from ace.moments import correlations, moments
from ace.stats import Estimate, bootstrap, bootstrap_mean
from invariants.calibration.coverage import COLUMNS, PLAIN, Asked, coverage
from invariants.calibration.samples import Generator, Prompts, hits, prompts, skewed
from invariants.calibration.section import Entry, Section

CLUSTERS = (24, 60, 300)
SLOPES = {"R2 .5": 0.5, "R2 .9": 0.9}


def mean(rng: Generator, clusters: int, each: int, shape: float) -> Mapping[str, Estimate]:
    """A mean of skewed contrasts, clusters averaged first."""
    sample = prompts(clusters, each, nested=True)
    return {"mean": bootstrap_mean("", _averages(sample, skewed(sample.normal(rng), shape)))}


def _averages(sample: Prompts, values: Array) -> Array:
    sums = cluster_sums(np.column_stack([values, np.ones(sample.size)]), sample.clusters)
    return np.asarray(sums[:, 0] / sums[:, 1])


def sequences(rng: Generator, share: float) -> Mapping[str, Estimate]:
    """Share of 31 positions in 3,000 sequences, which differ."""
    return {"mean of sequences": bootstrap_mean("", hits(rng, 3000, 31, share, correlation=0.1) / 31)}


def ratio(rng: Generator, clusters: int) -> Mapping[str, Estimate]:
    """Mean effect of a part over that of the whole; the part carries a tenth, or all but noise of its own."""
    sample = prompts(clusters, 4, nested=True)
    whole = 2 + skewed(sample.normal(rng))
    parts = {"ratio .1": 0.1 * whole, "ratio 1": whole}
    return {
        name: bootstrap("", _sums(sample, part + 0.3 * skewed(sample.normal(rng)), whole), _ratio)
        for name, part in parts.items()
    }


def _sums(sample: Prompts, *columns: Array) -> Array:
    return cluster_sums(np.column_stack(columns), sample.clusters)


def _ratio(mean: Array) -> float:
    return float(mean[0] / mean[1])


def fits(rng: Generator, clusters: int) -> Mapping[str, Estimate]:
    """R2 of a contrast on a coordinate by a fixed line; and their correlation, whole and within each label."""
    sample = prompts(clusters, 4, nested=False)
    x = sample.apart(skewed(sample.normal(rng)), 2.0)
    spread = 1 + 1  # variance within a label and of two means two apart
    found = {}
    for name, share in SLOPES.items():
        error = skewed(sample.normal(rng)) * np.sqrt(spread * (1 - share) / share)
        y = x + error
        columns = _sums(sample, error**2, y, y**2, np.ones(sample.size))
        found[name] = bootstrap("", columns, lambda m: float(1 - m[0] / (m[2] - m[1] ** 2 / m[3])))
    found["correlation .95"] = bootstrap("", _products(sample, x, y), _correlation)
    y = x + skewed(sample.normal(rng))
    found["correlation .71 within labels"] = bootstrap("", _products(sample, x, y, by_label=True), _correlation)
    return found


def _products(sample: Prompts, x: Array, y: Array, by_label: bool = False) -> Array:
    """(k, g, 6) sums over clusters for each of g groups, all prompts or one label each."""
    columns = np.column_stack([np.ones(sample.size), x, y, x**2, y**2, x * y])
    groups = sample.labels[:, None] == [0, 1] if by_label else np.ones((sample.size, 1), dtype=bool)
    return cluster_sums(groups[:, :, None] * columns[:, None, :], sample.clusters)


def _correlation(mean: Array) -> float:
    count, x, y, xx, yy, xy = mean.T
    xx, yy, xy = ((m - a * b / count).sum() for m, a, b in ((xx, x, x), (yy, y, y), (xy, x, y)))
    return float(xy / np.sqrt(xx * yy))


def canonical(rng: Generator, second: float) -> Mapping[str, Estimate]:
    """The smaller of two correlations, .9 and another, along given directions, of 300 sequences of 8 positions."""
    shared, own = rng.standard_normal((2, 300, 8, 2))
    share = np.array([0.9, second])
    pair = moments(shared, share * shared + np.sqrt(1 - share**2) * own)
    compute = partial(correlations, first=pair.views[0], second=pair.views[1], pairs=(np.eye(2), np.eye(2)))
    return {"smaller correlation": bootstrap("", pair.clusters, lambda moment: float(compute(moment).min()))}


VERY = Asked(0.9, side=0.08, note="24 values do not show a skewness of 6")
SQUARES = Asked(0.91, side=0.07, note="squares of skewed contrasts have heavy tails, which 24 nouns show in part")
FOLDED = Asked(0.88, side=0.1, note="the smaller of two that are equal is smaller than either: errs below alone")


def _entries() -> list[Entry]:
    entries: list[Entry] = []

    def add(data: str, draw: Callable[[Generator], Mapping[str, Estimate]], *rest: Any, **options: Any) -> None:
        entries.append(coverage(data, draw, *rest, **options))

    for k in CLUSTERS:
        add(f"{k} clusters of 4", partial(mean, clusters=k, each=4, shape=0.5), {"mean": 0.0})
    add("24 values, skewness 1.8", partial(mean, clusters=24, each=1, shape=0.5), {"mean": 0.0})
    add("24 values, skewness 6.2", partial(mean, clusters=24, each=1, shape=1.0), {"mean": 0.0}, VERY)
    for share in (0.75, 0.99):
        add("3,000 sequences of 31", partial(sequences, share=share), {"mean of sequences": share})
    for k in CLUSTERS:
        add(f"{k} clusters of 4", partial(ratio, clusters=k), {"ratio .1": 0.1, "ratio 1": 1.0}, cost=2)
    truths = {
        "R2 .5": 0.5,
        "R2 .9": 0.9,
        "correlation .95": np.sqrt(0.9),
        "correlation .71 within labels": np.sqrt(0.5),
    }
    for k in CLUSTERS:
        asked = SQUARES if k == 24 else PLAIN
        add(f"{k} clusters of 8", partial(fits, clusters=k), truths, asked, cost=10)
    add("300 sequences, .95 the other", partial(canonical, second=0.95), {"smaller correlation": 0.9}, thorough=True)
    add(
        "300 sequences, .9 the other",
        partial(canonical, second=0.9),
        {"smaller correlation": 0.9},
        FOLDED,
        thorough=True,
    )
    return entries


SECTION = Section(
    "Functions of a mean over clusters",
    "`ace.stats.bootstrap`: BCa at levels expanded for few clusters. Contrasts are log-normal and correlate by .3"
    " within a cluster.",
    COLUMNS,
    tuple(_entries()),
)
