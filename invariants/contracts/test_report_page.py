"""The page of a run: all of it escaped, nothing from elsewhere, headings in order, texts for pictures, contrasts."""

from __future__ import annotations

import dataclasses
import re
from base64 import b64decode
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ace.families.style import Words
from ace.report.figures import Drawn
from ace.report.methods import methods
from ace.report.page import page
from ace.report.page.view import anchor, row_of
from ace.report.record import ORDER, document, read_document, result
from ace.report.replication import replication
from ace.report.table import explain, markdown, markdown_lines
from ace.verdict import MEANINGS
from invariants.contracts import builders
from invariants.contracts.runs import SUFFICIENCY, TRANSPLANT

REAL = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "real-models.json"
HOSTILE = (
    "<script>document.title='seized'</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></script><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
    "&lt;b&gt; &amp; ü \x00 \n line",
    "../../etc/passwd",
)
EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source"}
PIXEL = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big")


class Elements(HTMLParser):
    """Elements of a page with their attributes, each with the text in it; fails where they are not well nested."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open, [self.all[number][0] for number in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        self.texts[len(self.all) - 1] = ""
        if tag not in EMPTY:
            self._open.append(len(self.all) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.all[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for number in self._open:
            self.texts[number] += data

    def of(self, tag: str) -> Iterator[tuple[dict[str, str | None], str]]:
        for number, (name, attributes) in enumerate(self.all):
            if name == tag:
                yield attributes, self.texts[number]


WORDS = Words("alt", "caption")


def drawn(subject: str, words: Words = WORDS) -> Drawn:
    return Drawn("a.png", PIXEL, b"<svg/>", subject, (SUFFICIENCY,), words)


def run(*subjects: str, status: str = "FAILS", **changes: Any) -> dict[str, Any]:
    """A record with two claims on every subject, entries of all of them changed."""
    verdicts = [
        dataclasses.replace(builders.verdict(status, subject=subject, identifier=claim), details={})
        for subject in subjects
        for claim in (SUFFICIENCY, TRANSPLANT)
    ]
    return document([{**result(verdict), **changes} for verdict in verdicts])


@pytest.fixture(scope="module")
def real() -> Elements:
    """The page of real models, with a picture."""
    found = read_document(REAL)
    figure = dataclasses.replace(drawn("gemma3-270m"), claims=("agreement.depth",))
    return Elements(page(found, [figure]))


# --- what a record holds is text --------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_record_holds_is_text_and_changes_no_element(text: str) -> None:
    entries = (
        "statement",
        "source",
        "quantity",
        "reason",
        "documented",
        "command",
        "site",
        "rationale",
        "bound_source",
    )
    changes: dict[str, Any] = dict.fromkeys(entries, text)
    changes |= {
        "controls": {text: -1.0},
        "control_places": {text: text},
        "control_values": {text: [-1.0, -2.0]},
        "seeds": [text, text],
        "beside": {text: [[0.0, 0.0, 0.0]]},
        "rest": [{"control": text, "seed": text, "as good": 1, "draws": 9, "p": 0.2}],
        "replication": {"paper": text, "protocol": text, "ours": [1.0], "differs": text},
        "details": {"seeds": [{"site": text, "rows": [METHOD | {"method": text, "projector": text}]}]},
    }
    made = Elements(page({**run(text, **changes), "more": {text: text}}, [drawn(text, Words(text, text))]))
    plain = Elements(
        page({**run("plain", **(changes | _as("plain", changes))), "more": {"plain": "plain"}}, [drawn("plain")])
    )
    assert [tag for tag, _ in made.all] == [tag for tag, _ in plain.all]
    assert [sorted(attributes) for _, attributes in made.all] == [sorted(attributes) for _, attributes in plain.all]
    shown = " ".join(text.split()) if "\x00" not in text else "ü"
    assert any(shown in " ".join(cell.split()) for attributes, cell in made.of("td"))


METHOD = {"keep": [1, 1, 1], "remove": [0, 0, 0], "flip": [-1, -1, -1], "auc": [0.0, 0.0, 0.0], "displaced": 0.5}


def _as(text: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The same entries with another text in them."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {(text if key in HOSTILE else key): replaced(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [replaced(inner) for inner in value]
        return text if value in HOSTILE else value

    return {name: replaced(value) for name, value in changes.items()}


def test_ids_are_plain_and_different_for_every_claim_and_subject() -> None:
    ids = [attributes["id"] or "" for attributes, _ in Elements(page(run(*HOSTILE))).of("tbody") if "id" in attributes]
    assert len(ids) == len(set(ids)) == 2 * len(HOSTILE)
    assert all(re.fullmatch(r"[\w.+-]+", name, re.ASCII) for name in ids)
    assert anchor(SUFFICIENCY, "tiny") == "markov.sufficiency--tiny"


def test_its_own_policy_lets_nothing_run_or_load_but_what_is_written_in_it() -> None:
    made = page(run("tiny"), [drawn("tiny")])
    (policy,) = [
        attributes["content"] or ""
        for attributes, _ in Elements(made).of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert all(re.fullmatch(r"'sha256-[\w+/=]+'", rules[name]) for name in ("style-src", "script-src"))


@pytest.mark.parametrize("name", ["src", "href", "srcset", "action", "data", "style"])
def test_nothing_comes_from_elsewhere(real: Elements, name: str) -> None:
    values = [attributes[name] or "" for _, attributes in real.all if name in attributes]
    assert all(value.startswith(("#", "data:")) for value in values), values
    assert not any(tag in ("iframe", "object", "embed") for tag, _ in real.all)
    assert "url(" not in (files("ace.report.page") / "page.css").read_text()
    assert "@import" not in (files("ace.report.page") / "page.css").read_text()


def test_links_within_the_page_lead_somewhere(real: Elements) -> None:
    ids = {attributes["id"] for _, attributes in real.all if "id" in attributes}
    links = [attributes["href"] or "" for attributes, _ in real.of("a")]
    assert len(links) > 5
    assert all(link[1:] in ids for link in links)


# --- what a screen reader makes of it ---------------------------------------------------------------------------------
def test_headings_are_in_order_and_there_is_one_title(real: Elements) -> None:
    levels = [int(tag[1]) for tag, _ in real.all if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert next(text for _, text in real.of("title")) == next(text for _, text in real.of("h1"))


def test_landmarks_language_and_a_link_that_skips_what_comes_first(real: Elements) -> None:
    tags = [tag for tag, _ in real.all]
    assert all(tags.count(landmark) == 1 for landmark in ("header", "nav", "main", "footer"))
    assert next(real.of("html"))[0]["lang"] == "en"
    first = next(real.of("a"))
    assert (first[0]["href"], first[0]["class"]) == ("#verdicts", "skip")
    assert all("aria-labelledby" in attributes for attributes, _ in real.of("section"))


def test_cells_that_head_others_say_which(real: Elements) -> None:
    scopes = [attributes.get("scope") for attributes, _ in real.of("th")]
    assert set(scopes) == {"col", "row"}
    assert len([attributes for attributes, _ in real.of("th") if attributes.get("aria-sort") == "none"]) >= 4


def test_fields_have_labels_and_what_scrolls_can_be_reached_by_keyboard(real: Elements) -> None:
    labelled = {attributes.get("for") for attributes, _ in real.of("label")}
    fields = [attributes for tag in ("input", "select") for attributes, _ in real.of(tag)]
    assert all(field.get("id") in labelled for field in fields if field.get("type") != "checkbox")
    boxes = [attributes for attributes, _ in real.of("div") if attributes.get("class") == "scroll"]
    assert len(boxes) > 2
    assert all(
        box["tabindex"] == "0" and box["role"] == "region" and box.keys() & {"aria-label", "aria-labelledby"}
        for box in boxes
    )


def test_pictures_have_a_text_in_their_place_and_one_below_them() -> None:
    made = Elements(page(run("tiny"), [drawn("tiny", Words("two curves", "They rise from 1 to 2."))]))
    ((picture, _),) = made.of("img")
    assert picture["alt"] == "two curves"
    assert (picture["width"], picture["height"]) == ("640", "480")
    ((_, caption),) = made.of("figcaption")
    assert "They rise from 1 to 2." in caption
    assert f"{SUFFICIENCY} (FAILS)" in " ".join(caption.split())


def test_the_smaller_form_of_a_picture_is_embedded() -> None:
    small, large = drawn("tiny"), dataclasses.replace(drawn("tiny"), svg=b"<svg>" + b" " * 99 + b"</svg>")
    sources = [next(Elements(page(run("tiny"), [each])).of("img"))[0]["src"] or "" for each in (small, large)]
    assert [source.partition(";")[0] for source in sources] == ["data:image/svg+xml", "data:image/png"]
    assert b64decode(sources[1].partition(",")[2]) == PIXEL


# --- what it says -----------------------------------------------------------------------------------------------------
def test_a_row_says_all_that_is_needed_to_doubt_or_measure_it_again() -> None:
    found = run("tiny")
    entry = found["results"][0]
    body = next(text for attributes, text in Elements(page(found)).of("tbody") if attributes.get("id"))
    text = " ".join(body.split())
    for part in (
        entry["claim"],
        entry["subject"],
        entry["statement"],
        entry["quantity"][1:],  # as a sentence by itself
        entry["source"],
        entry["command"],
        "-0.25 [-0.25, -0.001]",
        ">= -0.01",
        "1: -0.25 [-0.25, -0.25]",
        "Outside the bound in 1 (1 of 2).",
        *entry["controls"],
    ):
        assert part in text, part


def test_the_failure_message_lists_what_the_page_lists_in_the_same_words() -> None:
    entry = run("tiny")["results"][0]
    name = next(iter(entry["controls"]))
    entry |= {
        "control_values": {name: [-0.4375, -0.5]},
        "rest": [{"control": "the rest", "seed": "1", "as good": 2, "draws": 99, "p": 0.03}],
        "beside": {"outputs": [[0.5, 0.4, 0.6], [0.25, 0.2, 0.3]]},
    }
    row, message = row_of(entry), explain(entry).splitlines()
    assert row.ranks == (("the rest, seed 1", "2 of 99 draws as good, p = 0.03"),)
    assert row.beside == (("outputs", "0.5, 0.25"),)
    assert dict(row.controls)[name] == "-0.438 (outside): -0.438, -0.5"
    for listed in (row.seeds, row.controls, row.ranks, row.beside):
        assert listed
        assert {f"    {name}: {text}" for name, text in listed} <= set(message)


def kept_and_removed(*methods: str) -> list[dict[str, Any]]:
    """Results of the two claims of sequences on two models, each method .1 below and above 0, and the rest at 1."""
    beside = {method: [[-0.1, -0.2, 0.0], [0.1, 0.0, 0.2]] for method in methods}
    entry = run("runs")["results"][0]
    both = {"claim": "core.sufficiency", "seeds": ["0", "1"], "values": [-0.25, 0.25], "beside": beside}
    sides = ["0, above", "0, below", "1, above", "1, below"]
    twice = {method: [[sign * value, 0, 0] for value in (0.3, 0.4) for sign in (1, -1)] for method in methods}
    each = {"claim": "core.necessity", "seeds": sides, "values": [0.5, -0.5, 0.6, -0.6], "beside": twice}
    both["intervals"], each["intervals"] = [[-0.3, 0.3]] * 2, [[-0.7, 0.7]] * 4
    rest = {"control_values": {"the rest": [1.0, 1.0], "complement": [2.0, 2.0]}}
    return [{**entry, **both, **rest}, {**entry, **each, **rest}]


def test_methods_in_the_core_of_sequences_stand_side_by_side() -> None:
    found = methods(kept_and_removed("oblique", "PCA"))
    assert "### runs\n" in found
    assert [line for line in found.splitlines() if line.startswith("| ")][2:] == [
        "| ACE | -0.25 to 0.25 | 0.5 to 0.6 |",
        "| ACE, oblique | -0.1 to 0.1 | 0.3 to 0.4 |",
        "| PCA | -0.1 to 0.1 | 0.3 to 0.4 |",
        "| the rest | 1 | 1 |",
    ]
    elements = Elements(page(document(kept_and_removed("PCA"))))
    assert any(attributes.get("id") == "alternatives" for _, attributes in elements.all)
    assert methods(kept_and_removed("oblique")) == ""  # nothing but the core and the rest
    assert methods(kept_and_removed("PCA")[:1]) == ""


@pytest.mark.parametrize("which", [[0], [1], [0, 1]])
def test_claims_without_values_have_no_methods_side_by_side(which: list[int]) -> None:
    """Models that lack the behaviour: the report is written all the same."""
    entries = kept_and_removed("PCA")
    for place in which:
        entries[place] |= {"values": [], "seeds": [], "intervals": [], "beside": {}, "control_values": {}}
        entries[place] |= {"verdict": "INAPPLICABLE", "estimate": None, "low": None, "high": None}
    assert methods(entries) == ""
    assert "</html>" in page(document(entries))
    entries = kept_and_removed("PCA")
    entries[0]["values"] = [None, 0.25]
    assert "| ACE | 0.25 | 0.5 to 0.6 |" in methods(entries)


@pytest.mark.parametrize("name", ["a|b", "|"])
def test_no_name_ends_a_cell_of_a_table(name: str) -> None:
    """Whichever table of markdown it stands in."""
    assert markdown_lines(("x", name), [[name, "y"]])[2] == "| " + name.replace("|", "\\|") + " | y |"
    entry = run("tiny")["results"][0]
    entry |= {"subject": name, "replication": {"paper": name, "protocol": name, "ours": [], "differs": name}}
    method = {"method": name, "projector": "oblique", "auc": [0.5], "displaced": 0.1}
    method |= {mode: [1.0, 0.9, 1.1] for mode in ("keep", "remove", "flip")}
    entry["details"] = {"seeds": [{"site": 1, "rows": [method]}]}
    for text, width in (
        (markdown([entry]), 7),
        (replication([entry]), 7),
        (methods([entry]), 12),
        (methods(kept_and_removed(name)), 3),
    ):
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {width + 1}


def test_what_would_fail_a_run_stands_in_the_summary_and_what_is_documented_does_not() -> None:
    open_, known = run("tiny"), run("tiny", documented="seen before")
    assert "Neither holds nor is documented: 2" in page(open_)
    assert "Neither holds nor is documented" not in page(known)
    assert page(known).count("as documented</span>") == 2
    assert "<p>Every FAILS and UNDECIDED is documented.</p>" in page(known)


def test_a_record_of_an_older_version_has_a_page_too() -> None:
    """With no more entries than the table of verdicts needs."""
    needed = {
        "claim",
        "subject",
        "verdict",
        "estimate",
        "low",
        "high",
        "bound",
        "direction",
        "controls",
        "control_places",
        "reason",
    }
    found = run("tiny")
    found["results"] = [{name: entry[name] for name in needed} for entry in found["results"]]
    assert SUFFICIENCY in page(found)


def test_a_record_without_results_has_a_page_too() -> None:
    assert "0 verdicts on" in page(document([]))


def test_every_verdict_is_explained_and_has_its_colours() -> None:
    assert set(MEANINGS) == set(ORDER)
    css = (files("ace.report.page") / "page.css").read_text()
    assert all(f".{verdict.lower()} {{" in css for verdict in ORDER)


# --- contrasts --------------------------------------------------------------------------------------------------------
CSS = (files("ace.report.page") / "page.css").read_text()
PAIRS = [
    *((ink, ground, 4.5) for ink in ("ink", "quiet", "link") for ground in ("ground", "raised")),
    *((verdict.lower(), f"{verdict.lower()}-ground", 4.5) for verdict in ORDER),
    *((edge, ground, 3.0) for edge in ("focus", "quiet") for ground in ("ground", "raised")),
]


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS)
def test_letters_and_edges_stand_out(scheme: str, ink: str, ground: str, least: float) -> None:
    light, dark = (block for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL))
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))
    assert contrast(colors[ink], colors[ground]) >= least
