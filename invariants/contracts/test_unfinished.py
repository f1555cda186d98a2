"""Weights of a training that stopped before its recipe's end are used, and every table says how far it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ace.families.family import find_claim, registry
from ace.families.modular_addition.subjects import grokking_subject
from ace.report.record import result
from ace.report.table import explain, markdown
from ace.report.terminal import plain as without_colours
from ace.report.terminal import table
from ace.study.run_history import RunHistory
from ace.training.result import TrainedEnsemble
from ace.training.train import train
from ace.verify import Status, Verdict, verify_claim
from invariants.contracts import builders
from invariants.contracts.test_courses import LAST, addition


def verdict(identifier: str, until: int) -> Verdict:
    """A claim on a training that went as far as `until`, and in which nothing is learnt."""
    return verify_claim(identifier, grokking_subject("tiny", RunHistory(train(addition(), until=until))))


@pytest.mark.parametrize(("until", "lines"), [(4, 1), (LAST, 0)])
def test_how_far_a_training_went_stands_by_its_verdicts(until: int, lines: int) -> None:
    judged = verdict("modadd.grok", until)
    assert judged.details["trained"] == {"epochs": until, "of": LAST}
    plain = result(judged)
    for text in ("\n".join(without_colours(table([plain, plain], 80))), markdown([plain, plain]), explain(plain)):
        assert text.count(f"tiny: trained {until} of {LAST} epochs") == lines


OTHERS = [claim.id for claim in registry().values() if claim.about == "modadd" and claim.id != "modadd.grok"]


@pytest.mark.parametrize("identifier", OTHERS)
def test_claims_on_models_that_never_memorise_give_verdicts_and_no_errors(identifier: str) -> None:
    judged = verdict(identifier, LAST)
    assert judged.status is Status.INAPPLICABLE
    assert "model 0 did not generalise" in judged.reason


def test_that_models_never_grok_is_itself_a_verdict() -> None:
    assert verdict("modadd.grok", LAST).status is Status.FAILS
    assert not find_claim("modadd.grok").needs_behaviour


def generalising(ensemble: TrainedEnsemble, late: Sequence[float]) -> RunHistory:
    """The training, with a curve on which both models memorise at once, and end at these held-out accuracies."""
    curve = []
    for point in ensemble.provenance["curve"]:
        arms = len(point["test_accuracy"]) // 2
        held_out = list(late) if point["epoch"] >= 4 else [0.0, 0.25]
        curve.append({**point, "train_accuracy": [1.0, 1.0] * arms, "test_accuracy": held_out * arms})
    return RunHistory(replace(ensemble, provenance={**ensemble.provenance, "curve": curve}))


def in_one_seed() -> RunHistory:
    return generalising(train(addition()), (1.0, 0.25))


def in_both_seeds(arms: bool = True) -> RunHistory:
    """What the weights do is another matter: they are asked for all the same."""
    without: dict[str, Any] = {"branch": None, "arms": {}}
    history = generalising(train(addition() if arms else addition(course=without)), (1.0, 1.0))
    history.study((4, 4)).require_behaviour = lambda name="", *indices: None  # type: ignore[method-assign]
    return history


def test_where_one_seed_does_not_grok_the_claim_that_all_do_fails_in_it() -> None:
    subject = grokking_subject("tiny", in_one_seed())
    judged = verify_claim("modadd.grok", subject)
    assert judged.status is Status.FAILS
    assert judged.reason == "outside the bound in 1 (1 of 2)"
    assert judged.details["generalised"] == [4, None]
    assert set(subject.companions) == {"memorised"}


@pytest.mark.parametrize("identifier", OTHERS)
def test_where_one_seed_does_not_grok_the_other_claims_are_inapplicable_and_name_it(identifier: str) -> None:
    judged = verify_claim(identifier, grokking_subject("tiny", in_one_seed()))
    assert judged.status is Status.INAPPLICABLE
    assert judged.reason == f"model 1 did not generalise in {LAST} epochs"


@pytest.mark.parametrize(
    ("changes", "identifier", "words"),
    [
        ({"history": None}, "modadd.grok", "tiny has no history of its training"),
        ({"companions": {}}, "modadd.rotation", "tiny has no 'memorised' models to be held against; it has none"),
        ({"untrained": None}, "modadd.modes", "tiny has no untrained twins to be held against"),
    ],
    ids=["history", "companion", "twins"],
)
def test_what_a_subject_lacks_is_a_verdict_with_its_reason(
    changes: dict[str, Any], identifier: str, words: str
) -> None:
    subject = replace(grokking_subject("tiny", in_both_seeds()), **changes)
    judged = verify_claim(identifier, subject)
    assert judged.status is Status.INAPPLICABLE
    assert words in judged.reason


@pytest.mark.parametrize("identifier", ["modadd.inflation", "modadd.no_inflation", "modadd.mode_growth"])
def test_claims_about_arms_of_a_training_without_them_are_inapplicable(identifier: str) -> None:
    judged = verify_claim(identifier, grokking_subject("tiny", in_both_seeds(arms=False)))
    assert judged.status is Status.INAPPLICABLE
    assert "the training of tiny has no arm" in judged.reason


def test_results_without_such_a_record_have_no_such_line() -> None:
    plain = result(builders.verdict("HOLDS"))
    assert not any("trained" in line for line in without_colours(table([plain], 80)))
    assert not any("trained" in line for line in without_colours(table([{**plain, "details": {}}], 80)))
