"""Defects of statistics, intervals, rank tests and of the judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import ace.auc
import ace.study.rest
import ace.verdict
from ace.arrays import Array, Ints
from ace.auc import discriminate, simple_auc
from ace.discrimination import Discrimination, Quantities
from ace.holm import Holm, holm_intervals
from ace.stats import Estimate
from ace.study.claim import Bound
from ace.study.rest import RankTest, rank_test
from ace.verdict import ControlResult, Status
from invariants.calibration import means
from invariants.calibration.defects.edits import strong
from invariants.calibration.defects.record import Defect, Patch, by_claim, by_property, patched
from invariants.controls import test_verdict_logic
from invariants.properties import test_auc, test_rest

plain_quantities, plain_interval, plain_status = ace.auc._Sums.quantities, Estimate.interval, ace.verdict._status
plain_place = Bound.place


# --- statistics -------------------------------------------------------------------------------------------------------
def prompt_by_prompt(scores: Array, labels: Ints, clusters: Ints, **more: Any) -> Discrimination:
    """Every prompt a cluster of its own."""
    return discriminate(scores, labels, np.arange(len(labels)), **more)


def ties_won(scores: Array, labels: Ints) -> Array:
    """An AUC in which a tie counts as a win."""
    difference = scores[:, labels == 1][:, :, None] - scores[:, labels == 0][:, None, :]
    return np.asarray((difference >= 0).mean(axis=(1, 2)))


def folded(self: Any, counts: Array) -> Quantities:
    """Separations without their sign."""
    found = plain_quantities(self, counts)
    return replace(found, separation=np.abs(found.separation))


def unscaled(self: Any, counts: Array) -> Quantities:
    """Separations over their own, so that all are 1."""
    found = plain_quantities(self, counts)
    return replace(found, separation=found.separation / np.abs(found.separation))


def either_side(scores: Array, labels: Ints) -> Array:
    """An AUC folded at one half."""
    found = simple_auc(scores, labels)
    return np.maximum(found, 1 - found)


# --- intervals --------------------------------------------------------------------------------------------------------
def half_as_wide(self: Estimate, confidence: float = 0.95) -> tuple[float, float]:
    """An interval that ends half way to where it should."""
    low, high = plain_interval(self, confidence)
    return (self.value + low) / 2, (self.value + high) / 2


def a_tenth(self: Estimate, confidence: float = 0.95) -> tuple[float, float]:
    """Ends at 90 % whatever is asked."""
    return plain_interval(self, min(confidence, 0.9))


def no_interval(self: Estimate, confidence: float = 0.95) -> tuple[float, float]:
    """The value itself."""
    return self.value, self.value


def at_plain_levels(
    estimates: Sequence[Estimate], margin: Callable[[float], float], confidence: float = 0.95
) -> tuple[Holm, ...]:
    """Every seed at 95 %, however many there are."""
    return tuple(Holm(each.label, each.value, *each.interval(confidence), confidence) for each in estimates)


def of_their_mean(
    estimates: Sequence[Estimate], margin: Callable[[float], float], confidence: float = 0.95
) -> tuple[Holm, ...]:
    """One sentence about the mean of all seeds."""
    found = holm_intervals(estimates, margin, confidence)
    value, low, high = (float(np.mean([getattr(each, name) for each in found])) for name in ("value", "low", "high"))
    return tuple(Holm(each.label, value, low, high, each.confidence) for each in found)


# --- the rank test ----------------------------------------------------------------------------------------------------
def one_in_twenty(self: RankTest) -> bool:
    """A core that is among the best in twenty beats the rest."""
    return self.settled and self.p_value <= 0.05


def against_the_core_alone(sentence: Any, measurement: Any, threshold: float, *, shown: bool) -> tuple[RankTest, ...]:
    """Draws inside the bound that do less than the core are not counted."""
    values = {each.label: each.value for each in measurement.estimates}

    def margin(value: float) -> float:
        return float(sentence.bound.margin(value, threshold))

    return tuple(
        rank_test(rest, margin, [margin(values[part]) for part in rest.parts], shown=shown) for rest in measurement.rest
    )


# --- the judge --------------------------------------------------------------------------------------------------------
def without_controls(sentence: Any, seeds: Any, estimates: Any, controls: Mapping[str, Any], *rest: Any) -> Any:
    """Controls are not looked at."""
    return plain_status(sentence, seeds, estimates, {}, *rest)


def undecided_holds(*arguments: Any) -> tuple[Status, str]:
    """What is open counts as true."""
    status, reason = plain_status(*arguments)
    return (Status.HOLDS if status is Status.UNDECIDED else status), reason


def other_side(self: Bound, low: float, high: float, threshold: float) -> str:
    """A value inside a bound is held for outside, and the other way round."""
    place = plain_place(self, low, high, threshold)
    return {"inside": "outside", "outside": "inside"}.get(place, place)


def half_inside(self: Bound, low: float, high: float, threshold: float) -> str:
    """An interval lies where its middle does."""
    middle = (low + high) / 2
    return plain_place(self, middle, middle, threshold)


def any_part(sentence: Any, estimates: tuple[Estimate, ...], threshold: float) -> ControlResult:
    """A control of several parts is inside where one of them is."""
    inside = any(sentence.bound.place(*each.interval(), threshold) == "inside" for each in estimates)
    return ControlResult(estimates[0].value, (), "inside" if inside else "outside")


def _covers(faulty: bool) -> str:
    """A mean of clusters, whether its interval holds the truth as often as it says."""
    entry = means.SECTION.entries[1]
    with patched(((Estimate, "interval", half_as_wide),) if faulty else ()):
        return "; ".join(filter(None, (row.amiss for row in entry.run(120))))


def _logic(name: str, test: Callable[..., object], *patches: Patch, **arguments: object) -> Defect:
    return by_property(JUDGE, name, test, patches=patches, planted=arguments, sound=arguments)


STATISTIC, INTERVAL, RANK, JUDGE = "statistics", "intervals", "rank test", "judge"
WITHIN = {"core": 0.5, "values": (0.9,), "status": Status.VACUOUS, "draws": 25}

DEFECTS = (
    by_property(
        STATISTIC,
        "prompts of one noun as independent",
        test_auc.test_replicates_are_those_of_prompts_drawn_cluster_by_cluster,
        patches=((test_auc, "discriminate", prompt_by_prompt),),
    ),
    by_property(
        STATISTIC,
        "ties that count as wins",
        test_auc.test_values_are_scikit_learns,
        patches=((test_auc, "simple_auc", ties_won),),
    ),
    by_property(
        STATISTIC,
        "an AUC folded at one half",
        test_auc.test_values_are_scikit_learns,
        patches=((test_auc, "simple_auc", either_side),),
    ),
    by_claim(
        STATISTIC,
        "separation without its sign",
        "agreement.mirror",
        strong,
        strong,
        patches=((ace.auc._Sums, "quantities", folded),),
    ),
    by_claim(
        STATISTIC,
        "separation over its own size",
        "agreement.necessity",
        strong,
        strong,
        patches=((ace.auc._Sums, "quantities", unscaled),),
    ),
    Defect(INTERVAL, "half as wide", "calibration: interval of a mean", _covers),
    by_property(
        INTERVAL,
        "at 90 % whatever is asked",
        test_verdict_logic.test_more_seeds_ask_for_wider_intervals,
        patches=((Estimate, "interval", a_tenth),),
    ),
    by_property(
        INTERVAL,
        "none at all",
        test_verdict_logic.test_an_undecided_verdict_says_how_many_more_samples,
        patches=((Estimate, "interval", no_interval),),
    ),
    by_property(
        INTERVAL,
        "of many seeds at the level of one",
        test_verdict_logic.test_more_seeds_ask_for_wider_intervals,
        patches=((ace.verdict, "holm_intervals", at_plain_levels),),
    ),
    by_property(
        INTERVAL,
        "of the mean of all seeds",
        test_verdict_logic.test_one_bad_seed_among_many_is_not_hidden_by_their_mean,
        patches=((ace.verdict, "holm_intervals", of_their_mean),),
    ),
    by_property(
        RANK,
        "draws inside the bound that do less than the core",
        test_verdict_logic.test_the_core_must_beat_the_rest_and_no_more_is_drawn_than_settles_it,
        patches=((ace.verdict, "_ranked", against_the_core_alone),),
        planted=WITHIN,
        sound=WITHIN,
    ),
    by_property(
        RANK,
        "draws dismissed wherever they miss on few rows",
        test_rest.test_a_draw_that_misses_by_far_on_few_rows_is_not_tried_on_all,
        patches=((ace.study.rest, "DISMISSED", 0.0),),
    ),
    by_property(
        RANK,
        "one in twenty for one in a hundred",
        test_rest.test_a_core_that_is_a_draw_like_the_others_beats_them_as_rarely_as_the_level_says,
        patches=((RankTest, "beaten", property(one_in_twenty)),),
    ),
    _logic(
        "controls that are not looked at",
        test_verdict_logic.test_the_verdict_follows_from_intervals_and_controls,
        (ace.verdict, "_status", without_controls),
        values=[test_verdict_logic.spread("0", 0.5, 0.1)],
        control=0.5,
        status=Status.VACUOUS,
    ),
    _logic(
        "what is open taken for true",
        test_verdict_logic.test_an_undecided_verdict_says_how_many_more_samples,
        (ace.verdict, "_status", undecided_holds),
    ),
    _logic(
        "inside and outside exchanged",
        test_verdict_logic.test_the_verdict_follows_from_intervals_and_controls,
        (Bound, "place", other_side),
        values=[test_verdict_logic.spread("0", 0.5, 0.1)],
        control=2.0,
        status=Status.HOLDS,
    ),
    _logic(
        "an interval that lies where its middle does",
        test_verdict_logic.test_an_equivalence_margin_asks_for_the_whole_interval_between_its_ends,
        (Bound, "place", half_inside),
        centre=0.08,
        width=0.05,
        status=Status.UNDECIDED,
    ),
    _logic(
        "a control that is inside by one of its parts",
        test_verdict_logic.test_a_control_of_several_parts_is_inside_only_where_all_of_them_are,
        (ace.verdict, "_control", any_part),
        parts={"0, up": 0.5, "0, down": 2.0},
        place="outside",
    ),
    _logic(
        "chance taken for less than chance",
        test_verdict_logic.test_below_chance_is_not_at_chance,
        (Bound, "_within", lambda self, margin: margin >= 0),
        value=Estimate("0", 0.5),
        status=Status.FAILS,
    ),
)
