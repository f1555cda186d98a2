"""The twin of the page for a pull request: within a comment's length, the summary first, and no name means anything."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from typing import Any

import pytest

from ace.report.record import ORDER, document, result
from ace.report.summary import LIMIT, ROOM, code, plain, summary
from invariants.contracts import builders
from invariants.contracts.runs import SUFFICIENCY
from invariants.contracts.test_report_page import HOSTILE


@cache
def made(status: str) -> dict[str, Any]:
    return result(dataclasses.replace(builders.verdict(status), details={}))


def entry(status: str = "FAILS", subject: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**made(status), "subject": subject, **changes}


def run(count: int, **changes: Any) -> dict[str, Any]:
    """A record of as many results on 13 subjects."""
    return document(
        [entry(ORDER[n % 5], f"subject-{n % 13}", claim=f"markov.claim_{n:04d}", **changes) for n in range(count)]
    )


@pytest.mark.parametrize("count", [0, 1, 117, 2000, 9999])
@pytest.mark.parametrize("reason", ["", "outside the bound in one seed and in another " * 20])
def test_it_fits_into_a_comment_however_many_rows_there_are(count: int, reason: str) -> None:
    text = summary(run(count, **({"reason": reason} if reason else {})))
    assert len(text) < LIMIT
    assert len(text) <= ROOM
    assert text.startswith(f"## {count} verdict{'s' if count != 1 else ''} on ")
    assert ("parts have no room here: `" in text) == (count >= 2000)


def test_at_117_rows_all_of_them_are_there_with_their_reasons() -> None:
    text = summary(run(117, reason="it lies outside the bound in more than one of all the seeds that were trained"))
    assert all(f"`markov.claim_{n:04d}`" in text for n in range(117))
    assert text.count("It lies outside") == 117 - text.count(" HOLDS |\n")
    assert text.count("<details>") == text.count("</details>") == 13 + 2


def test_what_would_fail_a_run_comes_first_and_is_not_folded() -> None:
    found = document([entry("FAILS", "one"), entry("FAILS", "two", documented="seen"), entry("HOLDS", "three")])
    head = summary(found).partition("<details>")[0]
    assert "**Neither holds nor is documented: 1**" in head
    assert f"- FAILS: `{SUFFICIENCY}` on `one`, -0.25 [-0.25, -0.001] where >= -0.01 is asked for" in head
    assert "- **2 FAILS**, 1 of them documented" in head
    assert "| `two` |" in head
    known = summary(document([entry("FAILS", "two", documented="seen")])).partition("<details>")[0]
    assert "\nEvery FAILS and UNDECIDED is documented.\n" in known


def test_what_has_no_room_is_named_and_subjects_to_look_at_are_kept() -> None:
    every = [entry("HOLDS", f"a-{n}", claim=f"markov.claim_{m:04d}") for n in range(12) for m in range(60)]
    pressing = [entry("FAILS", "z", claim=f"markov.claim_{m:04d}") for m in range(60)]
    known = [entry("FAILS", "y", claim=f"markov.claim_{m:04d}", documented="seen") for m in range(60)]
    text = summary(document([*every, *pressing, *known]))
    kept = re.findall(r"<summary>(\S+): 60 verdicts</summary>", text)
    assert {"y", "z"} < set(kept)
    assert kept == sorted(kept)
    lost = sorted({f"a-{n}" for n in range(12)} - set(kept))
    assert lost
    named = ", ".join(f"`{name}`" for name in (*lost, "reasons"))
    assert f"{len(lost) + 1} of 17 parts have no room here: {named}. Seeds" in text


def test_of_many_parts_without_room_ten_are_named_and_their_names_cut() -> None:
    found = document([entry("HOLDS", f"{n:04d}" + "|" * 99, claim="markov." + "x" * 9000) for n in range(40)])
    text = summary(found)
    last = text.splitlines()[-1]
    named = re.findall(r"<code>(.+?)</code>", last)
    assert len(named) == 10
    assert all(re.fullmatch(r"\d{4}(&#124;){33}\.\.\.", name) for name in named)
    assert re.search(r" and \d+ more\. Seeds", last)
    assert len(text) <= ROOM


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "@octocat",
        "a | b",
        "`code`",
        "[a](http://b)",
        "![a](b)",
        "**bold** _i_",
        "# head",
        "#12",
        "http://a.b",
        "$x$",
    ],
)
def test_no_name_means_anything_to_markdown_or_html(text: str) -> None:
    found = summary(document([entry("FAILS", text, reason=text, claim="markov.x"), entry("INAPPLICABLE", text)]))
    outside = re.sub(r"`[^`\n]*`", "", found)  # in code nothing means anything
    tags = set(re.findall(r"<[^>]*>", outside))
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"}
    assert not re.search(r"@|\]\(|!\[|https?://|\$x|(?<!&)#12", outside)
    rows = [line for line in found.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} <= {6, 7}
    assert "\n# head" not in found


def test_text_that_means_nothing_stays_as_it_is() -> None:
    assert plain("-0.27 [-1.07, -0.202]") == "-0.27 [-1.07, -0.202]"
    assert plain("seed (0): a+b!") == "seed (0): a+b!"
    assert code("agreement.knob_within") == "`agreement.knob_within`"
    assert code("a|b") == "<code>a&#124;b</code>"
