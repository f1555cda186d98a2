"""The paper's sentences about subject-verb agreement in causal language models, and our strengthened forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ace.measure import ClaimSubject
from ace.verify import Verdict, verify_claim

Settle = Callable[[Verdict], None]

pytestmark = pytest.mark.claim


@pytest.mark.ace_claim("agreement.behaviour")
def test_the_model_agrees(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.one_dimension")
def test_one_axis_carries_agreement(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.sufficiency")
def test_keeping_the_axis_keeps_agreement(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.necessity")
def test_removing_the_axis_destroys_agreement(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.flip")
def test_reflecting_the_axis_inverts_number(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.depth")
def test_this_holds_below_the_top(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.final_norm")
def test_at_the_final_norm_any_contrast_is_inverted(
    agreement: ClaimSubject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.knob")
def test_the_contrast_is_affine_in_the_core_coordinate(
    agreement: ClaimSubject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.dose")
def test_the_contrast_follows_the_strength(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.scales")
def test_coordinates_agree_across_scales(agreement_family: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement_family))


@pytest.mark.ace_claim("agreement.generation")
def test_flipping_inverts_number_in_generated_text(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.attractor")
def test_the_axis_codes_the_head_and_not_the_attractor(
    agreement: ClaimSubject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.transfer")
def test_the_axis_transfers_to_other_verbs(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.collateral")
def test_removing_the_axis_leaves_other_text_alone(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))


@pytest.mark.ace_claim("agreement.dormant")
def test_the_effect_is_carried_by_what_is_read(agreement: ClaimSubject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, agreement))
