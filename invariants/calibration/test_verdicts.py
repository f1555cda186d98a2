"""Calibrations of verdicts can fail: where random axes contain the core, where intervals are none, where nothing is."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from ace.stats import Estimate
from ace.verify import Status
from invariants.calibration import ranks
from invariants.calibration.axes import covariance_axis
from invariants.calibration.verdicts import (
    ANYTHING,
    FOUND,
    ON_BOUND,
    RARELY,
    STATUSES,
    Asked,
    leaning,
    on_bound,
    row,
    seeds,
    verdicts,
)
from invariants.controls.synthetic import replaced, synthetic_subject
from invariants.controls.worlds import FIRST_COMPONENT, LARGEST, PLAIN, world


def counted(**found: int) -> Counter[Status]:
    return Counter({Status[name]: count for name, count in found.items()})


@pytest.mark.parametrize(
    ("asked", "found", "amiss"),
    [
        (RARELY, counted(HOLDS=1, FAILS=99), ""),
        (RARELY, counted(HOLDS=5, FAILS=95), "HOLDS in 5.0%, limit 1%"),
        (FOUND, counted(HOLDS=90, UNDECIDED=10), ""),
        (FOUND, counted(HOLDS=80, UNDECIDED=20), "HOLDS in 80.0%, limit 95%"),
        (FOUND, counted(HOLDS=90, VACUOUS=10), "VACUOUS in 10.0%, limit 1%"),
        (ANYTHING, counted(UNDECIDED=100), ""),
        (ON_BOUND, counted(HOLDS=20, UNDECIDED=80), "HOLDS in 20.0%, limit 5%"),
        (Asked(), counted(HOLDS=50, FAILS=50), ""),
    ],
)
def test_shares_are_held_against_what_is_asked(asked: Asked, found: Counter[Status], amiss: str) -> None:
    made = row("system", "claim", found, asked)
    assert made.amiss == amiss
    assert made.cells[-1] == (f"**{amiss}**" if amiss else "")
    assert made.cells[2:8] == ("100", *(f"{found[status]:.1f}%" for status in STATUSES))


def test_random_axes_hold_where_they_contain_what_varies_most() -> None:
    # By the states' covariance an axis is nearly the core where that is the first component: no random axis at all.
    def trial(seed: int) -> object:
        subject = synthetic_subject([world(FIRST_COMPONENT, seed)])
        return replaced(subject, lambda core, study: covariance_axis(core, study, seed))

    [made] = verdicts("core as random axis", trial, RARELY, ("flip",)).run(20)  # type: ignore[arg-type]
    assert "limit 1%" in made.amiss


def test_without_intervals_what_lies_on_the_bound_holds_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = verdicts("bound", partial(on_bound, "remove", "orthogonal", 0.1, 0), ON_BOUND, ("necessity",))
    assert [made.amiss for made in entry.run(20)] == [""]
    monkeypatch.setattr(Estimate, "interval", lambda self, confidence=0.95: (self.value, self.value))
    assert ["limit 5%" in made.amiss for made in entry.run(20)] == [True]


def test_an_injected_axis_is_found_and_trials_are_the_same_whatever_their_number() -> None:
    subject = synthetic_subject([world(PLAIN, 0)])
    weak, strong = (
        leaning(synthetic_subject([world(type(PLAIN)(stretch=share * LARGEST), 0)])) for share in (0.1, 4.0)
    )
    assert weak < leaning(subject) < strong <= 1.0
    assert seeds("name", 3) == seeds("name", 5)[:3] != seeds("other", 3)


def test_dismissal_without_any_slack_is_found_to_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    [made] = ranks._dismissals("sufficiency").run(5)
    assert made.amiss == ""
    assert int(made.cells[4].split()[0]) > 0  # draws that count, so that one could be dismissed wrongly
    monkeypatch.setattr("ace.study.rest.DISMISSED", 0.0)
    [made] = ranks._dismissals("sufficiency").run(5)
    assert "dismissed that count" in made.amiss
