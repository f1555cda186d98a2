"""Claim + subject -> Measurement -> Verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from ace.errors import ClaimError, Inapplicable
from ace.families.family import find_claim
from ace.stats import Estimate, Holm, holm_intervals
from ace.study.claim import Claim
from ace.study.measurement import Measurement
from ace.study.subject import LazySubject, Subject

CONFIDENCE = 0.95


class Status(StrEnum):
    """What came out."""

    HOLDS = "HOLDS"
    VACUOUS = "VACUOUS"
    FAILS = "FAILS"
    UNDECIDED = "UNDECIDED"
    INAPPLICABLE = "INAPPLICABLE"


@dataclass(frozen=True)
class ControlResult:
    """A control held against the claim's bound.

    Attributes:
        value: the control's value that speaks most for the claim.
        values: all of them, by seed or pair.
        place: "inside", "outside" or "straddles": where all of its values lie together.
        required: whether it must lie outside for the claim to hold.
    """

    value: float
    values: tuple[float, ...]
    place: str
    required: bool


@dataclass(frozen=True)
class Verdict:
    """A claim's outcome on one subject, with everything a reader needs to doubt it.

    Attributes:
        seeds: intervals of each seed or pair, at Holm's adjusted levels; empty where INAPPLICABLE.
        threshold: the number that the bound came to.
        controls: name -> result.
        reason: one sentence.
        seconds: time the measurement took.
    """

    claim: Claim
    subject: str
    status: Status
    reason: str
    site: str = ""
    seeds: tuple[Holm, ...] = ()
    threshold: float = math.nan
    controls: Mapping[str, ControlResult] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0

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


def verify_claim(identifier: str, subject: Subject[Any] | LazySubject) -> Verdict:
    """Measure a claim on a subject and its controls, and judge it.

    A subject that is yet to be made is made here: whatever it lacks is the verdict INAPPLICABLE with its reason.

    Raises:
        ClaimError: no such claim, or a subject that it does not speak about.
        NotTrained: the subject's models would take hours to train, and nobody asked for that.
    """
    sentence = find_claim(identifier)
    if sentence.about != subject.about:
        raise ClaimError(
            f"{identifier}: expected a subject about {sentence.about}, got {subject.name}: {subject.about}"
        )
    try:
        made = subject.subject() if isinstance(subject, LazySubject) else subject
    except Inapplicable as reason:
        return Verdict(sentence, subject.name, Status.INAPPLICABLE, str(reason), command=subject.command(identifier))
    measured, seconds = made.memory.get(("measured", identifier, made), lambda: _measured(sentence, made))
    if isinstance(measured, Inapplicable):
        verdict = Verdict(sentence, made.name, Status.INAPPLICABLE, str(measured))
    else:
        # Only now: a subject may have to be analysed before it can say where.
        verdict = replace(judge(sentence, measured, made.name), site=measured.site or made.site)
    return replace(verdict, command=made.command(identifier), seconds=seconds)


def _measured(sentence: Claim, subject: Subject[Any]) -> tuple[Measurement | Inapplicable, float]:
    """The measurement, or why there is none, and the seconds it took."""
    started = time.perf_counter()
    try:
        if sentence.needs_behaviour:
            subject.require_behaviour()
        measured: Measurement | Inapplicable = sentence.measure(subject)
    except Inapplicable as reason:
        measured = reason
    if isinstance(measured, Measurement) and subject.history is not None:
        measured = replace(measured, details={**measured.details, "trained": subject.history.progress})
    return measured, time.perf_counter() - started


def judge(sentence: Claim, measurement: Measurement, name: str) -> Verdict:
    """The verdict that a measurement earns.

    The sentence is about every model, so it holds when Holm's step-down puts every seed's interval inside the bound,
    and fails when some seed's interval at the Bonferroni level is outside. Of a control, all values together must lie
    outside; where they are inside the claim is VACUOUS, where they straddle the bound it is UNDECIDED.

    Raises:
        ClaimError: the measurement lacks a control that the claim names.
    """
    bound = sentence.bound
    threshold = bound.threshold(measurement.references)
    missing = [control for control in (*sentence.controls, *sentence.reported) if control not in measurement.controls]
    if missing:
        raise ClaimError(f"{sentence.id}: expected measurements of the controls {missing}")
    seeds = holm_intervals(measurement.estimates, lambda value: bound.margin(value, threshold), CONFIDENCE)
    controls = {
        control: _control(sentence, control, measurement.controls[control], threshold)
        for control in (*sentence.controls, *sentence.reported)
    }
    status, reason = _status(sentence, seeds, measurement.estimates, controls, threshold)
    return Verdict(
        sentence,
        name,
        status,
        reason,
        seeds=seeds,
        threshold=threshold,
        controls=controls,
        details=dict(measurement.details),
    )


def _control(sentence: Claim, name: str, estimates: tuple[Estimate, ...], threshold: float) -> ControlResult:
    intervals = [estimate.interval(CONFIDENCE) for estimate in estimates]
    places = {sentence.bound.place(low, high, threshold) for low, high in intervals}
    place = places.pop() if len(places) == 1 else "straddles"
    value = max((e.value for e in estimates), key=lambda value: sentence.bound.margin(value, threshold))
    return ControlResult(value, tuple(e.value for e in estimates), place, name in sentence.controls)


def _status(
    sentence: Claim,
    seeds: tuple[Holm, ...],
    estimates: tuple[Estimate, ...],
    controls: Mapping[str, ControlResult],
    threshold: float,
) -> tuple[Status, str]:
    bound = sentence.bound
    places = [bound.place(seed.low, seed.high, threshold) for seed in seeds]
    if all(place == "inside" for place in places):
        required = {name: result for name, result in controls.items() if result.required}
        inside = [name for name, result in required.items() if result.place == "inside"]
        if inside:
            return Status.VACUOUS, f"true, and true of the control {' and '.join(inside)} as well: it says nothing"
        straddling = [name for name, result in required.items() if result.place == "straddles"]
        if straddling:
            return Status.UNDECIDED, f"inside the bound, but the control {' and '.join(straddling)} straddles it"
        return Status.HOLDS, "inside the bound in every seed, and outside on every control"
    level = 1 - (1 - CONFIDENCE) / len(estimates)
    fallen = [e.label for e in estimates if bound.place(*e.interval(level), threshold) == "outside"]
    if fallen:
        return Status.FAILS, f"outside the bound in {', '.join(fallen)} ({len(fallen)} of {len(seeds)})"
    # Outside at Holm's level and not at Bonferroni's is open too.
    open_seeds = [seed for seed, place in zip(seeds, places, strict=True) if place != "inside"]
    return Status.UNDECIDED, _how_many_more(open_seeds, threshold, sentence.narrows)


def _how_many_more(seeds: list[Holm], threshold: float, narrows: bool) -> str:
    """Intervals shrink with the root of the sample: how many times the sample settles the widest open interval."""
    labels = ", ".join(seed.label for seed in seeds)
    if narrows:
        return f"the interval straddles the bound in {labels}; the bound is in standard errors and narrows with it"
    factors = []
    for seed in seeds:
        distance = abs(seed.value - threshold)
        half = max(seed.high - seed.value, seed.value - seed.low)
        factors.append((half / distance) ** 2 if distance > 0 else math.inf)
    if not factors or math.isinf(max(factors)):
        return f"the interval straddles the bound in {labels}; the estimate lies on it, no sample size settles that"
    times = max(2.0, math.ceil(10 * max(factors)) / 10)
    return f"the interval straddles the bound in {labels}; about {times:g} times the samples would settle it"
