"""The judge itself, on constructed measurements whose verdict is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ace.arrays import Array
from ace.errors import ClaimError, InputError
from ace.stats import Estimate, exact
from ace.study.claim import Bound, Claim
from ace.study.measurement import Measurement, measures
from ace.study.rest import Rest
from ace.verify import Status, Verdict, judge


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
        ({"0, up": None}, "straddles"),
        ({"0, up": 0.5, "0, down": None}, "straddles"),
        ({"0, up": None, "0, down": 2.0}, "outside"),
    ],
)
def test_a_control_of_several_parts_is_inside_only_where_all_of_them_are(
    parts: dict[str, float | None], place: str
) -> None:
    control = tuple(spread(label, 1.0, 0.1) if value is None else exact(label, value) for label, value in parts.items())
    verdict = judge(AT_MOST_ONE, Measurement((spread("0", 0.5, 0.1),), {"control": control}), "subject")
    assert verdict.controls["control"].place == place


def test_of_a_control_the_seed_is_shown_that_speaks_most_for_the_claim_by_its_worst_part() -> None:
    parts = {"0, up": 3.0, "0, down": 0.5, "1, up": 1.5, "1, down": 2.0, "2, up": 4.0}
    found = Measurement((spread("0", 0.5, 0.1),), {"control": tuple(exact(*part) for part in parts.items())})
    control = judge(AT_MOST_ONE, found, "subject").controls["control"]
    assert (control.values, control.value) == (tuple(parts.values()), 2.0)


def test_of_a_control_the_intervals_are_those_of_one_sentence_whatever_the_seeds_are() -> None:
    control = (spread("0", 3.0, 0.1), exact("1", 2.0))
    for seeds in (1, 3):
        found = Measurement(tuple(spread(str(k), 0.5, 0.1) for k in range(seeds)), {"control": control})
        shown = judge(AT_MOST_ONE, found, "subject").controls["control"].intervals
        assert shown == (control[0].interval(0.95), (2.0, 2.0))


# --- what a verdict says ----------------------------------------------------------------------------------------------
def test_a_bound_is_held_against_the_number_that_was_measured_for_it() -> None:
    claim = sentence("t.reference", Bound("<=", 0.25, "chance", 0.5))
    found = replace(measurement(exact("0", 0.75)), references={"chance": 1.0})
    verdict = judge(claim, found, "subject")
    assert (verdict.status, verdict.threshold) == (Status.HOLDS, 0.75)
    assert judge(claim, replace(found, references={"chance": 0.9}), "subject").status is Status.FAILS


def test_a_verdict_keeps_whose_it_is_and_what_was_measured_beside() -> None:
    other = spread("0", 3.0, 1.0)
    found = replace(measurement(spread("0", 0.5, 0.1)), beside={"oblique": (other, exact("1", 2.0))}, details={"n": 4})
    verdict = judge(AT_MOST_ONE, found, "a subject")
    assert (verdict.claim, verdict.subject, verdict.details) == (AT_MOST_ONE, "a subject", {"n": 4})
    assert verdict.beside == {"oblique": ((3.0, *other.interval(0.95)), (2.0, 2.0, 2.0))}


@pytest.mark.parametrize("direction", ["<=", ">="])
def test_a_verdict_shows_the_seed_that_speaks_least_for_it_and_all_that_seeds_reach(direction: str) -> None:
    found = measurement(spread("0", 0.5, 0.1), spread("1", 1.5, 0.1))
    verdict = judge(sentence("t.shown", Bound(direction, 1.25)), found, "subject")
    assert verdict.estimate == (1.5 if direction == "<=" else 0.5)
    assert (verdict.low, verdict.high) == (verdict.seeds[0].low, verdict.seeds[1].high)
    nothing = Verdict(AT_MOST_ONE, "subject", Status.INAPPLICABLE, "")
    assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()


@pytest.mark.parametrize(
    ("values", "controls", "reason"),
    [
        ((0.5,), {"control": 2.0}, "inside the bound in every seed, and outside on every control"),
        ((0.5,), {"control": 0.5}, "true, and true of control as well: it says nothing"),
        ((0.5,), {"control": 0.5, "other": 0.1}, "true, and true of control and other as well: it says nothing"),
        ((0.5,), {"control": None, "other": 2.0}, "inside the bound, but the control control straddles it"),
        ((0.5,), {"control": None, "other": None}, "inside the bound, but the control control and other straddles it"),
        ((0.5, 2.0), {"control": 2.0}, "outside the bound in 1 (1 of 2)"),
        ((3.0, 0.5, 2.0), {"control": 2.0}, "outside the bound in 0, 2 (2 of 3)"),
    ],
)
def test_a_verdict_names_the_seeds_and_controls_that_decided_it(
    values: tuple[float, ...], controls: dict[str, float | None], reason: str
) -> None:
    claim = replace(AT_MOST_ONE, controls=tuple(controls), measure=replace(nothing, controls=tuple(controls)))
    given = {name: (spread("c", 1.0, 0.1) if value is None else exact("c", value),) for name, value in controls.items()}
    found = Measurement(tuple(exact(str(k), value) for k, value in enumerate(values)), given)
    assert judge(claim, found, "subject").reason == reason


@pytest.mark.parametrize(
    ("halves", "times"),
    [
        ((0.75,), "9"),  # a third of the width just reaches from .75 to 1
        ((0.8,), "10.3"),  # 10.24, and no less
        ((0.3,), "2"),
        ((0.3, 0.75, 0.5), "9"),  # the widest
    ],
)
def test_so_many_times_the_samples_as_narrow_the_interval_to_the_bound(halves: tuple[float, ...], times: str) -> None:
    def reaching(label: str, half: float) -> Estimate:
        return Estimate(label, 0.75, limits=lambda confidence: (0.75 - half, 0.75 + half))

    verdict = judge(AT_MOST_ONE, measurement(*(reaching(str(k), x) for k, x in enumerate(halves))), "subject")
    named = ", ".join(str(k) for k in range(len(halves)))
    assert verdict.reason == (
        f"the interval straddles the bound in {named}; about {times} times the samples would settle it"
    )


def test_no_number_of_samples_settles_what_lies_on_the_bound() -> None:
    verdict = judge(AT_MOST_ONE, measurement(spread("0", 1.0, 0.1), spread("1", 0.9, 0.2)), "subject")
    assert verdict.reason == (
        "the interval straddles the bound in 0, 1; the estimate lies on it, no sample size settles that"
    )


# --- the rest ---------------------------------------------------------------------------------------------------------
@measures("the rest")
def among_the_rest(subject: object) -> Measurement:
    """What the claims below would be measured by."""
    raise AssertionError("measurements are given")


@measures("control", "the rest")
def beside_the_rest(subject: object) -> Measurement:
    """What a claim with another control than the rest would be measured by."""
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
    cores = tuple(spread(label, 0.5, 0.01) for label in "012")
    rest = (drawn("0", 2.0), drawn("1", 0.2), drawn("2", 0.2, 2.0))
    verdict = judge(BEATS_THE_REST, Measurement(cores, {}, rest=rest), "subject")
    assert verdict.status is Status.VACUOUS
    assert verdict.reason == (
        "true, and true of the rest (seed 1: 25 of 25 draws; seed 2: 13 of 25 draws) as well: it says nothing"
    )


def test_a_draw_counts_only_where_it_is_as_good_in_every_part() -> None:
    def parts(first: float, second: float) -> Measurement:
        rest = Rest("0", ("0, a", "0, b"), lambda numbers: np.tile([first, second], (len(numbers), 1)))
        return Measurement((spread("0, a", 0.5, 0.01), spread("0, b", 0.5, 0.01)), {}, rest=(rest,))

    assert judge(BEATS_THE_REST, parts(0.1, 2.0), "subject").status is Status.HOLDS
    assert judge(BEATS_THE_REST, parts(0.1, 0.9), "subject").status is Status.VACUOUS


def test_a_claim_may_let_more_of_the_rest_through() -> None:
    # Four of 199 draws are as good: p = .025.
    measured = Measurement((spread("0", 0.5, 0.01),), {}, rest=(drawn("0", *(2.0,) * 49, 0.1),))
    assert judge(BEATS_THE_REST, measured, "subject").status is Status.VACUOUS
    assert judge(replace(BEATS_THE_REST, rest_level=0.05), measured, "subject").status is Status.HOLDS


@pytest.mark.parametrize("control", ["outside", "inside", "straddles"])
@pytest.mark.parametrize(("core", "draws"), [(0.5, 199), (1.5, 25), (1.0, 25)])
def test_a_few_draws_are_shown_of_claims_that_are_not_inside_their_bound_alone(
    core: float, draws: int, control: str
) -> None:
    estimate = {"outside": exact("c", 2.0), "inside": exact("c", 0.5), "straddles": spread("c", 1.0, 0.1)}[control]
    measured = Measurement((spread("0", core, 0.01),), {"control": (estimate,)}, rest=(drawn("0", 2.0),))
    both = replace(BEATS_THE_REST, controls=("control", "the rest"), measure=beside_the_rest)
    verdict = judge(both, measured, "subject")
    assert [test.draws for test in verdict.rest] == [draws]
    assert {name: result.place for name, result in verdict.controls.items()} == {
        "control": control,
        "the rest": "outside",
    }


def test_no_verdict_hangs_on_draws_that_few_rows_show() -> None:
    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        return np.full((len(numbers), 1), 0.9), np.ones((len(numbers), 1))  # inside on few rows, and outside on all

    rest = replace(drawn("0", 2.0), few=on_few)
    measured = Measurement((spread("0", 0.5, 0.01),), {"control": (spread("c", 1.0, 0.1),)}, rest=(rest,))
    both = replace(BEATS_THE_REST, controls=("control", "the rest"), measure=beside_the_rest)
    verdict = judge(both, measured, "subject")
    assert verdict.status is Status.UNDECIDED
    assert verdict.controls["the rest"].place == "outside"


@pytest.mark.parametrize(
    ("good", "place"),
    [
        ([0, 0], "outside"),
        ([0, 1], "straddles"),  # with one of 25 draws as good the core may still beat 199
        ([1, 1], "straddles"),
        ([2, 0], "inside"),  # of 199 no more than one is let through
    ],
)
def test_what_a_few_draws_say_of_the_rest_where_the_verdict_needs_no_more(good: list[int], place: str) -> None:
    rest = tuple(drawn(str(k), *[0.1] * count, *[2.0] * (25 - count)) for k, count in enumerate(good))
    measured = Measurement((spread("0", 1.5, 0.01), spread("1", 1.5, 0.01)), {}, rest=rest)
    verdict = judge(BEATS_THE_REST, measured, "subject")
    assert verdict.status is Status.FAILS
    assert verdict.controls["the rest"].place == place


def test_of_the_rest_the_draw_is_shown_that_speaks_most_for_the_claim_by_its_worst_part() -> None:
    def parts(label: str, *draws: tuple[float, float]) -> Rest:
        return Rest(label, (f"{label}, a", f"{label}, b"), lambda numbers: np.array(draws)[np.array(numbers) % 2])

    cores = tuple(exact(f"{label}, {part}", 0.5) for label in "01" for part in "ab")
    rest = (parts("0", (0.1, 3.0), (1.9, 1.5)), parts("1", (4.0, 2.5), (3.5, 0.1)))
    found = judge(BEATS_THE_REST, Measurement(cores, {}, rest=rest), "subject").controls["the rest"]
    assert (found.values, found.value) == ((1.9, 3.5), 1.9)


def test_parts_of_the_rest_are_parts_of_the_measurement() -> None:
    with pytest.raises(InputError, match="among the estimates"):
        Measurement((exact("0", 1.0),), {}, rest=(drawn("1", 0.0),))


def test_no_bound_of_ours_comes_from_elsewhere_than_it_says() -> None:
    with pytest.raises(ClaimError, match="expected a bound from"):
        Claim("t.s", "A.", "ours", "n", Bound("<=", 1.0), "taste", "why", ("control",), measure=nothing)
    with pytest.raises(ClaimError, match="expected a kind"):
        Claim("t.s", "A.", "ours", "n", Bound("<=", 1.0), "null", "why", ("control",), measure=nothing, kind="Q")
