"""Weights of a training that stopped before its recipe's end are used, and every table says how far it went."""

from __future__ import annotations

import pytest

from ace.report.record import result
from ace.report.table import explain, markdown, terminal
from ace.stats import exact
from ace.study.measurement import Measurement
from ace.study.run_history import GrokkingSubject, History, with_progress
from ace.training.train import train
from ace.verify import judge
from invariants.contracts import builders
from invariants.contracts.test_courses import LAST, addition


def measured(until: int) -> Measurement:
    """Something measured on a training that went as far as `until`."""
    history = History(train(addition(), until=until))
    subject = GrokkingSubject("tiny", history.study(until), history.study(0), history=history)
    found = Measurement((exact("0", -0.25),), {name: (exact("0", -0.5),) for name in controls()}, details={"more": 1})
    return with_progress({"modadd.sufficiency": lambda _: found})["modadd.sufficiency"](subject)


def controls() -> tuple[str, ...]:
    sentence = builders.claim("modadd.sufficiency")
    return (*sentence.controls, *sentence.reported)


@pytest.mark.parametrize(("until", "lines"), [(4, 1), (LAST, 0)])
def test_how_far_a_training_went_stands_by_its_verdicts(until: int, lines: int) -> None:
    measurement = measured(until)
    assert measurement.details == {"more": 1, "trained": {"epochs": until, "of": LAST}}
    found = result(judge(builders.claim("modadd.sufficiency"), measurement, "tiny"))
    for text in ("\n".join(terminal([found, found])), markdown([found, found]), explain(found)):
        assert text.count(f"tiny: trained {until} of {LAST} epochs") == lines


def test_results_without_such_a_record_have_no_such_line() -> None:
    found = result(builders.verdict("HOLDS"))
    assert not any("trained" in line for line in terminal([found]))
    assert not any("trained" in line for line in terminal([{**found, "details": {}}]))
