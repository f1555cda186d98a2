"""Intervals of AUC, accuracy and separation, and of differences of them, with nouns that have both labels or one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from ace.arrays import Array
from ace.auc import discriminate
from ace.discrimination import Quantities
from ace.stats import Estimate
from invariants.calibration.coverage import COLUMNS, CONSERVATIVE, coverage, crossed
from invariants.calibration.samples import Generator, accuracy_of_distance, distance_of_auc, prompts, skewed
from invariants.calibration.section import Entry, Section

NOUNS = (24, 60, 300)
SEPARATIONS = {"separation -.8": -0.8, "separation 0": 0.0, "separation .1": 0.1, "separation 1": 1.0}
AUCS = (0.5, 0.9, 0.99, 0.999)
EDGE = 0.95  # an AUC above has intervals that are conservative


def edited(rng: Generator, nouns: int, nested: bool) -> Mapping[str, Estimate]:
    """Contrasts as they are and after edits that leave a part of them and add noise of their own."""
    sample = prompts(nouns, 4 if nouns < 300 else 2, nested)
    base = sample.apart(skewed(sample.normal(rng)), 2.0)
    rows = [base, *(share * base + 0.5 * skewed(sample.normal(rng)) for share in SEPARATIONS.values())]
    scored = discriminate(np.array(rows), sample.labels, sample.clusters)

    def separation(row: int, part: Quantities) -> Array:
        return part.separation[row]

    return {name: scored.estimate("", partial(separation, row)) for row, name in enumerate(SEPARATIONS, start=1)}


def discriminated(rng: Generator, nouns: int, nested: bool) -> Mapping[str, Estimate]:
    """Contrasts of several AUCs, in one batch: normal, since AUC sees order alone."""
    sample = prompts(nouns, 4 if nouns < 300 else 2, nested)
    base = sample.apart(sample.normal(rng), distance_of_auc(0.9))
    rows = [base, *(sample.apart(sample.normal(rng), distance_of_auc(auc)) for auc in AUCS)]
    scored = discriminate(np.array(rows), sample.labels, sample.clusters)

    def auc(row: int, part: Quantities) -> Array:
        return part.auc[row]

    def accuracy(row: int, part: Quantities) -> Array:
        return part.accuracy[row]

    found = {}
    for row, value in enumerate(AUCS, start=1):
        found[f"AUC {value:g}"] = scored.estimate("", partial(auc, row))
        found[_accuracy(value)] = scored.estimate("", partial(accuracy, row))
    found["AUC .9 less AUC .9"] = scored.estimate("", lambda part: part.auc[2] - part.auc[0])
    found["AUC .99 less AUC .9"] = scored.estimate("", lambda part: part.auc[3] - part.auc[0])
    return found


def _accuracy(auc: float) -> str:
    return f"accuracy {accuracy_of_distance(distance_of_auc(auc)):.2g}"


def _entries() -> list[Entry]:
    truths = {}
    for auc in AUCS:
        truths[f"AUC {auc:g}"] = auc
        truths[_accuracy(auc)] = accuracy_of_distance(distance_of_auc(auc))
    truths |= {"AUC .9 less AUC .9": 0.0, "AUC .99 less AUC .9": 0.09}
    edge = {name: CONSERVATIVE for name, truth in truths.items() if truth > EDGE}
    entries = []
    for nouns, nested in crossed(NOUNS, (False, True)):
        data = f"{nouns} nouns of {'one label' if nested else 'both labels'}"
        cost, thorough = {24: 3.0, 60: 5.0, 300: 40.0}[nouns], nouns == 300
        draws = partial(edited, nouns=nouns, nested=nested), partial(discriminated, nouns=nouns, nested=nested)
        entries.append(coverage(data, draws[0], SEPARATIONS, cost=cost, thorough=thorough))
        entries.append(coverage(data, draws[1], truths, edge, cost=cost, thorough=thorough))
    return entries


SECTION = Section(
    "AUC, accuracy and separation",
    "`Discrimination.estimate`: BCa at levels expanded for few clusters, with binomial limits where an AUC or accuracy"
    " has fewer than three effective errors. Prompts of one noun correlate by .3; 8 prompts a noun of both labels and 4"
    " a noun of one (half of that with 300 nouns).",
    COLUMNS,
    tuple(_entries()),
)
