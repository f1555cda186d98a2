"""Every required control lies inside its claim's bound on some subject: so it is one that can find a claim vacuous.

Modular addition has such subjects of its own, in `test_addition_controls.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from ace.families import agreement, core
from ace.families.agreement.dormant import PROJECTIONS
from ace.families.family import find_claim
from ace.study.subject import Subject
from ace.study.subspaces import REST
from ace.verify import Status, Verdict, verify_claim
from invariants.controls import planted_language, planted_runs, synthetic

Plant = Callable[[], Subject[Any]]

OWN_LABELS, ALONG = "untrained, own labels", "the rest, each text along a draw"

RUNS: dict[tuple[str, str], Plant] = {
    ("core.rank", "untrained"): planted_runs.as_initialised,
    ("core.sufficiency", REST): planted_runs.one_of_two_copies,
    ("core.sufficiency", "complement"): planted_runs.one_of_two_copies,
    ("core.necessity", REST): planted_runs.one_of_two_factors,
    ("core.divergence", "untrained"): planted_runs.as_initialised,
    ("core.alignment", "untrained"): planted_runs.trained_twins,
    ("core.alignment", "outputs"): planted_runs.trained_twins,
    ("core.transplant", "shuffled map"): planted_runs.answers_by_place,
    ("core.transplant", "untrained donor"): planted_runs.trained_twins,
    ("core.transplant", "outputs"): planted_runs.trained_twins,
    ("core.spectrum", "untrained"): planted_runs.known_steps,
    ("core.spectrum", "outputs"): planted_runs.known_steps,
}
LANGUAGE: dict[tuple[str, str], Plant] = {
    ("agreement.behaviour", "untrained, by luck"): planted_language.trained_twins,
    ("agreement.one_dimension", OWN_LABELS): planted_language.trained_twins,
    ("agreement.sufficiency", REST): planted_language.one_of_two_copies,
    ("agreement.sufficiency", "complement"): planted_language.one_of_two_copies,
    ("agreement.necessity", REST): planted_language.one_of_two_factors,
    ("agreement.flip", REST): planted_language.one_of_two_factors,
    ("agreement.mirror", REST): planted_language.one_of_two_factors,
    ("agreement.depth", REST): planted_language.numbers_like_the_core,
    ("agreement.final_norm", OWN_LABELS): planted_language.another_tiny,
    ("agreement.knob", REST): planted_language.one_of_two_copies,
    ("agreement.knob_within", REST): planted_language.one_of_two_copies,
    ("agreement.dose", REST): planted_language.one_of_two_factors,
    ("agreement.scales", "untrained"): planted_language.trained_scales,
    ("agreement.scales_within", "untrained"): planted_language.trained_scales,
    ("agreement.scales_within", "other prompts"): planted_language.told_by_the_attractor,
    ("agreement.generation", ALONG): planted_language.written_alike,
    ("agreement.attractor", REST): planted_language.one_of_two_copies,
    ("agreement.transfer", REST): planted_language.tiny_like_the_core,
    ("agreement.specificity", REST): planted_language.selective_like_the_core,
    ("agreement.collateral", "agreement prompts"): planted_language.quiet_axis,
    ("agreement.dormant", PROJECTIONS): planted_language.tiny_subject,
}
CASES = {**RUNS, **LANGUAGE}
FAMILIES = (core.FAMILY, agreement.FAMILY)

subject_from = cache(lambda plant: plant())


def judged(claim: str, subject: Subject[Any]) -> Verdict:
    """The verdict; of language models without the published protocol, for which some have no words."""
    language = find_claim(claim).family == "agreement"
    return synthetic.verdict(claim, subject) if language else verify_claim(claim, subject)


def test_no_required_control_is_left_out() -> None:
    named = [(claim.id, control) for family in FAMILIES for claim in family.claims for control in claim.controls]
    assert set(CASES) == set(named)


@pytest.mark.parametrize(("claim", "control"), CASES, ids=[f"{claim}-{control}" for claim, control in CASES])
def test_a_required_control_can_lie_inside(claim: str, control: str) -> None:
    verdict = judged(claim, subject_from(CASES[claim, control]))
    assert control in verdict.controls, verdict.reason
    result = verdict.controls[control]
    assert result.place == "inside", f"{control}: {result.values}, bound {verdict.threshold}"
    # The claim lies inside as well, so that it hangs on this control, or on one of several, what it comes to.
    assert verdict.status is Status.VACUOUS, f"{verdict.status}: {verdict.reason}"
