"""The paper's sentences about transformers that grok modular addition, and our strengthened forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ace.measure import Subject
from ace.verify import Verdict, verify_claim

Settle = Callable[[Verdict], None]

pytestmark = pytest.mark.claim


@pytest.mark.ace_claim("modadd.grok")
def test_training_accuracy_saturates_long_before_held_out_accuracy(
    modadd: Subject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.formation")
def test_the_core_appears_at_grokking(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.sufficiency")
def test_the_core_alone_keeps_accuracy(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.necessity")
def test_without_the_core_accuracy_is_at_chance(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.rotation")
def test_the_shift_operator_turns_the_core(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.operator_r2")
def test_the_shift_operator_predicts_the_next_class(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.angles")
def test_its_angles_are_multiples_of_a_turn_over_p(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.inflation")
def test_with_weight_decay_the_core_inflates(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.no_inflation")
def test_without_weight_decay_the_core_does_not_inflate(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.redundancy")
def test_necessity_grows_and_sufficiency_does_not(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.modes")
def test_modes_fill_up(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.mode_growth")
def test_more_and_more_modes_carry_the_energy(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))


@pytest.mark.ace_claim("modadd.universality")
def test_core_coordinates_of_one_seed_run_another(modadd: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, modadd))
