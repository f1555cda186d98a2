"""Every required control of the claims about modular addition lies inside the bound on some subject: so it can be."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from ace.families.modular_addition import FAMILY, formation, growth
from ace.study.subject import LazySubject
from ace.study.subspaces import REST
from ace.study.tokens import TokenSubject
from ace.verify import verify_claim
from invariants.controls import planted_addition as planted
from invariants.controls.test_claims_fail import subject_of

Plant = Callable[[TokenSubject], TokenSubject]

CASES: dict[tuple[str, str], Plant] = {
    ("modadd.grok", formation.SCATTER): planted.with_slow_seeds,
    ("modadd.formation", "memorised"): planted.memorised_that_generalise,
    ("modadd.formation", REST): planted.quiet_cores,
    ("modadd.sufficiency", REST): planted.quiet_cores,
    ("modadd.sufficiency", "complement"): planted.quiet_cores,
    ("modadd.necessity", REST): planted.quiet_cores,
    ("modadd.rotation", "memorised"): planted.turning_when_memorised,
    ("modadd.rotation", "untrained"): planted.turning_untrained,
    ("modadd.rotation", "outputs"): planted.answered_by_the_clock,
    ("modadd.rotation", "permuted labels"): planted.seven_answers,
    ("modadd.operator_r2", "memorised"): planted.turning_when_memorised,
    ("modadd.operator_r2", "untrained"): planted.turning_untrained,
    ("modadd.operator_r2", "outputs"): planted.answered_by_the_clock,
    ("modadd.angles", "outputs"): planted.answered_by_the_clock,
    ("modadd.angles", "memorised"): planted.turning_when_memorised,
    ("modadd.angles", "untrained"): planted.turning_untrained,
    ("modadd.inflation", growth.NO_DECAY): planted.fragile_at_the_branch,
    ("modadd.inflation", "random subspaces"): planted.fragile_after_grokking,
    ("modadd.no_inflation", growth.RESET): planted.without_weight_decay_they_stay,
    ("modadd.redundancy", growth.NO_DECAY): planted.fragile_at_the_branch,
    ("modadd.modes", "random class means"): planted.of_full_rank,
    ("modadd.modes", "memorised"): planted.of_full_rank,
    ("modadd.mode_growth", growth.NO_DECAY): planted.without_weight_decay_modes_spread,
    ("modadd.universality", "outputs"): planted.copies_of_one,
    ("modadd.universality", "memorised donor"): planted.copies_of_one,
}


@cache
def subject_from(plant: Plant, subject: LazySubject) -> TokenSubject:
    return plant(subject.subject())


def test_no_required_control_is_left_out() -> None:
    assert set(CASES) == {(claim.id, control) for claim in FAMILY.claims for control in claim.controls}


@pytest.mark.parametrize(("claim", "control"), CASES, ids=[f"{claim}-{control}" for claim, control in CASES])
def test_a_required_control_can_lie_inside(claim: str, control: str, request: pytest.FixtureRequest) -> None:
    verdict = verify_claim(claim, subject_from(CASES[claim, control], subject_of(request, claim)))
    assert control in verdict.controls, verdict.reason
    result = verdict.controls[control]
    assert result.place == "inside", f"{control}: {result.values}, bound {verdict.threshold}"
