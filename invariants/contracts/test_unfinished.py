"""Weights of a training that stopped before its recipe's end are used, and every table says how far it went."""

from __future__ import annotations

import pytest

from ace.families.family import find_claim
from ace.families.modular_addition.subjects import grokking_subject
from ace.report.record import result
from ace.report.table import explain, markdown, terminal
from ace.study.run_history import RunHistory
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
    for text in ("\n".join(terminal([plain, plain])), markdown([plain, plain]), explain(plain)):
        assert text.count(f"tiny: trained {until} of {LAST} epochs") == lines


def test_models_that_do_not_grok_give_verdicts_and_no_errors() -> None:
    assert verdict("modadd.grok", LAST).status is Status.FAILS
    for name in ("formation", "sufficiency", "rotation", "inflation", "universality"):
        judged = verdict(f"modadd.{name}", LAST)
        assert judged.status is Status.INAPPLICABLE
        assert "model 0 did not generalise" in judged.reason
    assert not find_claim("modadd.grok").needs_behaviour


def test_results_without_such_a_record_have_no_such_line() -> None:
    plain = result(builders.verdict("HOLDS"))
    assert not any("trained" in line for line in terminal([plain]))
    assert not any("trained" in line for line in terminal([{**plain, "details": {}}]))
