"""The judge itself, on constructed measurements whose verdict is known."""

from __future__ import annotations

import numpy as np
import pytest

from ace.errors import ClaimError, InputError
from ace.stats import Estimate, exact
from ace.study.claim import Bound, Claim
from ace.study.measurement import Measurement, measures
from ace.study.rest import Rest
from ace.verify import Status, judge


@measures("control")
def nothing(subject: object) -> Measurement:
    """What the claims below would be measured by."""
    raise AssertionError("measurements are given")


def sentence(name: str, bound: Bound) -> Claim:
    return Claim(name, "A sentence.", "ours", "a number", bound, "null", "why", ("control",), measure=nothing)


AT_MOST_ONE = sentence("t.claim", Bound("<=", 1.0))


def spread(label: str, centre: float, width: float) -> Estimate:
    """An estimate whose replicates fill centre +- width evenly."""
    return Estimate(label, centre, replicates=np.linspace(centre - width, centre + width, 2001))


def measurement(*values: Estimate, control: float = 2.0) -> Measurement:
    return Measurement(values, {"control": (exact("c", control),)})


@pytest.mark.parametrize(
    ("values", "control", "status"),
    [
        ([spread("0", 0.5, 0.1), spread("1", 0.2, 0.1)], 2.0, Status.HOLDS),
        ([spread("0", 0.5, 0.1), spread("1", 0.2, 0.1)], 0.5, Status.VACUOUS),
        ([spread("0", 0.5, 0.1), spread("1", 1.5, 0.1)], 2.0, Status.FAILS),
        ([spread("0", 0.5, 0.1), spread("1", 1.0, 0.1)], 2.0, Status.UNDECIDED),
        ([spread("0", 0.5, 0.1), spread("1", 1.5, 0.1)], 0.5, Status.FAILS),
    ],
)
def test_the_verdict_follows_from_intervals_and_controls(
    values: list[Estimate], control: float, status: Status
) -> None:
    assert judge(AT_MOST_ONE, measurement(*values, control=control), "subject").status is status


def test_one_bad_seed_among_many_is_not_hidden_by_their_mean() -> None:
    good = [spread(str(k), 0.1, 0.05) for k in range(9)]
    verdict = judge(AT_MOST_ONE, measurement(*good, spread("9", 1.5, 0.05)), "subject")
    assert np.mean([seed.value for seed in verdict.seeds]) < 1.0
    assert verdict.status is Status.FAILS
    assert verdict.estimate == 1.5
    assert "9" in verdict.reason


def test_more_seeds_ask_for_wider_intervals() -> None:
    # Inside at 95 %, but not at the first of Holm's levels for ten seeds that all lie equally close to the bound.
    close = [spread(str(k), 0.9, 0.101) for k in range(10)]
    assert judge(AT_MOST_ONE, measurement(close[0]), "subject").status is Status.HOLDS
    assert judge(AT_MOST_ONE, measurement(*close), "subject").status is Status.UNDECIDED


def test_a_control_that_straddles_the_bound_leaves_the_claim_undecided() -> None:
    found = Measurement((spread("0", 0.5, 0.1),), {"control": (exact("a", 0.5), exact("b", 2.0))})
    verdict = judge(AT_MOST_ONE, found, "subject")
    assert verdict.status is Status.UNDECIDED
    assert "control" in verdict.reason


def test_a_missing_control_is_an_error_not_a_verdict() -> None:
    with pytest.raises(ClaimError, match="control"):
        judge(AT_MOST_ONE, Measurement((spread("0", 0.5, 0.1),), {}), "subject")


def test_an_undecided_verdict_says_how_many_more_samples() -> None:
    verdict = judge(AT_MOST_ONE, measurement(spread("0", 0.9, 0.2)), "subject")
    assert verdict.status is Status.UNDECIDED
    assert "times the samples" in verdict.reason


def test_a_seed_that_is_outside_at_its_own_level_alone_is_named_as_the_open_one() -> None:
    verdict = judge(AT_MOST_ONE, measurement(spread("0", 0.5, 0.1), spread("1", 1.05, 0.052)), "subject")
    assert verdict.status is Status.UNDECIDED
    assert "the interval straddles the bound in 1; about 2 times the samples" in verdict.reason


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (exact("0", 0.5), Status.FAILS),  # the same answer everywhere is right half of the time, by any edit
        (spread("0", 0.4, 0.1), Status.HOLDS),
        (Estimate("0", 0.45, replicates=np.array([0.4] * 8 + [0.5] * 8)), Status.UNDECIDED),
    ],
)
def test_below_chance_is_not_at_chance(value: Estimate, status: Status) -> None:
    assert judge(sentence("t.below", Bound("<", 0.5)), measurement(value), "subject").status is status


def test_an_equality_holds_only_for_an_interval_that_is_the_bound_itself() -> None:
    equal = sentence("t.equal", Bound("==", 3.0))
    assert judge(equal, measurement(exact("0", 3.0)), "subject").status is Status.HOLDS
    assert judge(equal, measurement(exact("0", 4.0)), "subject").status is Status.FAILS
    wavering = Estimate("0", 3.0, replicates=np.array([3.0] * 9 + [4.0]))
    assert judge(equal, measurement(wavering), "subject").status is Status.UNDECIDED


# --- bounds with two ends, controls with parts ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("centre", "width", "status"),
    [
        (0.0, 0.05, Status.HOLDS),
        (0.08, 0.05, Status.UNDECIDED),
        (0.3, 0.05, Status.FAILS),
        (0.0, 0.2, Status.UNDECIDED),
    ],
)
def test_an_equivalence_margin_asks_for_the_whole_interval_between_its_ends(
    centre: float, width: float, status: Status
) -> None:
    between = sentence("t.between", Bound.between(-0.1, 0.1))
    assert judge(between, measurement(spread("0", centre, width)), "subject").status is status


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"0, up": 0.5, "0, down": 0.5}, "inside"),
        ({"0, up": 0.5, "0, down": 2.0}, "outside"),
        ({"0, up": 0.5, "0, down": 2.0, "1, up": 0.5, "1, down": 0.5}, "straddles"),
        ({"0, up": 2.0, "1, up": 2.0}, "outside"),
    ],
)
def test_a_control_of_several_parts_is_inside_only_where_all_of_them_are(parts: dict[str, float], place: str) -> None:
    control = tuple(exact(label, value) for label, value in parts.items())
    verdict = judge(AT_MOST_ONE, Measurement((spread("0", 0.5, 0.1),), {"control": control}), "subject")
    assert verdict.controls["control"].place == place


# --- the rest ---------------------------------------------------------------------------------------------------------
@measures("the rest")
def among_the_rest(subject: object) -> Measurement:
    """What the claims below would be measured by."""
    raise AssertionError("measurements are given")


BEATS_THE_REST = Claim(
    "t.rest", "A sentence.", "ours", "a number", Bound("<=", 1.0), "null", "why", ("the rest",), measure=among_the_rest
)


def drawn(label: str, *values: float) -> Rest:
    """Draws that have these values in turn."""
    return Rest(label, (label,), lambda numbers: np.array([[values[k % len(values)]] for k in numbers]))


@pytest.mark.parametrize(
    ("core", "values", "status", "draws"),
    [
        (0.5, (2.0,), Status.HOLDS, 199),
        (0.5, (0.9,), Status.VACUOUS, 25),  # worse than the core, and yet inside the bound
        (0.5, (2.0,) * 99 + (0.1,), Status.HOLDS, 199),  # one of 199 is let through
        (0.5, (2.0,) * 60 + (0.1,), Status.VACUOUS, 125),
        (1.5, (2.0,), Status.FAILS, 25),  # the rest cannot change that
    ],
)
def test_the_core_must_beat_the_rest_and_no_more_is_drawn_than_settles_it(
    core: float, values: tuple[float, ...], status: Status, draws: int
) -> None:
    measured = Measurement((spread("0", core, 0.01),), {}, rest=(drawn("0", *values),))
    verdict = judge(BEATS_THE_REST, measured, "subject")
    assert verdict.status is status
    assert [test.draws for test in verdict.rest] == [draws]


def test_one_seed_whose_rest_is_as_good_makes_the_sentence_vacuous() -> None:
    measured = Measurement(
        (spread("0", 0.5, 0.01), spread("1", 0.5, 0.01)), {}, rest=(drawn("0", 2.0), drawn("1", 0.2))
    )
    verdict = judge(BEATS_THE_REST, measured, "subject")
    assert verdict.status is Status.VACUOUS
    assert "seed 1: 25 of 25 draws" in verdict.reason


def test_a_draw_counts_only_where_it_is_as_good_in_every_part() -> None:
    def parts(first: float, second: float) -> Measurement:
        rest = Rest("0", ("0, a", "0, b"), lambda numbers: np.tile([first, second], (len(numbers), 1)))
        return Measurement((spread("0, a", 0.5, 0.01), spread("0, b", 0.5, 0.01)), {}, rest=(rest,))

    assert judge(BEATS_THE_REST, parts(0.1, 2.0), "subject").status is Status.HOLDS
    assert judge(BEATS_THE_REST, parts(0.1, 0.9), "subject").status is Status.VACUOUS


def test_parts_of_the_rest_are_parts_of_the_measurement() -> None:
    with pytest.raises(InputError, match="among the estimates"):
        Measurement((exact("0", 1.0),), {}, rest=(drawn("1", 0.0),))


def test_no_bound_of_ours_comes_from_elsewhere_than_it_says() -> None:
    with pytest.raises(ClaimError, match="expected a bound from"):
        Claim("t.s", "A.", "ours", "n", Bound("<=", 1.0), "taste", "why", ("control",), measure=nothing)
    with pytest.raises(ClaimError, match="expected a kind"):
        Claim("t.s", "A.", "ours", "n", Bound("<=", 1.0), "null", "why", ("control",), measure=nothing, kind="Q")
