"""`ace explain`: every claim from its own record, documented verdicts, words, names that are not there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ace import registry
from ace.cli import main
from ace.cli.glossary import SOURCES
from ace.families.family import control_meanings
from ace.study.claim import KINDS
from ace.study.claim import SOURCES as SOURCES_OF_BOUNDS
from ace.verdict import MEANINGS, Status
from ace.zoo.fixtures import StoredFixtures

ROOT = Path(__file__).parents[2]


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["explain", *words, "--json"]) == 0
    entries: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return entries


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["explain", *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_without_a_name_all_claims_are_listed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(registry())
    assert [entry["statement"] for entry in explained(capsys)] == [claim.statement for claim in registry().values()]


@pytest.mark.parametrize("identifier", registry())
def test_every_required_control_of_a_claim_is_explained(identifier: str) -> None:
    meanings = control_meanings(registry()[identifier])
    assert tuple(meanings) == registry()[identifier].controls
    assert all(meanings.values()), meanings


def test_verdicts_kinds_and_sources_of_bounds_are_explained() -> None:
    assert set(MEANINGS) == set(Status)
    assert Status.VACUOUS.meaning.endswith("says nothing")
    assert set(SOURCES) == set(SOURCES_OF_BOUNDS)


def test_a_claim_is_explained_from_its_record(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    claim = registry()["markov.spectrum"]
    assert main(["explain", claim.id]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    assert claim.replication is not None
    told = (claim.statement, claim.quantity, str(claim.bound), claim.rationale, claim.source, claim.replication.paper)
    for sentence in (*told, *control_meanings(claim).values(), *MEANINGS.values()):
        assert sentence in words, sentence
    assert "markov-compact: VACUOUS: the operator fitted to the models' own outputs has" in words
    assert 'pytest invariants -m claim -k "markov.spectrum"\n' in text
    (entry,) = explained(capsys, claim.id)
    assert (entry["id"], entry["kind"], entry["kind_meaning"]) == (claim.id, "P", KINDS["P"])
    assert entry["stored_subjects"] == ["markov-compact", "markov-paper"]
    assert [one["subject"] for one in entry["documented"]] == ["markov-paper", "markov-compact"]
    assert entry["documented"][0]["figures"]


def test_what_real_models_gave_is_told_where_its_record_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    (entry,) = explained(capsys, "agreement.mirror")
    contrasts = {f"smollm2-135m, {path.stem}" for path in (ROOT / "examples" / "contrasts").glob("*.csv")}
    assert {one["subject"] for one in entry["recorded"]} == {"smollm2-135m", "gemma3-270m"} | contrasts
    assert {one["verdict"] for one in entry["recorded"] if one["subject"] not in contrasts} == {"HOLDS"}
    monkeypatch.chdir(tmp_path)
    (entry,) = explained(capsys, "agreement.knob")
    assert entry["recorded"] == []
    assert {one["subject"] for one in entry["documented"]} == {"smollm2-135m", "gemma3-270m"}  # of the package


@pytest.mark.parametrize("identifier", ["agreement.knob", "agreement.mirror"])
def test_the_commands_select_the_claim_and_no_other(
    identifier: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (entry,) = explained(capsys, identifier)
    _, *words = shlex.split(entry["rerun_stored"])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--collect-only", "-q"], capture_output=True, text=True, check=True
    )
    found = [line.partition("test_claim[")[2] for line in done.stdout.splitlines() if "::" in line]
    assert found == [f"{identifier}-{subject}]" for subject in entry["stored_subjects"]]
    assert shlex.split(entry["rerun_own"])[-1] == words[-1]


def test_a_pattern_explains_several(capsys: pytest.CaptureFixture[str]) -> None:
    found = [entry["id"] for entry in explained(capsys, "core.*")]
    assert found == [name for name in registry() if name.startswith("core.")]
    assert main(["explain", "core.*"]) == 0
    text = f"\n{capsys.readouterr().out}"
    assert all(f"\n{name}\n" in text for name in found)


def test_explanations_of_several_claims_stand_a_line_apart_and_lists_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "core.*"]) == 0
    assert "\n\ncore." in capsys.readouterr().out
    assert main(["explain"]) == 0
    assert "\n\n" not in capsys.readouterr().out


def test_stored_subjects_are_made_once_however_many_claims_are_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[None] = []
    subjects = StoredFixtures.subjects

    def counted(self: StoredFixtures) -> Any:
        made.append(None)
        return subjects(self)

    monkeypatch.setattr(StoredFixtures, "subjects", counted)
    assert len(explained(capsys, "core.*")) > 1
    assert len(made) == 1


def test_a_folder_without_records_is_refused_where_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (tmp_path, tmp_path / "nosuchdir"):
        for words in ([], ["core.rank"], ["VACUOUS"]):
            said = failed(capsys, *words, "--fixtures", str(folder))
            assert f"fixtures: expected a folder with models/, records of real models, got {folder}" in said


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["VACUOUS"], "VACUOUS"),
        (["holds"], "HOLDS"),
        (["the", "rest"], "the rest"),
        (["rest"], "the rest"),
        (["separation"], "separation"),
        (["current token"], "current token"),
        (["P"], "P"),
        (["states"], "states"),
        (["Seed"], "seed"),
        (["record"], "record"),
    ],
)
def test_verdicts_controls_and_words_are_explained(
    words: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = explained(capsys, *words)
    assert entry["word"] == word
    assert main(["explain", *words]) == 0
    assert capsys.readouterr().out == f"{word}: {entry['meaning']}\n"


def test_every_word_of_the_glossary_page_is_explained_as_there(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    body = page.partition("```{glossary}\n")[2].partition("```")[0]
    entries = [entry.split("\n  ") for entry in body.strip().split("\n\n")]
    assert {"states", "seed", "split", "recipe", "record", "claim", "subject", "control"} <= {
        word for word, *_ in entries
    }
    for word, *lines in entries:
        (entry,) = explained(capsys, word)
        told = entry["meaning"].removesuffix(".") + "."
        assert " ".join(lines) == told[0].upper() + told[1:]


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("agreement.miror", "near it: agreement.mirror"),
        ("vacous", "near it: VACUOUS"),
        ("core.*.*", "got 'core.*.*'"),
        ("0000", "families of claims: agreement, core, hidden_markov, law, markov, modadd; `ace explain` lists all"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_what_is_near(
    asked: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert near in failed(capsys, asked)


ENTRY = '[[expected]]\nclaim = "core.rank"\nsubject = "x"\nreason = "why"\n'


@pytest.mark.parametrize(
    "text",
    [
        "expected = 3",
        "[[expected]]\nclaim = 3",
        "not toml [",
        f"{ENTRY}verdicts = [3]",
        f'{ENTRY}verdicts = ["NONSENSE"]',
        f'{ENTRY}verdicts = ["FAILS"]\nfigures = 3',
        f'{ENTRY}verdicts = ["FAILS"]\n{ENTRY}verdicts = ["FAILS"]',
    ],
)
def test_a_file_of_documented_verdicts_that_cannot_be_used_is_named(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.toml").write_text(text)
    said = failed(capsys, "core.rank", "--expected", str(tmp_path / "own.toml"))
    assert f"expected: {tmp_path}/own.toml: " in said


def test_an_own_file_of_documented_verdicts_is_told_with_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.toml").write_text(f'{ENTRY}verdicts = ["FAILS", "UNDECIDED"]\nfigures = "3 of 4"')
    (entry,) = explained(capsys, "core.rank", "--expected", str(tmp_path / "own.toml"))
    assert entry["documented"] == [
        {"subject": "x", "verdicts": ["FAILS", "UNDECIDED"], "reason": "why", "figures": "3 of 4"}
    ]
