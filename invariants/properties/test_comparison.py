"""The tolerance of a comparison: how often it is left where nothing changed, and what it takes to see a change."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ace.families.family import find_claim
from ace.report.comparison import LEVEL, Outcome, compare, compare_results, distance, fisher
from ace.report.record import result
from ace.stats import Estimate, bootstrap_mean, clustered_proportion, exact, proportion
from ace.study.measurement import Measurement
from ace.verify import judge
from invariants.contracts.builders import SEEDS, verdict

TRIALS = 1500
SUFFICIENCY = "markov.sufficiency"


# --- calibration ------------------------------------------------------------------------------------------------------
def drawn_mean(rng: np.random.Generator, shift: float) -> Estimate:
    return bootstrap_mean("0", rng.exponential(size=40) + shift)


def drawn_share(rng: np.random.Generator, shift: float) -> Estimate:
    return proportion("0", int(rng.binomial(200, 0.9 - shift)), 200)


def drawn_clusters(rng: np.random.Generator, shift: float) -> Estimate:
    trials = np.full(35, 7)
    return clustered_proportion("0", rng.binomial(trials, rng.beta(8, 2 + 20 * shift, size=35)), trials)


KINDS: dict[str, tuple[Callable[[np.random.Generator, float], Estimate], float]] = {
    "means of skewed clusters": (drawn_mean, 1.2),
    "shares of independent trials": (drawn_share, 0.2),
    "shares of clustered trials": (drawn_clusters, 0.3),
}


def how_often_moved(kind: str, *, shift: float, trials: int, rows: int = 1) -> float:
    """Share of comparisons of `rows` seeds each in which some seed left its tolerance."""
    draw, rng = KINDS[kind][0], np.random.default_rng(11)

    def interval(by: float) -> tuple[float, float, float, float]:
        estimate = draw(rng, by)
        return (estimate.value, *estimate.interval(0.95), 0.95)

    moved = [any(distance(interval(0.0), interval(shift), rows) > 1 for _ in range(rows)) for _ in range(trials)]
    return float(np.mean(moved))


@pytest.mark.parametrize("kind", KINDS)
def test_two_samples_of_one_distribution_seldom_leave_the_tolerance(kind: str) -> None:
    """At most twice the level, and no more of rows with several seeds: intervals of few clusters are not exact."""
    trials = TRIALS if "skewed" not in kind else TRIALS // 3
    allowed = stats.binom.isf(0.001, trials, 2 * LEVEL) / trials
    assert how_often_moved(kind, shift=0.0, trials=trials) <= allowed
    assert how_often_moved(kind, shift=0.0, trials=trials // 5, rows=5) <= allowed + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_of_several_standard_errors_is_seen(kind: str) -> None:
    assert how_often_moved(kind, shift=KINDS[kind][1], trials=100) >= 0.9


# --- the tolerance ----------------------------------------------------------------------------------------------------
finite = st.floats(-10, 10).map(lambda value: round(value, 3))
intervals = st.tuples(finite, st.floats(0.001, 3), st.floats(0.001, 3)).map(
    lambda found: (found[0], found[0] - found[1], found[0] + found[2], 0.95)
)


@given(intervals, intervals, st.integers(1, 5))
def test_it_does_not_matter_which_of_both_is_the_baseline(first: Any, second: Any, among: int) -> None:
    assert distance(first, second, among) == pytest.approx(distance(second, first, among))


@given(intervals, intervals, st.floats(0.1, 10))
def test_units_do_not_matter(first: Any, second: Any, unit: float) -> None:
    one, other = ((*(end * unit for end in interval[:3]), interval[3]) for interval in (first, second))
    assert distance(one, other) == pytest.approx(distance(first, second), rel=1e-6, abs=1e-6)


def test_of_two_normal_estimates_the_level_is_that_of_the_z_test() -> None:
    half = stats.norm.ppf(0.975)
    threshold = math.sqrt(2) * stats.norm.ppf(1 - LEVEL / 2)
    for gap, moved in ((0.999 * threshold, False), (1.001 * threshold, True)):
        first, second = (0.0, -half, half, 0.95), (gap, gap - half, gap + half, 0.95)
        assert bool(distance(first, second) > 1) == moved


def test_an_interval_at_another_level_gives_the_same_tolerance() -> None:
    wide, narrow = stats.norm.ppf(0.995), stats.norm.ppf(0.975)
    other = (1.0, 1 - narrow, 1 + narrow, 0.95)
    assert distance((0.0, -wide, wide, 0.99), other) == pytest.approx(distance((0.0, -narrow, narrow, 0.95), other))


def test_values_without_sampling_error_have_no_tolerance_but_rounding() -> None:
    assert distance((2.0, 2.0, 2.0, 0.95), (2.0 * (1 + 1e-12), 2.0, 2.0, 0.95)) == 0
    assert distance((2.0, 2.0, 2.0, 0.95), (3.0, 3.0, 3.0, 0.95)) == math.inf


def test_an_end_without_limit_is_never_left() -> None:
    assert distance((1.0, 0.5, math.inf, 0.95), (1e9, 1e9, 1e9, 0.95)) == 0


@pytest.mark.parametrize("interval", [(0.5, 0.4, 0.6), (0.5, -math.inf, math.inf), (0.5, 0.5, 0.5)])
def test_a_value_that_becomes_infinite_or_ceases_to_be_has_left_any_tolerance(
    interval: tuple[float, float, float],
) -> None:
    finite, endless = (*interval, 0.95), (math.inf, -math.inf, math.inf, 0.95)
    assert distance(finite, endless) == distance(endless, finite) == math.inf
    assert distance(endless, endless) == 0


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_fishers_test_is_scipys(hits: int, draws: int, other_hits: int, other_draws: int) -> None:
    hits, other_hits = min(hits, draws), min(other_hits, other_draws)
    table = [[hits, draws - hits], [other_hits, other_draws - other_hits]]
    assert fisher(hits, draws, other_hits, other_draws) == pytest.approx(stats.fisher_exact(table)[1], abs=1e-9)


# --- outcomes ---------------------------------------------------------------------------------------------------------
def plain(status: str, **changes: Any) -> dict[str, Any]:
    return {**result(verdict(status, "tiny")), **changes}


EVERY = ("HOLDS", "VACUOUS", "UNDECIDED", "INAPPLICABLE", "FAILS")


@pytest.mark.parametrize("status", EVERY)
def test_the_same_twice_is_the_same(status: str) -> None:
    assert compare_results(plain(status), plain(status)).outcome is Outcome.SAME


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("HOLDS", "FAILS", Outcome.REGRESSED),
        ("HOLDS", "VACUOUS", Outcome.REGRESSED),
        ("VACUOUS", "FAILS", Outcome.REGRESSED),
        ("HOLDS", "INAPPLICABLE", Outcome.REGRESSED),
        ("VACUOUS", "INAPPLICABLE", Outcome.REGRESSED),
        ("FAILS", "INAPPLICABLE", Outcome.MOVED),
        ("UNDECIDED", "INAPPLICABLE", Outcome.MOVED),
        ("INAPPLICABLE", "FAILS", Outcome.MOVED),
        ("INAPPLICABLE", "HOLDS", Outcome.IMPROVED),
        ("FAILS", "HOLDS", Outcome.IMPROVED),
        ("VACUOUS", "HOLDS", Outcome.IMPROVED),
        ("UNDECIDED", "HOLDS", Outcome.TIPPED),
        ("HOLDS", "UNDECIDED", Outcome.TIPPED),
    ],
)
def test_what_becomes_of_a_verdict(before: str, after: str, outcome: Outcome) -> None:
    """Values of HOLDS and UNDECIDED lie within one another's intervals, and those of FAILS far off."""
    assert compare_results(plain(after), plain(before)).outcome is outcome


def test_other_parts_are_compared_by_what_they_come_to() -> None:
    """A claim that is measured in other seeds than before."""
    old = plain("HOLDS")
    new = {**plain("FAILS"), "seeds": ["0", "2"]}
    assert compare_results(new, old).outcome is Outcome.REGRESSED
    assert compare_results({**old, "seeds": ["0", "2"]}, old).outcome is Outcome.WITHIN


def test_a_value_that_becomes_infinite_is_told() -> None:
    """JSON has no infinity: a record has null in its place."""
    old = plain("HOLDS", seeds=["0"], values=[0.5], intervals=[[0.4, 0.6]], confidences=[0.95])
    new = {**old, "values": [None], "intervals": [[0.4, None]]}
    for before, after, text in ((old, new, "0.5 [0.4, 0.6] -> inf [0.4, inf]"), (new, old, "inf [0.4, inf] -> 0.5")):
        found = compare_results(after, before)
        assert found.outcome is Outcome.MOVED
        assert f"value {text}" in found.text
        assert "beyond any tolerance" in found.text
    assert compare_results(new, new).outcome is Outcome.SAME


@pytest.mark.parametrize(("before", "after"), [(None, -0.4375), (-0.4375, None), (None, None)])
def test_a_control_without_a_finite_value_that_lies_elsewhere_is_told(
    before: float | None, after: float | None
) -> None:
    def control(status: str, place: str, value: float | None) -> dict[str, Any]:
        entries: dict[str, Any] = {
            "control_values": {},
            "control_intervals": {},
        }  # as they were written before there were such
        return plain("HOLDS", verdict=status, controls={"c": value}, control_places={"c": place}, **entries)

    found = compare_results(control("VACUOUS", "inside", after), control("HOLDS", "outside", before))
    assert found.outcome is Outcome.REGRESSED
    shown = ["inf" if value is None else f"{value:.4g}" for value in (before, after)]
    assert f"control c outside at {shown[0]} -> inside at {shown[1]}" in found.text


def test_a_control_within_its_own_interval_refutes_nothing() -> None:
    def with_control(estimate: Estimate) -> dict[str, Any]:
        sentence = find_claim(SUFFICIENCY)
        controls = {name: (exact("0", -0.4375),) for name in sentence.controls}
        controls[sentence.controls[-1]] = (estimate,)
        return result(judge(sentence, Measurement(SEEDS["HOLDS"], controls), "tiny"))

    wide = np.linspace(-0.1, 0.08, 999)
    outside = with_control(Estimate("0", -0.012, replicates=wide - 0.1, possible=(-1, -0.0101)))
    straddling = with_control(Estimate("0", -0.011, replicates=wide))
    assert (outside["verdict"], straddling["verdict"]) == ("HOLDS", "UNDECIDED")
    assert compare_results(straddling, outside).outcome is Outcome.TIPPED
    far = with_control(exact("0", 0.0))
    found = compare_results(far, outside)
    assert found.outcome is Outcome.REGRESSED
    assert "outside at -0.012 -> inside at 0" in found.text


@pytest.mark.parametrize(
    ("as_good", "draws", "outcome"), [(2, 150, Outcome.TIPPED), (2, 5, Outcome.REGRESSED), (40, 199, Outcome.REGRESSED)]
)
def test_a_few_more_draws_as_good_refute_nothing(as_good: int, draws: int, outcome: Outcome) -> None:
    def ranked(status: str, as_good: int, draws: int) -> dict[str, Any]:
        test = {"control": "the rest", "seed": "0", "as good": as_good, "draws": draws}
        places = {"the rest": "outside" if status == "HOLDS" else "inside"}
        return plain("HOLDS", verdict=status, rest=[test], control_places=places)

    assert compare_results(ranked("VACUOUS", as_good, draws), ranked("HOLDS", 0, 199)).outcome is outcome


def test_a_comparison_counts_what_both_have() -> None:
    one, two, three = (plain("HOLDS", subject=name) for name in ("one", "two", "three"))
    found = compare({"results": [one, two]}, {"results": [two, three]})
    assert found.common == 1
    assert [row.outcome for row in found.rows] == [Outcome.NEW, Outcome.SAME, Outcome.MISSING]
    assert found.changed
    assert not found.regressed
