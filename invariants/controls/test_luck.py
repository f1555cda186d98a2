"""What untrained models reach by luck: how often a random model passes, and how many are tried to say so."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from ace.arrays import Array
from ace.families.agreement.luck import MOST, reach_of_luck
from ace.study.prompt_seeds import TWINS

BOUND = 0.7
TRIALS = 600

Draw = Callable[[np.random.Generator, int], Array]


def beta(shape: float) -> Draw:
    return lambda generator, count: generator.beta(shape, shape, count)


def normal(spread: float) -> Draw:
    return lambda generator, count: np.clip(generator.normal(0.5, spread, count), 0.0, 1.0)


@pytest.mark.parametrize(
    "draw",
    [beta(0.3), beta(1.0), beta(2.0), beta(5.0), normal(0.06), normal(0.12)],
    ids=["either way", "anything", "wide", "narrower", "many nouns", "few nouns"],
)
def test_a_random_model_hardly_ever_agrees_where_its_like_show_how_far_luck_reaches(draw: Draw) -> None:
    generator = np.random.default_rng(0)
    passed = alone = 0
    for model, *others in draw(generator, TRIALS * (MOST + 1)).reshape(TRIALS, MOST + 1):
        found, _ = reach_of_luck(others.__getitem__, BOUND)
        agrees = model >= BOUND
        alone += agrees
        passed += agrees and found.interval()[1] < BOUND
    assert passed <= 0.01 * TRIALS
    assert passed < 0.25 * alone or alone < 0.01 * TRIALS


@pytest.mark.parametrize("spread", [0.08, 0.09, 0.1, 0.11])
def test_a_random_model_hardly_ever_agrees_where_luck_reaches_about_to_the_bound(spread: float) -> None:
    generator = np.random.default_rng(0)
    passed = 0
    for model, *others in normal(spread)(generator, TRIALS * (MOST + 1)).reshape(TRIALS, MOST + 1):
        passed += model >= BOUND and reach_of_luck(others.__getitem__, BOUND)[0].interval()[1] < BOUND
    assert passed <= 0.01 * TRIALS


@pytest.mark.parametrize(("spread", "least"), [(0.02, 0.99), (0.04, 0.99), (0.06, 0.95)])
def test_where_luck_does_not_reach_the_bound_a_few_models_say_so(spread: float, least: float) -> None:
    generator = np.random.default_rng(0)
    told, tried = [], []
    for row in normal(spread)(generator, TRIALS * MOST).reshape(TRIALS, MOST):
        found, aucs = reach_of_luck(row.__getitem__, BOUND)
        told.append(found.interval()[1] < BOUND)
        tried.append(len(aucs))
    assert np.mean(told) >= least
    assert np.median(tried) <= 9
    assert min(tried) == TWINS


def test_the_interval_holds_what_95_of_100_stay_below_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    spread = 0.1
    held = []
    for row in 0.5 + spread * generator.standard_normal((TRIALS, MOST)):
        found, aucs = reach_of_luck(row.__getitem__, math.nan)  # on neither side of it, ever: all are tried
        low, high = found.interval()
        held.append(low <= 0.5 + norm.ppf(0.95) * spread <= high)
        assert len(aucs) == MOST
    assert 0.93 <= np.mean(held) <= 0.97


def test_models_are_asked_for_once_each_in_their_order() -> None:
    asked: list[int] = []

    def draw(index: int) -> float:
        asked.append(index)
        return [0.9, 0.2, 0.5][index % 3]

    found, aucs = reach_of_luck(draw, 0.99)
    assert asked == list(range(len(aucs)))
    assert TWINS <= len(aucs) <= MOST
    assert aucs == [[0.9, 0.2, 0.5][index % 3] for index in asked]
    assert found.value <= 1.0


def test_what_luck_reaches_follows_from_how_far_models_lie_from_chance_and_is_an_auc() -> None:
    found, aucs = reach_of_luck(lambda index: 0.5 + 0.1 * (-1) ** index, math.nan)
    assert (found.label, found.count, len(aucs)) == ("95% of models", MOST, MOST)
    assert found.value == pytest.approx(0.5 + 0.1 * norm.ppf(0.95))
    certain, _ = reach_of_luck(lambda index: 1.0, math.nan)
    assert (certain.value, *certain.interval()) == (1.0, 1.0, 1.0)
