"""A run beside its baseline in the page and in its twin: what differs and what regressed first, in words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from ace.errors import ArtifactError
from ace.report.compared import GATE, comparison_of, lines
from ace.report.comparison import Comparison, Outcome, Row, compare
from ace.report.page import page
from ace.report.record import document, result
from ace.report.summary import LIMIT, NEWS, summary
from invariants.contracts import builders
from invariants.contracts.runs import SUFFICIENCY, TRANSPLANT
from invariants.contracts.test_report_page import HOSTILE, Elements

TEXTS = pytest.mark.parametrize("text_of", [page, summary], ids=["page", "summary"])
TextOf = Callable[[dict[str, Any]], str]


@cache
def made(status: str) -> dict[str, Any]:
    return result(dataclasses.replace(builders.verdict(status), details={}))


def run(**statuses: str) -> dict[str, Any]:
    """A record with a claim on each subject."""
    return document([{**made(status), "subject": subject} for subject, status in statuses.items()])


def beside(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The record of a run that was compared, as the plugin writes it."""
    return {**new, "comparison": compare(new, old).plain()}


@pytest.fixture
def compared() -> dict[str, Any]:
    """One claim as it was, one that FAILS as it did, one regressed, one better, one new, one lost; other versions."""
    new = run(a="HOLDS", b="FAILS", c="HOLDS", d="FAILS", e="HOLDS")
    old = run(a="HOLDS", b="FAILS", c="FAILS", d="HOLDS", f="HOLDS")
    old["environment"] = {**old["environment"], "python": "2.7"}
    return beside(new, old)


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", text).replace("&gt;", ">").split())


@TEXTS
def test_a_comparison_is_told_in_words_and_nowhere_as_values_of_python(
    text_of: TextOf, compared: dict[str, Any]
) -> None:
    text = text_of(compared)
    for quote in ("'", "&#39;", "&#x27;", "&quot;", '"'):
        assert f"{{{quote}claim" not in text
        assert f"&#123;{quote}claim" not in text
    told = words(text).replace("**", "").replace("`", "")
    assert "Compared with the baseline" in told
    assert "environment differs: python 2.7 ->" in told
    assert f"regressed: {SUFFICIENCY} on d: HOLDS -> FAILS, refuted: " in told
    assert f"not in the baseline: {SUFFICIENCY} on e" in told
    assert f"not in this run: {SUFFICIENCY} on f" in told
    assert GATE in told


@TEXTS
def test_it_stands_at_the_head_and_what_regressed_comes_first(text_of: TextOf, compared: dict[str, Any]) -> None:
    told = words(text_of(compared)).replace("**", "").replace("`", "")
    begins = ("Compared with the baseline", "regressed: ", "improved: ", "not in the baseline: ", "not in this run: ")
    places = [told.index(text) for text in begins]
    assert places == sorted(places)
    assert places[-1] < told.index("lies outside the bound")  # what FAILS means


@TEXTS
def test_what_fails_no_test_beside_a_baseline_is_not_told_as_open(text_of: TextOf, compared: dict[str, Any]) -> None:
    assert "Neither holds nor is documented" not in text_of(compared)
    assert "is documented." not in text_of(compared).partition("By subject")[0].replace(GATE, "")
    alone = {name: value for name, value in compared.items() if name != "comparison"}
    assert "Neither holds nor is documented: 2" in text_of(alone)
    assert "Compared with the baseline" not in text_of(alone)


@TEXTS
def test_a_run_like_its_baseline_says_so(text_of: TextOf) -> None:
    told = words(text_of(beside(run(a="HOLDS"), run(a="HOLDS"))))
    assert "no change" in told
    assert "laims: 1 the same" in told


def test_rows_of_the_run_are_linked_and_others_are_not(compared: dict[str, Any]) -> None:
    elements = Elements(page(compared))
    ids = {attributes["id"] for attributes, _ in elements.of("tbody") if "id" in attributes}
    links = [attributes["href"] or "" for attributes, text in elements.of("a") if text == SUFFICIENCY]
    assert len(links) == 3  # on c, d and e
    assert {link[1:] for link in links} <= ids


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_texts_of_a_comparison_are_text(text: str) -> None:
    rows = (Row(text, text, Outcome.REGRESSED, text), Row(SUFFICIENCY, "tiny", Outcome.MOVED, text))
    told = {**run(tiny="FAILS"), "comparison": Comparison(rows, (text,)).plain()}
    plain = (Row("x", "y", Outcome.REGRESSED, "z"), Row(SUFFICIENCY, "tiny", Outcome.MOVED, "z"))
    other = {**run(tiny="FAILS"), "comparison": Comparison(plain, ("w",)).plain()}
    assert [tag for tag, _ in Elements(page(told)).all] == [tag for tag, _ in Elements(page(other)).all]
    outside = re.sub(r"`[^`\n]*`", "", summary(told))
    tags = set(re.findall(r"<[^>]*>", outside))
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"}


def test_however_much_regressed_the_summary_fits_into_a_comment() -> None:
    rows = tuple(Row(f"markov.c{n}", f"s{n % 500}", Outcome.REGRESSED, "moved " * 200 + str(n)) for n in range(3000))
    found = {**run(tiny="FAILS"), "comparison": Comparison(rows, ("differs " * 200,) * 900).plain()}
    text = summary(found)
    assert len(text) < LIMIT
    assert text.count("- **regressed**") == NEWS
    assert f"- and {3000 - NEWS} more" in text


def test_claims_that_a_subject_lost_together_are_told_once() -> None:
    rows = [Row(claim, "tiny", Outcome.REGRESSED, "why") for claim in (SUFFICIENCY, TRANSPLANT)]
    found = Comparison((*rows, Row(SUFFICIENCY, "other", Outcome.SAME)))
    assert lines(found) == [
        f"regressed: {SUFFICIENCY}, {TRANSPLANT} on tiny: why",
        "claims: 1 the same, 2 regressed",
    ]
    assert comparison_of({"comparison": found.plain()}) == found
    assert comparison_of({}) is None


@pytest.mark.parametrize(
    "plain",
    [
        {},
        [],
        "text",
        {"rows": [], "differences": None},
        {"rows": [{"claim": "a", "subject": "b", "outcome": "regressed"}], "differences": []},
        {"rows": [{"claim": "a", "subject": "b", "outcome": "worse", "text": ""}], "differences": []},
        {"rows": [{"claim": "a", "subject": "b", "outcome": 3, "text": ""}], "differences": []},
    ],
)
@TEXTS
def test_a_comparison_that_cannot_be_read_is_named(text_of: TextOf, plain: Any) -> None:
    with pytest.raises(ArtifactError, match="comparison: expected rows of claim, subject, outcome and text"):
        text_of({**run(a="HOLDS"), "comparison": plain})
