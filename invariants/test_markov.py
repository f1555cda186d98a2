"""The paper's sentences about transformers trained on an observed Markov chain, and our strengthened forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ace.measure import Subject
from ace.verify import Verdict, verify_claim

Settle = Callable[[Verdict], None]

pytestmark = pytest.mark.claim


@pytest.mark.ace_claim("markov.accuracy")
def test_each_model_reaches_the_bayes_predictor(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.rank")
def test_the_core_has_one_dimension_fewer_than_the_states(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.sufficiency")
def test_the_core_alone_preserves_accuracy(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.sufficiency_loss")
def test_the_core_alone_preserves_the_predicted_distribution(
    markov: Subject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.necessity")
def test_without_the_core_accuracy_falls_to_chance(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.divergence")
def test_cores_of_different_seeds_are_nearly_orthogonal(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.weights")
def test_weights_of_different_seeds_differ(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.alignment")
def test_core_coordinates_agree_across_seeds(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.spectrum")
def test_the_operator_in_the_core_has_the_chains_eigenvalues(
    markov: Subject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.oracle_r2")
def test_the_operator_predicts_as_well_as_the_chains_own_states(
    markov: Subject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.consensus")
def test_a_consensus_of_whole_states_is_no_substitute(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.transplant")
def test_core_coordinates_of_one_model_run_another(markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.generation")
def test_chains_generated_by_the_core_have_the_chains_transitions(
    markov: Subject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, markov))


@pytest.mark.ace_claim("markov.low_rank")
def test_a_chain_with_four_distinct_rows_has_a_core_of_three(
    low_rank: Subject, ace_claim: str, ace_settle: Settle
) -> None:
    ace_settle(verify_claim(ace_claim, low_rank))
