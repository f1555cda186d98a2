"""Fits with censored times: against another library, planted numbers, and what they must refuse."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from ace.arrays import Array, Bools
from ace.families.grokking_law.censored import fit


def times(seed: int, count: int = 60, limit: float = 1.6) -> tuple[Array, Array, Bools]:
    """Columns, logs and which ended, of times about 1 - x with deviation .4 that are given up at `limit`."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, count)
    logs = 1 - x + 0.4 * rng.standard_normal(count)
    return np.stack([np.ones(count), x], axis=1), np.minimum(logs, limit), logs <= limit


def slow_fit(columns: Array, logs: Array, ended: Bools, weights: Array) -> Array:
    """Coefficients and deviation by a general optimiser of the plain likelihood."""

    def loss(point: Array) -> float:
        spread = np.exp(point[-1])
        away = (logs - columns @ point[:-1]) / spread
        each = np.where(ended, norm.logpdf(away) - point[-1], norm.logsf(away))
        return -float((weights * each).sum())

    start = np.append(np.linalg.lstsq(columns[ended], logs[ended], rcond=None)[0], 0.0)
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 20_000})
    return np.append(found.x[:-1], np.exp(found.x[-1]))


@given(st.integers(0, 10_000))
def test_fits_are_those_of_a_general_optimiser(seed: int) -> None:
    columns, logs, ended = times(seed)
    weights = np.random.default_rng(seed).multinomial(60, np.full(60, 1 / 60), 3).astype(float)
    found, spread, likelihood = fit(columns, logs, ended, weights)
    for row in range(3):
        slow = slow_fit(columns, logs, ended, weights[row])
        np.testing.assert_allclose(found[row], slow[:-1], atol=1e-4)
        np.testing.assert_allclose(spread[row], slow[-1], atol=1e-4)
        assert np.isfinite(likelihood[row])


def test_fits_are_those_of_lifelines() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries that it brings with it
        lifelines = pytest.importorskip("lifelines")
        pandas = pytest.importorskip("pandas")
        columns, logs, ended = times(1)
        frame = pandas.DataFrame({"time": np.exp(logs), "ended": ended, "x": columns[:, 1]})
        other = lifelines.LogNormalAFTFitter().fit(frame, "time", "ended")
    found, spread, _ = fit(columns, logs, ended, np.ones((1, 60)))
    named = other.params_
    np.testing.assert_allclose(found[0], [named["mu_", "Intercept"], named["mu_", "x"]], atol=1e-4)
    np.testing.assert_allclose(spread[0], np.exp(named["sigma_", "Intercept"]), atol=1e-4)


def test_without_censoring_it_is_least_squares() -> None:
    columns, logs, ended = times(2, limit=99.0)
    assert ended.all()
    found, spread, _ = fit(columns, logs, ended, np.ones((1, 60)))
    slope, residual, *_ = np.linalg.lstsq(columns, logs, rcond=None)
    np.testing.assert_allclose(found[0], slope, atol=1e-10)
    np.testing.assert_allclose(spread[0], np.sqrt(residual[0] / 60), atol=1e-10)


def test_dropping_what_was_censored_is_worse_than_keeping_it() -> None:
    kept, dropped = [], []
    for seed in range(40):
        columns, logs, ended = times(seed, count=200, limit=1.0)
        kept.append(fit(columns, logs, ended, np.ones((1, 200)))[0][0, 1])
        dropped.append(fit(columns[ended], logs[ended], ended[ended], np.ones((1, int(ended.sum()))))[0][0, 1])
    assert abs(np.mean(kept) + 1) < 0.02
    assert np.mean(dropped) > -0.8


@given(st.integers(0, 1000))
def test_resamples_do_not_depend_on_each_other(seed: int) -> None:
    columns, logs, ended = times(seed)
    weights = np.random.default_rng(seed).multinomial(60, np.full(60, 1 / 60), 4).astype(float)
    together = fit(columns, logs, ended, weights)[0]
    alone = np.concatenate([fit(columns, logs, ended, weights[[row]])[0] for row in range(4)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_too_few_that_ended_give_no_number() -> None:
    columns, logs, ended = times(3)
    none = np.zeros(60, dtype=bool)
    weights = np.ones((2, 60))
    weights[1, 2:] = 0  # two times alone
    found, spread, likelihood = fit(columns, logs, none, weights)
    assert np.isnan(found).all()
    assert np.isnan(spread).all()
    assert np.isnan(likelihood).all()
    found, _, _ = fit(columns, logs, ended, weights)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    alike = np.ones((60, 2))
    assert np.isnan(fit(alike, logs, ended, np.ones((1, 60)))[0]).all()


def test_a_mean_without_censoring_needs_one_time_alone() -> None:
    """A resample may draw one seed several times; with a censored one beside it one time does not tell the spread."""
    logs, ended = np.array([1.0, 2.0, 3.0]), np.array([True, True, False])
    weights = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    found, spread, _ = fit(np.ones((3, 1)), logs, ended, weights)
    np.testing.assert_allclose(found[:2, 0], [1.0, 1.5], atol=1e-12)
    assert np.isnan(found[2, 0])
    assert found[3, 0] > 2
    np.testing.assert_allclose(spread[:2], [0.0, 0.5], atol=1e-5)
