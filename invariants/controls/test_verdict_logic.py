"""The judge itself, on constructed measurements whose verdict is known."""

from __future__ import annotations

import numpy as np
import pytest

from ace.errors import ClaimError
from ace.stats import Estimate, exact
from ace.study.claim import Bound, Claim
from ace.study.measurement import Measurement, measures
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


def test_an_equality_holds_only_for_an_interval_that_is_the_bound_itself() -> None:
    equal = sentence("t.equal", Bound("==", 3.0))
    assert judge(equal, measurement(exact("0", 3.0)), "subject").status is Status.HOLDS
    assert judge(equal, measurement(exact("0", 4.0)), "subject").status is Status.FAILS
    wavering = Estimate("0", 3.0, replicates=np.array([3.0] * 9 + [4.0]))
    assert judge(equal, measurement(wavering), "subject").status is Status.UNDECIDED
