"""Planted defects are enough, and what counts them is itself able to find one that nothing catches."""

from __future__ import annotations

from functools import partial

import pytest

from ace.errors import InputError
from ace.extract import extract_core
from invariants.calibration import defects
from invariants.calibration.axes import haar_axis
from invariants.calibration.defects.edits import strong
from invariants.calibration.defects.record import Check, Defect, by_claim, by_property, by_refusal, outcome
from invariants.controls import planted
from invariants.controls.synthetic import replaced
from invariants.properties import test_extract


def amiss(check: Check) -> str:
    """What the table says of a defect with this check."""
    [row] = defects._entry(Defect("kind", "name", "by", check)).run(1)
    assert row.cells[-1] == (f"**{row.amiss}**" if row.amiss else "found")
    return row.amiss


def test_there_are_fifty_defects_of_many_kinds_each_named_once() -> None:
    names = [(defect.kind, defect.name) for defect in defects.DEFECTS]
    assert len(set(names)) == len(names) >= 50
    assert len({kind for kind, _ in names}) >= 10
    verdicts = {d.caught_by for d in defects.DEFECTS if d.caught_by.startswith(("agreement.", "core."))}
    assert {f"agreement.{name}" for name in ("sufficiency", "necessity", "flip", "mirror", "behaviour")} <= verdicts
    assert {"core.sufficiency", "core.necessity"} <= verdicts


def test_a_defect_that_nothing_catches_and_a_check_that_always_fails_are_amiss() -> None:
    assert amiss(lambda faulty: "found" if faulty else "") == ""
    assert amiss(lambda faulty: "") == "not caught"
    assert amiss(lambda faulty: "found") == "found without the defect too"


def test_each_way_of_catching_passes_what_has_no_defect() -> None:
    harmless = by_claim("", "", "agreement.necessity", strong, strong)
    assert (harmless.check(True), harmless.check(False)) == ("", "")
    random = by_claim("", "", "agreement.necessity", lambda: replaced(strong(), partial(haar_axis, seed=0)), strong)
    assert (random.check(True), random.check(False)) == ("FAILS", "")
    spans = test_extract.test_known_spans_are_recovered
    span = by_property("", "", spans, planted={"extractor": planted.random_basis}, sound={"extractor": extract_core})
    assert (span.check(True), span.check(False)) == ("fails", "")
    assert span.caught_by == "test_extract: known spans are recovered"

    def refuse() -> None:
        raise InputError("no")

    refused = by_refusal("", "", "", refuse, lambda: None)
    assert (refused.check(True), refused.check(False)) == ("InputError", "")


def test_a_defect_that_does_not_run_is_no_defect() -> None:
    with pytest.raises(TypeError):
        outcome(test_extract.test_known_spans_are_recovered, extractor=lambda: None)


def test_an_examples_own_settings_are_left_as_they_were() -> None:
    spans = test_extract.test_known_spans_are_recovered
    before = dict(vars(spans))
    assert outcome(spans, extractor=planted.random_basis) == "fails"
    assert dict(vars(spans)) == before
