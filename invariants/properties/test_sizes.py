"""Properties of the sizes of a core of modular addition: areas are what they say, and their intervals cover."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.families.modular_addition.sizes import (
    grown,
    keeping_area,
    keeping_rank,
    once,
    redundancy_area,
    redundancy_rank,
    removal_area,
    removal_rank,
    widened,
)
from ace.model.intervene import RankScan
from ace.stats import Estimate
from invariants.properties.strategies import seeds

RANKS, PAIRS, CLASSES = 12, 53 * 8, 53
CHANCE, PUBLISHED = 1 / CLASSES, 2 / CLASSES


def scan_of(kept: Array, removed: Array) -> RankScan:
    """Accuracies (r) at every rank, of a model that answers all pairs."""
    answered = np.arange(PAIRS)[None] < np.round(np.stack([kept, removed]).reshape(-1, 1) * PAIRS)
    keep_hits, remove_hits = torch.from_numpy(answered).split(len(kept))
    return RankScan(torch.ones(PAIRS, dtype=torch.bool), keep_hits, remove_hits)


@given(needed=st.integers(1, RANKS), enough=st.integers(1, RANKS))
def test_of_curves_with_one_step_areas_are_the_rank_of_the_step(needed: int, enough: int) -> None:
    ranks = np.arange(1, RANKS + 1)
    scan = scan_of(np.where(ranks >= enough, 1.0, CHANCE), np.where(ranks >= needed, CHANCE, 1.0))
    area, rank = removal_area(scan, once(scan), CHANCE), removal_rank(scan, once(scan), PUBLISHED)
    assert area[0] == pytest.approx(needed)
    assert rank[0] == needed
    assert keeping_area(scan, once(scan), CHANCE)[0] == pytest.approx(enough)
    assert keeping_rank(scan, once(scan))[0] == enough
    assert redundancy_area(scan, once(scan), CHANCE)[0] == pytest.approx(needed - enough)
    assert redundancy_rank(scan, once(scan), PUBLISHED)[0] == needed - enough


@given(seed=seeds)
def test_the_area_of_a_falling_curve_is_the_mean_of_r_nec_over_all_bounds(seed: int) -> None:
    falling = -np.sort(-np.random.default_rng(seed).uniform(CHANCE, 1, RANKS))
    falling = np.append(np.round(falling * PAIRS) / PAIRS, CHANCE)
    scan = scan_of(falling, falling)
    bounds = CHANCE + (1 - CHANCE) * (np.arange(2000) + 0.5) / 2000
    ranks = [removal_rank(scan, once(scan), float(bound))[0] for bound in bounds]
    assert removal_area(scan, once(scan), CHANCE)[0] == pytest.approx(np.mean(ranks), abs=RANKS / 1000)


@given(seed=seeds)
def test_a_checkpoint_compared_with_itself_has_not_grown_in_any_resample(seed: int) -> None:
    curve = np.sort(np.random.default_rng(seed).uniform(0, 1, RANKS))
    scan = scan_of(curve, curve[::-1])
    size = partial(removal_area, chance=CHANCE)
    assert grown(seed, size, scan, scan).interval() == (1.0, 1.0)
    assert widened(seed, size, scan, scan).interval() == (0.0, 0.0)


def test_accuracy_that_is_not_there_is_spread_over_no_dimensions() -> None:
    idle = torch.zeros(RANKS, PAIRS, dtype=torch.bool)
    scan = RankScan(torch.zeros(PAIRS, dtype=torch.bool), idle, idle)
    for area in (removal_area, keeping_area):
        with pytest.raises(Inapplicable, match=r"answers 0\.000 of the pairs, at most half of them"):
            area(scan, once(scan), CHANCE)


def test_accuracy_below_chance_leaves_the_one_dimension_that_nothing_was_removed_from() -> None:
    below = np.zeros(RANKS)
    scan = scan_of(below, below)
    assert removal_area(scan, once(scan), 0.5)[0] == 1.0


# --- coverage: a plateau just above the published bound, as cores of modular addition have late in training ----------
HELD_OUT, WIDTH, TRIALS = 1405, 30, 200
EARLY = np.where(np.arange(1, WIDTH + 1) < 8, 0.9, CHANCE)
LATE = np.select([np.arange(1, WIDTH + 1) < 8, np.arange(1, WIDTH + 1) < 20], [0.9, 0.042], CHANCE)


def drawn(curve: Array, rng: np.random.Generator) -> RankScan:
    """Hits of pairs that are right with the probabilities of a curve, a pair's ranks with correlation .8 a step."""
    steps = rng.standard_normal((len(curve), HELD_OUT))
    for rank in range(1, len(curve)):
        steps[rank] = 0.8 * steps[rank - 1] + 0.6 * steps[rank]
    hits = torch.from_numpy(steps < norm.ppf(curve)[:, None])
    return RankScan(torch.ones(HELD_OUT, dtype=torch.bool), hits, hits)


def spread_over(curve: Array) -> float:
    return float(1 + ((curve - CHANCE) / (1 - CHANCE)).sum())


def test_intervals_of_areas_cover_where_those_of_the_first_crossing_do_not() -> None:
    rng = np.random.default_rng(0)
    area, rank = partial(removal_area, chance=CHANCE), partial(removal_rank, bound=PUBLISHED)
    truths = {
        "area": spread_over(LATE) / spread_over(EARLY),
        "rank": 20 / 8,
        "gained area": spread_over(LATE) - spread_over(EARLY),
    }
    covered = dict.fromkeys(truths, 0)
    for trial in range(TRIALS):
        late, early = drawn(LATE, rng), drawn(EARLY, rng)
        estimates: dict[str, Estimate] = {
            "area": grown(trial, area, late, early),
            "rank": grown(trial, rank, late, early),
            "gained area": widened(trial, area, late, early),
        }
        for name, estimate in estimates.items():
            low, high = estimate.interval()
            covered[name] += low <= truths[name] <= high
    assert 0.91 <= covered["area"] / TRIALS <= 0.985
    assert 0.91 <= covered["gained area"] / TRIALS <= 0.985
    assert covered["rank"] / TRIALS <= 0.75
