"""Every required control of the claims about chains and hidden Markov processes lies inside its bound somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from ace.families import hidden_markov, markov
from ace.study.subject import LazySubject
from ace.study.subspaces import REST
from ace.study.tokens import TokenSubject
from ace.verify import verify_claim
from invariants.controls import planted_chains as planted

Plant = Callable[[TokenSubject], TokenSubject]

CHAIN, LOW, HIDDEN, DEEP = "markov-compact", "low-rank", "hidden-markov", "hidden-markov-deep-2"
CASES: dict[tuple[str, str], tuple[str, Plant]] = {
    ("markov.accuracy", "untrained"): (CHAIN, planted.with_trained_twins),
    ("markov.rank", "low-rank chain"): (CHAIN, planted.with_its_own_chain),
    ("markov.rank", "untrained"): (CHAIN, planted.as_it_is),
    ("markov.sufficiency", REST): (CHAIN, planted.with_quiet_cores),
    ("markov.sufficiency", "complement"): (CHAIN, planted.with_quiet_cores),
    ("markov.sufficiency_loss", REST): (CHAIN, planted.with_quiet_cores),
    ("markov.sufficiency_loss", "complement"): (CHAIN, planted.with_quiet_cores),
    ("markov.necessity", REST): (CHAIN, planted.with_quiet_cores),
    ("markov.divergence", "untrained"): (CHAIN, planted.as_it_is),
    ("markov.divergence", "same model"): (CHAIN, planted.with_arbitrary_cores),
    ("markov.weights", "untrained"): (CHAIN, planted.as_it_is),
    ("markov.weights", "own initialisation"): (CHAIN, planted.with_each_others_twins),
    ("markov.alignment", "untrained"): (CHAIN, planted.with_trained_twins),
    ("markov.alignment", "outputs"): (CHAIN, planted.as_it_is),
    ("markov.spectrum", "untrained"): (CHAIN, planted.with_trained_twins),
    ("markov.spectrum", "outputs"): (CHAIN, planted.as_it_is),
    ("markov.oracle_r2", "untrained"): (CHAIN, planted.with_trained_twins),
    ("markov.oracle_r2", "outputs"): (CHAIN, planted.as_it_is),
    ("markov.consensus", "untrained"): (CHAIN, planted.with_trained_twins),
    ("markov.transplant", "shuffled map"): (CHAIN, planted.on_a_chain_that_says_little),
    ("markov.transplant", "untrained donor"): (CHAIN, planted.with_trained_twins),
    ("markov.transplant", "outputs"): (CHAIN, planted.as_it_is),
    ("markov.generation", "chains along the rest"): (CHAIN, planted.on_a_chain_that_says_little),
    ("markov.low_rank", "untrained"): (LOW, planted.with_trained_twins),
    ("hidden_markov.belief", "current token"): (HIDDEN, planted.on_symbols_that_show_the_state),
    ("hidden_markov.belief", "untrained"): (HIDDEN, planted.with_trained_twins),
    ("hidden_markov.belief", "outputs"): (HIDDEN, planted.as_it_is),
    ("hidden_markov.alignment", "outputs"): (HIDDEN, planted.as_it_is),
    ("hidden_markov.inner_belief", "untrained"): (DEEP, planted.with_trained_twins),
    ("hidden_markov.inner_belief", "outputs"): (HIDDEN, planted.with_tied_outputs),
    ("hidden_markov.inner_belief", "symbols"): (HIDDEN, planted.with_tied_outputs),
    ("hidden_markov.inner_belief", "other sequences"): (DEEP, planted.with_repeated_sequences),
    ("hidden_markov.inner_belief", REST): (DEEP, planted.with_quiet_cores),
    ("hidden_markov.inner_alignment", "untrained"): (DEEP, planted.with_trained_twins),
    ("hidden_markov.inner_alignment", "outputs"): (HIDDEN, planted.with_tied_outputs),
    ("hidden_markov.inner_alignment", "other sequences"): (DEEP, planted.with_repeated_sequences),
    ("hidden_markov.inner_transplant", "shuffled map"): (DEEP, planted.with_a_side_path),
    ("hidden_markov.inner_transplant", "untrained donor"): (DEEP, planted.with_a_side_path),
    ("hidden_markov.inner_transplant", "outputs"): (DEEP, planted.with_a_side_path),
}


@cache
def subject_from(plant: Plant, subject: LazySubject) -> TokenSubject:
    return plant(subject.subject())


def test_no_required_control_is_left_out() -> None:
    claims = (*markov.FAMILY.claims, *hidden_markov.FAMILY.claims)
    assert set(CASES) == {(claim.id, control) for claim in claims for control in claim.controls}


@pytest.mark.parametrize(("claim", "control"), CASES, ids=[f"{claim}-{control}" for claim, control in CASES])
def test_a_required_control_can_lie_inside(claim: str, control: str, subjects: Mapping[str, LazySubject]) -> None:
    base, plant = CASES[claim, control]
    verdict = verify_claim(claim, subject_from(plant, subjects[base]))
    assert control in verdict.controls, verdict.reason
    result = verdict.controls[control]
    assert result.place == "inside", f"{control}: {result.values}, bound {verdict.threshold}"
