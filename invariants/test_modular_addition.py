"""The paper's sentences about transformers that grok modular addition, and our strengthened forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ace.measure import Subject

from ace.verify import Verdict, verify_claim

Settle = Callable[[Verdict], None]


@pytest.mark.claim("modadd.grok")
def test_training_accuracy_saturates_long_before_held_out_accuracy(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.formation")
def test_the_core_appears_at_grokking(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.sufficiency")
def test_the_core_alone_keeps_accuracy(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.necessity")
def test_without_the_core_accuracy_is_at_chance(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.rotation")
def test_the_shift_operator_turns_the_core(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.operator_r2")
def test_the_shift_operator_predicts_the_next_class(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.angles")
def test_its_angles_are_multiples_of_a_turn_over_p(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.inflation")
def test_with_weight_decay_the_core_inflates(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.no_inflation")
def test_without_weight_decay_the_core_does_not_inflate(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.redundancy")
def test_necessity_grows_and_sufficiency_does_not(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.modes")
def test_modes_fill_up(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.mode_growth")
def test_more_and_more_modes_carry_the_energy(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))


@pytest.mark.claim("modadd.universality")
def test_core_coordinates_of_one_seed_run_another(modadd: Subject, claim: str, settle: Settle) -> None:
    settle(verify_claim(claim, modadd))
