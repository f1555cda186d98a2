"""Intervals of proportions: of independent trials, of trials in clusters, and what a bootstrap makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from ace.stats import Estimate, bootstrap_mean, clustered_proportion, proportion
from invariants.calibration.coverage import COLUMNS, CONSERVATIVE, Asked, coverage
from invariants.calibration.samples import Generator, hits
from invariants.calibration.section import Entry, Section

EACH = 10
RESAMPLED = Asked(0.9, 1.0, side=0.08, note="few hits to resample: `clustered_proportion` is for these")


def independent(rng: Generator, trials: int, share: float) -> Mapping[str, Estimate]:
    """Clopper-Pearson."""
    return {"proportion": proportion("", int(rng.binomial(trials, share)), trials)}


def clustered(rng: Generator, clusters: int, share: float) -> Mapping[str, Estimate]:
    """Korn and Graubard."""
    counts = hits(rng, clusters, EACH, share)
    return {"clustered proportion": clustered_proportion("", counts, np.full(clusters, EACH))}


def resampled(rng: Generator, clusters: int, share: float) -> Mapping[str, Estimate]:
    """A bootstrap of clusters' shares."""
    return {"mean of shares": bootstrap_mean("", hits(rng, clusters, EACH, share) / EACH)}


def _entries() -> list[Entry]:
    entries = []
    for trials in (60, 600):
        for share in (0.5, 0.95, 0.999):
            draw = partial(independent, trials=trials, share=share)
            entries.append(coverage(f"{trials} trials", draw, {"proportion": share}, CONSERVATIVE, cost=0.2))
    for clusters in (24, 60, 300):
        for share in (0.5, 0.9, 0.98, 0.995):
            draw = partial(clustered, clusters=clusters, share=share)
            data = f"{clusters} clusters of {EACH}"
            entries.append(coverage(data, draw, {"clustered proportion": share}, CONSERVATIVE, cost=0.2))
    for clusters, share in ((60, 0.9), (60, 0.98), (300, 0.98)):
        draw = partial(resampled, clusters=clusters, share=share)
        asked = RESAMPLED if (clusters, share) == (60, 0.98) else CONSERVATIVE
        entries.append(coverage(f"{clusters} clusters of {EACH}", draw, {"mean of shares": share}, asked))
    return entries


SECTION = Section(
    "Proportions",
    "`ace.stats.proportion` is Clopper and Pearson's interval, `clustered_proportion` Korn and Graubard's: both hold at"
    " least what they say, by construction, and more near 0 and 1. Hits are beta-binomial and correlate by .3 within a"
    " cluster.",
    COLUMNS,
    tuple(_entries()),
)
