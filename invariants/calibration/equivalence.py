"""Sentences as they are judged: equivalence within margins, and one sentence about several seeds by Holm's levels."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from ace.auc import discriminate
from ace.holm import holm_intervals
from ace.stats import Estimate
from invariants.calibration.coverage import ERRORS, SIDE
from invariants.calibration.samples import Generator, prompts, skewed
from invariants.calibration.section import Entry, Row, Section

MARGIN = 0.1
FAR = 0.0  # a seed's truth that is well inside


def separation(rng: Generator, nouns: int, truth: float, noise: float) -> Estimate:
    """Separation after a removal that leaves so much of it."""
    sample = prompts(nouns, 4, nested=False)
    base = sample.apart(skewed(sample.normal(rng)), 2.0)
    left = truth * base + noise * skewed(sample.normal(rng))
    scored = discriminate(np.array([base, left]), sample.labels, sample.clusters)
    return scored.estimate("", lambda part: part.separation[1])


def holds(estimates: Sequence[Estimate]) -> bool:
    """Every interval at its Holm level inside +- margin: two one-sided tests of each seed."""
    return all(
        seed.low >= -MARGIN and seed.high <= MARGIN
        for seed in holm_intervals(estimates, lambda value: MARGIN - abs(value))
    )


def _entry(nouns: int, on_bound: int, seeds: int, noise: float) -> Entry:
    truths = [MARGIN] * on_bound + [FAR] * (seeds - on_bound)
    name = f"{on_bound} of {seeds} seeds on the bound, {nouns} nouns, noise {noise:g}"

    def run(trials: int) -> tuple[Row, ...]:
        held = 0
        for trial in range(trials):
            rng = np.random.default_rng([zlib.crc32(name.encode()), trial])
            held += holds([separation(rng, nouns, truth, noise) for truth in truths])
        share, error = held / trials, math.sqrt(SIDE * (1 - SIDE) / trials)
        amiss = f"HOLDS in {share:.1%}, limit {SIDE:.0%}" if share > SIDE + ERRORS * error else ""
        cells = (f"{seeds}", f"{on_bound}", f"{nouns}", f"{noise:g}", f"{trials}", f"{share:.1%} ± {error:.1%}")
        return (Row((*cells, amiss and f"**{amiss}**"), amiss),)

    return Entry(name, run, cost=2.0 * seeds)


SECTION = Section(
    "Equivalence and several seeds",
    "How often the separation that is left HOLDS to lie within ± .1 of 0 in every seed, where in some seeds it is .1"
    " and in the others 0. It is asked to be 5 % at most. Intervals at 95 % make each of two one-sided tests one at"
    " 2.5 %.",
    ("seeds", "of them on the bound", "nouns", "noise (s.d.)", "trials", "HOLDS", ""),
    tuple(
        _entry(nouns, on_bound, seeds, noise)
        for nouns, on_bound, seeds, noise in (
            (24, 1, 1, 0.1),
            (24, 1, 1, 0.5),
            (60, 1, 1, 0.2),
            (24, 1, 20, 0.1),
            (24, 5, 5, 0.1),
        )
    ),
)
