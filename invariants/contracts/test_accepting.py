"""`--ace-accept`: a file of documented verdicts written from a run, which the strict reading of the next one takes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ace.errors import ArtifactError
from ace.plugin.accept import TO_EXPLAIN, accept
from ace.plugin.expected import read_expectations
from ace.report.record import result
from invariants.contracts.builders import verdict
from invariants.contracts.runs import SUFFICIENCY, TRANSPLANT, Run, documented, expected

pytest_plugins = ["pytester"]


def outcome(status: str, identifier: str = SUFFICIENCY, subject: str = "tiny") -> dict[str, Any]:
    return result(verdict(status, subject, identifier=identifier))


def entries(path: Path) -> dict[tuple[str, str], tuple[tuple[str, ...], str]]:
    """(claim, subject) -> verdicts and reason, as a strict run reads them."""
    return {(each.claim, each.subject): (each.verdicts, each.reason) for each in read_expectations(path, "here")}


def test_what_is_accepted_passes_the_next_run_and_only_as_it_is(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "expected.toml"
    suite("FAILS", ("HOLDS", TRANSPLANT), ("VACUOUS", SUFFICIENCY, "other"), ("INAPPLICABLE", TRANSPLANT, "other"))
    found = run("--ace-accept", path)
    assert found.ret == pytest.ExitCode.OK
    assert found.parseoutcomes() == {"xfailed": 1, "passed": 2, "skipped": 1}
    found.stdout.fnmatch_lines(
        [f"ace: {path} documents these verdicts; reasons to be written: *on other, * on tiny, *"]
    )
    assert {key: verdicts for key, (verdicts, _) in entries(path).items()} == {
        (SUFFICIENCY, "tiny"): ("FAILS",),
        (SUFFICIENCY, "other"): ("VACUOUS",),
        (TRANSPLANT, "other"): ("INAPPLICABLE",),
    }
    assert all(reason.startswith(TO_EXPLAIN) for _, reason in entries(path).values())
    assert run("--ace-expected", path).ret == pytest.ExitCode.OK
    suite("HOLDS")
    assert run("--ace-expected", path).ret == pytest.ExitCode.TESTS_FAILED


def test_a_file_may_be_read_and_brought_up_to_date_by_one_run(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    path = expected(tmp_path, documented())
    suite("UNDECIDED")
    assert run("--ace-expected", path, "--ace-accept", path).ret == pytest.ExitCode.OK
    ((verdicts, reason),) = entries(path).values()
    assert verdicts == ("UNDECIDED",)
    assert reason.startswith(TO_EXPLAIN)
    assert reason.endswith("before FAILS, seen")


def test_accepting_excuses_no_claim_that_regressed(run: Run, suite: Callable[..., None], tmp_path: Path) -> None:
    suite("HOLDS")
    run("--ace-save-baseline", tmp_path / "base.json")
    suite("FAILS")
    found = run("--ace-compare", tmp_path / "base.json", "--ace-accept", tmp_path / "expected.toml")
    assert found.ret == pytest.ExitCode.TESTS_FAILED


def test_a_file_that_cannot_be_brought_up_to_date_is_a_usage_error(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("FAILS")
    found = run("--ace-accept", expected(tmp_path, documented(extra="because = 1")))
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-accept: *because*"])


def test_a_run_in_which_all_hold_leaves_no_reason_to_be_written(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("HOLDS")
    found = run("--ace-accept", tmp_path / "new.toml")
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["ace: *new.toml documents these verdicts; no reason is to be written"])
    assert entries(tmp_path / "new.toml") == {}


MARKED = """
import pytest
from invariants.contracts.builders import verdict

@pytest.mark.ace_claim("markov.sufficiency", expected="{expected}")
def test_it(ace_claim, ace_settle):
    ace_settle(verdict("{status}", identifier=ace_claim, subject="tiny"))
"""


@pytest.mark.parametrize(
    ("known", "status", "outcome"), [("VACUOUS", "HOLDS", "failed"), ("FAILS", "FAILS", "xfailed")]
)
def test_accepting_excuses_nothing_that_the_test_file_marks_otherwise(
    run: Run, pytester: pytest.Pytester, tmp_path: Path, known: str, status: str, outcome: str
) -> None:
    """The mark goes before the file, so that the next run would fail, whatever the file documents."""
    pytester.makepyfile(test_claims=MARKED.format(expected=known, status=status))
    path = tmp_path / "expected.toml"
    assert run("--ace-accept", path).parseoutcomes() == {outcome: 1}
    assert run("--ace-expected", path).parseoutcomes() == {outcome: 1}


REAL, COLLATERAL = "gemma3-270m", "agreement.collateral"  # which is documented as FAILS in the package
BETTER = f"""
import pytest
from dataclasses import replace
from ace.families.family import find_claim
from invariants.contracts.builders import verdict

@pytest.mark.ace_claim("{COLLATERAL}")
def test_it(ace_claim, ace_settle):
    ace_settle(replace(verdict("HOLDS", subject="{REAL}"), claim=find_claim(ace_claim)))
"""


def test_what_holds_although_the_package_documents_otherwise_is_documented(
    run: Run, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(test_claims=BETTER)
    path = tmp_path / "expected.toml"
    assert run("--ace-model", REAL).ret == pytest.ExitCode.TESTS_FAILED
    assert run("--ace-model", REAL, "--ace-accept", path).ret == pytest.ExitCode.OK
    assert entries(path)[COLLATERAL, REAL][0] == ("HOLDS",)
    assert run("--ace-model", REAL, "--ace-expected", path).ret == pytest.ExitCode.OK


def test_what_holds_although_another_file_documents_otherwise_replaces_an_entry(tmp_path: Path) -> None:
    path = expected(tmp_path, documented())
    key = (SUFFICIENCY, "tiny")
    assert accept(path, [outcome("HOLDS")], elsewhere=[key]) == [" on ".join(key)]
    assert entries(path)[key][0] == ("HOLDS",)
    written = path.read_text()
    assert accept(path, [outcome("HOLDS")], elsewhere=[key]) == []
    assert path.read_text() == written


OWN = """# of two models
# and one more

[[expected]]  # the first
claim = "markov.sufficiency"
subject = ["tiny", "other"]
verdicts = ["FAILS", "UNDECIDED"]
reason = \"\"\"seen,
twice\"\"\"

# about another claim
[[expected]]
claim = "markov.transplant"
subject = "other"
verdicts = ["FAILS"]
reason = "ours"
"""


def test_entries_that_are_right_or_of_others_stay_as_they_stand(tmp_path: Path) -> None:
    path = expected(tmp_path, OWN)
    assert accept(path, [outcome("FAILS"), outcome("HOLDS", TRANSPLANT)]) == []
    assert path.read_text() == OWN


def test_what_holds_now_is_documented_no_more_and_other_subjects_are(tmp_path: Path) -> None:
    path = expected(tmp_path, OWN)
    assert accept(path, [outcome("HOLDS"), outcome("HOLDS", TRANSPLANT, "other")]) == []
    assert entries(path) == {(SUFFICIENCY, "other"): (("FAILS", "UNDECIDED"), "seen,\ntwice")}
    assert path.read_text().startswith("# of two models\n# and one more\n\n[[expected]]\n")


def test_another_verdict_replaces_one_subject_of_an_entry(tmp_path: Path) -> None:
    path = expected(tmp_path, OWN)
    assert accept(path, [outcome("VACUOUS")]) == [f"{SUFFICIENCY} on tiny"]
    found = entries(path)
    assert found[SUFFICIENCY, "tiny"][0] == ("VACUOUS",)
    assert found[SUFFICIENCY, "other"] == (("FAILS", "UNDECIDED"), "seen,\ntwice")
    assert found[TRANSPLANT, "other"] == (("FAILS",), "ours")


@pytest.mark.parametrize("subject", ['a "quoted" \\ name', "tab\there", "rubout\x7f", "Ünïcode", "[[expected]]"])
def test_names_of_any_letters_are_written_so_that_they_are_read_again(tmp_path: Path, subject: str) -> None:
    path = tmp_path / "expected.toml"
    accept(path, [outcome("FAILS", subject=subject)])
    assert list(entries(path)) == [(SUFFICIENCY, subject)]
    accept(path, [outcome("VACUOUS", subject=subject)])
    assert tomllib.loads(path.read_text())["expected"][0]["verdicts"] == ["VACUOUS"]


INLINE = 'expected = [{claim = "markov.sufficiency", subject = "tiny", verdicts = ["FAILS"], reason = "seen"}]'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("expected = []", r"entries that begin with a line \[\[expected\]\]"),
        (INLINE, r"entries that begin with a line \[\[expected\]\]"),
        (documented(reason=None) + 'reason = """\n[[expected]]\n"""\n', "a readable file"),
        ("[[expected", "a readable file"),
    ],
)
def test_a_file_whose_entries_cannot_be_told_apart_is_refused_and_left_alone(
    tmp_path: Path, text: str, words: str
) -> None:
    path = expected(tmp_path, text)
    with pytest.raises(ArtifactError, match=rf"expected\.toml: expected {words}"):
        accept(path, [outcome("VACUOUS")])
    assert path.read_text() == text


def test_a_file_whose_entries_cannot_be_told_apart_is_refused_before_anything_is_measured(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("FAILS")
    found = run("--ace-accept", expected(tmp_path, INLINE))
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-accept: *expected.toml: expected entries that begin with a line *"])


def test_a_file_without_entries_is_brought_up_to_date(tmp_path: Path) -> None:
    """Such as the one that is written where all claims hold."""
    path = tmp_path / "new.toml"
    accept(path, [outcome("HOLDS")])
    written = path.read_text()
    assert accept(path, [outcome("HOLDS")]) == []
    assert path.read_text() == written
    accept(path, [outcome("FAILS")])
    assert path.read_text().startswith(written)
    assert list(entries(path)) == [(SUFFICIENCY, "tiny")]
