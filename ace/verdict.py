"""The verdict that a measurement earns: intervals and controls held against the bound, the core against the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ace.errors import ClaimError
from ace.holm import Holm, holm_intervals
from ace.stats import Estimate
from ace.study.claim import Claim
from ace.study.measurement import Measurement
from ace.study.rest import RankTest, rank_test

CONFIDENCE = 0.95


class Status(StrEnum):
    """What came out."""

    HOLDS = "HOLDS"
    VACUOUS = "VACUOUS"
    FAILS = "FAILS"
    UNDECIDED = "UNDECIDED"
    INAPPLICABLE = "INAPPLICABLE"

    @property
    def meaning(self) -> str:
        """What it says, in one sentence."""
        return MEANINGS[self]


MEANINGS: Mapping[Status, str] = {
    Status.HOLDS: "every seed's interval lies inside the bound, every required control outside, and the core beats the"
    " rest where that is a control",
    Status.VACUOUS: "inside the bound, but so is a required control, or the rest does as well: the sentence is true"
    " and says nothing",
    Status.FAILS: "some seed's interval lies outside the bound",
    Status.UNDECIDED: "an interval, or a control, straddles the bound; the reason says how many more samples would"
    " settle it",
    Status.INAPPLICABLE: "the subject lacks what the claim speaks about; the reason says what",
}


@dataclass(frozen=True)
class ControlResult:
    """A control held against the claim's bound.

    Attributes:
        value: the control's value that speaks most for the claim.
        values: all of them, by seed or pair.
        place: "inside", "outside" or "straddles": where all of its values lie together.
        intervals: of the values; none of the rest, which is ranked by its draws.
    """

    value: float
    values: tuple[float, ...]
    place: str
    intervals: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """A claim's outcome on one subject, with everything a reader needs to doubt it.

    Attributes:
        seeds: intervals of each seed or pair, at Holm's adjusted levels; empty where INAPPLICABLE.
        threshold: the number that the bound came to.
        controls: name -> result.
        rest: how each seed's core ranks among the rest, where the rest is a control.
        beside: name -> (value, low, high) of the same quantity got in other ways, one a seed or pair.
        replication: of a sentence of the paper, what the published protocol gives; a reason where it gives nothing.
        reason: one sentence.
        seconds: time the measurement took.
        fingerprint: what was measured: task, weights, dtype, device; see `ace.study.fingerprint`.
    """

    claim: Claim
    subject: str
    status: Status
    reason: str
    site: str = ""
    seeds: tuple[Holm, ...] = ()
    threshold: float = math.nan
    controls: Mapping[str, ControlResult] = field(default_factory=dict)
    rest: tuple[RankTest, ...] = ()
    beside: Mapping[str, tuple[tuple[float, float, float], ...]] = field(default_factory=dict)
    replication: tuple[float, ...] | str = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    @property
    def estimate(self) -> float:
        """The value of the seed that speaks least for the claim: a sentence about every model is as good as that."""
        if not self.seeds:
            return math.nan
        margin = self.claim.bound.margin
        return min((seed.value for seed in self.seeds), key=lambda value: margin(value, self.threshold))

    @property
    def low(self) -> float:
        """Lowest end of all seeds' intervals."""
        return min((seed.low for seed in self.seeds), default=math.nan)

    @property
    def high(self) -> float:
        """Highest end of all seeds' intervals."""
        return max((seed.high for seed in self.seeds), default=math.nan)


def judge(sentence: Claim, measurement: Measurement, name: str) -> Verdict:
    """The verdict that a measurement earns.

    The sentence is about every model, so it holds when Holm's step-down puts every seed's interval inside the bound,
    and fails when some seed's interval at the Bonferroni level is outside. Of a control, all values together must lie
    outside; where they are inside the claim is VACUOUS, where they straddle the bound it is UNDECIDED. Where the rest
    is a control, the core must also beat it in every seed: see `rank_test`.

    Raises:
        ClaimError: the measurement lacks a control that the claim names.
        Inapplicable: there is no rest to draw from.
    """
    bound = sentence.bound
    threshold = bound.threshold(measurement.references)
    named = sentence.controls
    missing = [control for control in named if control not in measurement.brings]
    if missing:
        raise ClaimError(f"{sentence.id}: expected measurements of the controls {missing}")
    seeds = holm_intervals(measurement.estimates, lambda value: bound.margin(value, threshold), CONFIDENCE)
    controls = {
        control: _control(sentence, measurement.controls[control], threshold)
        for control in named
        if control in measurement.controls
    }
    inside = all(bound.place(seed.low, seed.high, threshold) == "inside" for seed in seeds)
    tests = _ranked(sentence, measurement, threshold, shown=not inside)
    for control in dict.fromkeys(test.control for test in tests):
        ranked = tuple(test for test in tests if test.control == control)
        controls[control] = _rest_control(sentence, ranked, threshold)
    status, reason = _status(sentence, seeds, measurement.estimates, controls, threshold, tests)
    return Verdict(
        sentence,
        name,
        status,
        reason,
        seeds=seeds,
        threshold=threshold,
        controls=controls,
        rest=tests,
        beside={
            way: tuple((e.value, *e.interval(CONFIDENCE)) for e in estimates)
            for way, estimates in measurement.beside.items()
        },
        details=dict(measurement.details),
    )


def _ranked(sentence: Claim, measurement: Measurement, threshold: float, *, shown: bool) -> tuple[RankTest, ...]:
    """How each seed's core ranks among the rest.

    Args:
        shown: a few draws alone, on few rows, as the claim is not inside its bound whatever they do. Where it is, the
            rest has a part in the verdict, even where another control lies inside the bound or straddles it.
    """
    values = {estimate.label: estimate.value for estimate in measurement.estimates}

    def margin(value: float) -> float:
        return sentence.bound.margin(value, threshold)

    return tuple(
        rank_test(
            rest,
            margin,
            [min(0.0, margin(values[part])) for part in rest.parts],
            level=sentence.rest_level,
            shown=shown,
        )
        for rest in measurement.rest
    )


def _control(sentence: Claim, estimates: tuple[Estimate, ...], threshold: float) -> ControlResult:
    """A control with parts, labelled "seed, part", is outside in a seed where one of its parts is: all must hold."""
    seeds: dict[str, list[Estimate]] = {}
    for estimate in estimates:
        seeds.setdefault(estimate.label.partition(", ")[0], []).append(estimate)
    places = {_place(sentence, parts, threshold) for parts in seeds.values()}
    place = places.pop() if len(places) == 1 else "straddles"

    def margin(value: float) -> float:
        return sentence.bound.margin(value, threshold)

    nearest = max((min((part.value for part in parts), key=margin) for parts in seeds.values()), key=margin)
    intervals = tuple(estimate.interval(CONFIDENCE) for estimate in estimates)
    return ControlResult(nearest, tuple(e.value for e in estimates), place, intervals)


def _place(sentence: Claim, parts: list[Estimate], threshold: float) -> str:
    places = {sentence.bound.place(*part.interval(CONFIDENCE), threshold) for part in parts}
    return "outside" if "outside" in places else "inside" if places == {"inside"} else "straddles"


def _rest_control(sentence: Claim, tests: tuple[RankTest, ...], threshold: float) -> ControlResult:
    """The rest as a control: outside where the core beats it in every seed, inside where it does not in some.

    Of each seed the draw that speaks most for the claim is shown, by its worst part.
    """
    values = tuple(min(test.nearest, key=lambda value: sentence.bound.margin(value, threshold)) for test in tests)
    nearest = max(values, key=lambda value: sentence.bound.margin(value, threshold))
    if any(test.settled and not test.beaten for test in tests):
        place = "inside"
    else:  # where fewer were drawn than the test needs, what was drawn says it
        place = "outside" if all(test.beaten or test.as_good == 0 for test in tests) else "straddles"
    return ControlResult(nearest, values, place)


def _status(
    sentence: Claim,
    seeds: tuple[Holm, ...],
    estimates: tuple[Estimate, ...],
    controls: Mapping[str, ControlResult],
    threshold: float,
    tests: tuple[RankTest, ...],
) -> tuple[Status, str]:
    bound = sentence.bound
    open_seeds = [seed for seed in seeds if bound.place(seed.low, seed.high, threshold) != "inside"]
    if not open_seeds:
        inside = [name for name, result in controls.items() if result.place == "inside"]
        if inside:
            ranks = [f"seed {t.label}: {t.as_good} of {t.draws} draws" for t in tests if t.settled and not t.beaten]
            beside = f" ({'; '.join(ranks)})" if ranks else ""
            return Status.VACUOUS, f"true, and true of {' and '.join(inside)}{beside} as well: it says nothing"
        straddling = [name for name, result in controls.items() if result.place == "straddles"]
        if straddling:
            return Status.UNDECIDED, f"inside the bound, but the control {' and '.join(straddling)} straddles it"
        return Status.HOLDS, "inside the bound in every seed, and outside on every control"
    level = 1 - (1 - CONFIDENCE) / len(estimates)
    fallen = [e.label for e in estimates if bound.place(*e.interval(level), threshold) == "outside"]
    if fallen:
        return Status.FAILS, f"outside the bound in {', '.join(fallen)} ({len(fallen)} of {len(seeds)})"
    # Outside at Holm's level and not at Bonferroni's is open too.
    return Status.UNDECIDED, _how_many_more(open_seeds, sentence, threshold)


def _how_many_more(seeds: list[Holm], sentence: Claim, threshold: float) -> str:
    """Intervals shrink with the root of the sample: how many times the sample settles the widest open interval."""
    labels = ", ".join(seed.label for seed in seeds)
    factors = []
    for seed in seeds:
        distance = abs(sentence.bound.margin(seed.value, threshold))
        half = max(seed.high - seed.value, seed.value - seed.low)
        factors.append((half / distance) ** 2 if distance > 0 else math.inf)
    if not factors or math.isinf(max(factors)):
        return f"the interval straddles the bound in {labels}; the estimate lies on it, no sample size settles that"
    times = max(2.0, math.ceil(10 * max(factors)) / 10)
    return f"the interval straddles the bound in {labels}; about {times:g} times the samples would settle it"
