"""A report folder: record, table and figures of one run, and nothing that an earlier run drew."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from ace.errors import ArtifactError
from ace.families.family import families, find_claim
from ace.families.style import Drawing, Words
from ace.report import figures
from ace.report.folder import FIGURES_ONLY, MANIFEST, NO_MATPLOTLIB, write_report
from ace.report.record import document, read_document, result
from ace.report.stems import file_stem
from invariants.contracts import builders
from invariants.contracts.runs import SUFFICIENCY

PNG = b"\x89PNG"


def run(*subjects: str, **details: Any) -> dict[str, Any]:
    """A document with one verdict for each subject."""
    verdicts = [
        dataclasses.replace(builders.verdict("HOLDS", subject=subject), details=details) for subject in subjects
    ]
    return document([result(verdict) for verdict in verdicts])


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One small figure, of one claim; gives the headings that were drawn."""
    headings: list[str] = []

    def draw(measured: Mapping[str, Any], heading: str) -> Figure:
        headings.append(heading)
        figure = Figure(figsize=(1, 1))
        figure.suptitle(f"{heading}: {measured[SUFFICIENCY]['values'][measured[SUFFICIENCY]['details'].get('row', 0)]}")
        return figure

    monkeypatch.setattr(figures, "family_figures", lambda: (Drawing((SUFFICIENCY,), draw),))
    return headings


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


RECORD = {"results.json", "report.html", "report.md", "verdicts.md", "replication.md", MANIFEST}


def test_every_family_that_has_figures_gives_them_for_claims_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    drawing = [family for family in families() if family.figures]
    own = {claim.id for family in families() for claim in family.claims}
    assert len(figures.family_figures()) >= len(drawing) > 0
    for entry in figures.family_figures():
        assert own.issuperset(entry.claims)
        assert entry.describe is not None


def test_a_new_family_needs_no_entry_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(figures, "families", lambda: (SimpleNamespace(figures="invariants.contracts.builders"),))
    own = (Drawing(("a.b",), lambda results, subject: None),)
    monkeypatch.setattr(builders, "FIGURES", own, raising=False)
    assert figures.family_figures() == own


def test_a_subject_has_its_figure_and_the_record_redraws_it(tmp_path: Path, drawn: list[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    paths = write_report(first, run("tiny"))
    assert paths == [
        first / name
        for name in ("results.json", "report.html", "report.md", "verdicts.md", "replication.md", "tiny.png")
    ]
    assert (first / "tiny.png").read_bytes().startswith(PNG)
    write_report(second, read_document(first / "results.json"))
    assert drawn == ["tiny", "tiny"]
    for name in RECORD:
        assert (second / name).read_bytes() == (first / name).read_bytes()


def test_figures_of_subjects_that_a_later_run_lacks_are_removed(tmp_path: Path) -> None:
    write_report(tmp_path, run("one", "two"))
    write_report(tmp_path, run("two", "three"))
    assert names(tmp_path) == {*RECORD, "two.png", "three.png"}
    write_report(tmp_path, document([result(builders.verdict("INAPPLICABLE"))]))
    assert names(tmp_path) == RECORD


def test_what_this_tool_did_not_draw_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(PNG)
    (tmp_path / "outside").mkdir()
    write_report(tmp_path / "outside", run("other"))
    write_report(tmp_path, run("one", "two"))
    (tmp_path / "one.png").write_bytes(PNG)  # somebody else's by now
    manifest = (tmp_path / MANIFEST).read_text()
    (tmp_path / MANIFEST).write_text(manifest.replace('"files": {', '"files": {"outside/other.png": "0",', 1))
    write_report(tmp_path, run("three"))
    assert names(tmp_path) == {*RECORD, "mine.png", "one.png", "three.png", "outside"}
    assert (tmp_path / "outside" / "other.png").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 2, "files": {"one.png": ""}}'])
def test_with_an_unreadable_manifest_nothing_is_removed(tmp_path: Path, text: str) -> None:
    write_report(tmp_path, run("one"))
    (tmp_path / MANIFEST).write_text(text)
    write_report(tmp_path, run("two"))
    assert {"one.png", "two.png"} <= names(tmp_path)


PATHS = ("/models/a/ckpt", "/models/b/ckpt", "models_a_ckpt", "..", ".", "/", "-x", "gpt2@main", "a b", "ü", "x" * 300)


def test_file_names_of_figures_are_safe_and_different(tmp_path: Path) -> None:
    stems = [file_stem(subject) for subject in PATHS]
    assert len(set(stems)) == len(stems)
    assert all(stem.isascii() and "/" not in stem and stem[0].isalnum() and len(stem) < 120 for stem in stems), stems
    assert file_stem("markov-compact") == "markov-compact"
    assert file_stem("/models/a/ckpt").startswith("models_a_ckpt-")
    write_report(tmp_path, run(*PATHS))
    assert names(tmp_path) == {*RECORD, *(f"{stem}.png" for stem in stems)}


def test_a_heading_names_the_subject_and_how_far_its_training_went(tmp_path: Path, drawn: list[str]) -> None:
    write_report(tmp_path, run("a$b$", trained={"epochs": 10, "of": 2000}))
    assert drawn == [r"a\$b\$ (trained 10 of 2,000 epochs)"]


def test_figures_with_a_name_have_it_in_their_file_and_one_without_data_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(measured: Mapping[str, Any], heading: str) -> None:
        return None

    def square(measured: Mapping[str, Any], heading: str) -> Figure:
        return Figure(figsize=(1, 1))

    about = (SUFFICIENCY,)
    drawings = (Drawing(about, nothing, "a"), Drawing(about, square, "b"), Drawing(about, square))
    monkeypatch.setattr(figures, "family_figures", lambda: drawings)
    write_report(tmp_path, run("tiny"))
    assert names(tmp_path) == {*RECORD, "tiny-b.png", "tiny-3.png"}


def test_results_that_cannot_be_drawn_are_named_and_cost_neither_record_nor_table(tmp_path: Path) -> None:
    write_report(tmp_path, run("one"))
    with pytest.raises(
        ArtifactError, match=rf"results of two: expected what a figure of {SUFFICIENCY} needs, got Index"
    ):
        write_report(tmp_path, run("two", row=9))
    assert names(tmp_path) == RECORD
    assert "Not all figures could be drawn: results of two" in (tmp_path / "report.html").read_text()
    assert [entry["subject"] for entry in read_document(tmp_path / "results.json")["results"]] == ["two"]


def test_files_of_an_earlier_run_that_do_not_belong_to_this_one_are_removed(tmp_path: Path) -> None:
    """A table of the paper's figures has nothing to say about claims that are not the paper's own."""
    write_report(tmp_path, run("one"))
    assert (tmp_path / "replication.md").exists()
    write_report(tmp_path, {**run("one"), "results": [{**run("one")["results"][0], "replication": None}]})
    assert names(tmp_path) == {*RECORD, "one.png"} - {"replication.md"}


def test_a_file_that_was_changed_since_stays(tmp_path: Path) -> None:
    write_report(tmp_path, run("one"))
    (tmp_path / "replication.md").write_text("mine by now")
    write_report(tmp_path, {**run("one"), "results": [{**run("one")["results"][0], "replication": None}]})
    assert (tmp_path / "replication.md").read_text() == "mine by now"


def test_figures_that_version_0_1_left_are_removed_and_its_manifest_with_them(tmp_path: Path) -> None:
    write_report(tmp_path, run("one", "two"))
    digests = json.loads((tmp_path / MANIFEST).read_text())["files"]
    former = {"schema": 1, "figures": {"one.png": digests["one.png"], "two.png": "of something else"}}
    (tmp_path / FIGURES_ONLY).write_text(json.dumps(former))
    (tmp_path / MANIFEST).unlink()
    write_report(tmp_path, run("three"))
    assert names(tmp_path) == {*RECORD, "two.png", "three.png"}


def test_the_same_record_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_report(tmp_path / name, run("one", "two"))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second


def test_without_matplotlib_the_page_says_why_there_are_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ace.report.folder.find_spec", lambda name: None)
    write_report(tmp_path, run("one"))
    assert names(tmp_path) == RECORD
    assert NO_MATPLOTLIB.partition("'")[0] in (tmp_path / "report.html").read_text()


def test_words_of_a_figure_come_from_its_family_or_else_from_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    def square(measured: Mapping[str, Any], heading: str) -> Figure:
        return Figure(figsize=(1, 1))

    def words(measured: Mapping[str, Any]) -> Words:
        return Words("a square", f"its value is {measured[SUFFICIENCY]['estimate']}")

    described = Drawing((SUFFICIENCY,), square, "a", words)
    monkeypatch.setattr(figures, "family_figures", lambda: (described, Drawing((SUFFICIENCY,), square, "b")))
    first, second = figures.drawings(run("one")["results"])
    assert (first.words.alt, first.words.caption) == ("a square", "its value is -0.001")
    assert find_claim(SUFFICIENCY).statement in second.words.caption
    assert SUFFICIENCY in second.words.alt
