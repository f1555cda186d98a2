"""The pytest interface, seen from outside: outcomes, documented verdicts, documents.

Each test runs pytest on a few generated tests that settle ready-made verdicts, so that nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ace.exits import NO_VERDICT
from ace.families.family import find_claim as claim
from invariants.contracts import builders
from invariants.contracts.runs import SUFFICIENCY, TRANSPLANT, Run, documented, expected, read

pytest_plugins = ["pytester"]

# What DESIGN promises of every entry, beside what the project adds.
FIELDS = {
    "claim": str,
    "subject": str,
    "seeds": list,
    "values": list,
    "estimate": float,
    "low": float,
    "high": float,
    "bound": float,
    "direction": str,
    "controls": dict,
    "verdict": str,
    "reason": str,
    "seconds": float,
}


# --- outcomes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("HOLDS", "passed"),
        ("VACUOUS", "passed"),
        ("FAILS", "failed"),
        ("UNDECIDED", "failed"),
        ("INAPPLICABLE", "skipped"),
    ],
)
def test_a_verdict_becomes_its_outcome(run: Run, suite: Callable[..., None], status: str, outcome: str) -> None:
    suite(status)
    found = run()
    assert found.parseoutcomes() == {outcome: 1}
    alone = {"failed": pytest.ExitCode.TESTS_FAILED, "skipped": NO_VERDICT, "passed": pytest.ExitCode.OK}
    assert found.ret == alone[outcome]


@pytest.mark.parametrize("status", ["FAILS", "UNDECIDED"])
def test_the_failure_message_holds_all_that_is_needed_to_doubt_or_rerun_it(
    run: Run, suite: Callable[..., None], status: str
) -> None:
    suite((status, SUFFICIENCY, "tiny-compact"))
    text = run().stdout.str()
    sentence = claim(SUFFICIENCY)
    assert f"{SUFFICIENCY} {status} on tiny-compact at {builders.SITE}" in text
    assert sentence.statement in text
    assert sentence.source in text
    assert f"quantity: {sentence.quantity}" in text
    assert "bound: >= -0.01" in text
    assert sentence.bound_source in text
    assert sentence.rationale in text
    interval = "1: -0.25 [-0.25, -0.25]" if status == "FAILS" else "1: -0.009 [-0.0"
    assert interval in text
    assert "0: -0.001 [-0.001, -0.001]" in text
    for control in sentence.controls:
        assert f"{control}: -0.438 (outside)" in text
    assert f"rerun: {builders.COMMAND.format(claim=SUFFICIENCY)}" in text
    assert "Traceback" not in text
    assert "builders.py" not in text


def test_an_undecided_verdict_says_how_many_more_samples_would_settle_it(run: Run, suite: Callable[..., None]) -> None:
    suite("UNDECIDED")
    run().stdout.fnmatch_lines(["*straddles the bound in 1; about * times the samples would settle it*"])


def test_an_inapplicable_claim_is_skipped_with_its_reason(run: Run, suite: Callable[..., None]) -> None:
    suite("INAPPLICABLE")
    run().stdout.fnmatch_lines(["SKIPPED*model 0 lacks the behaviour"])


def test_a_run_in_which_nothing_got_a_verdict_is_no_success_and_says_that_its_baseline_holds_nothing(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    base = tmp_path / "base.json"
    suite("INAPPLICABLE", ("INAPPLICABLE", TRANSPLANT))
    found = run("--ace-save-baseline", base)
    assert found.ret == NO_VERDICT
    found.stdout.fnmatch_lines(
        ["ERROR: no verdict: every claim is INAPPLICABLE*", f"*{base} is a baseline that holds nothing*"]
    )
    assert base.exists()
    assert run("--ace-accept", tmp_path / "accepted.toml").ret == pytest.ExitCode.OK  # which documents that


@pytest.mark.parametrize("beside", ["HOLDS", "VACUOUS", "documented"])
def test_one_verdict_or_a_documented_lack_of_them_is_enough(
    run: Run, suite: Callable[..., None], tmp_path: Path, beside: str
) -> None:
    suite("INAPPLICABLE", *([] if beside == "documented" else [(beside, TRANSPLANT)]))
    more = documented(verdicts='["INAPPLICABLE"]') if beside == "documented" else ""
    found = run("--ace-expected", expected(tmp_path, more))
    assert found.ret == pytest.ExitCode.OK
    found.stdout.no_fnmatch_line("*no verdict*")


def test_the_summary_is_a_table_of_all_verdicts_with_a_count(
    run: Run, suite: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    suite("HOLDS", ("VACUOUS", TRANSPLANT), ("FAILS", SUFFICIENCY, "other"), ("INAPPLICABLE", TRANSPLANT, "other"))
    run().stdout.fnmatch_lines(
        [
            "*= verdicts =*",
            "claim * subject *value*interval*bound*control*verdict",
            f"{SUFFICIENCY} *other*-0.25*>= -0.01*FAILS",
            f"{SUFFICIENCY} *tiny*-0.001 ?-0.001, 0.002?*>= -0.01*: -0.438*HOLDS",
            f"{TRANSPLANT} *other*INAPPLICABLE",
            f"{TRANSPLANT} *tiny*VACUOUS",
            "verdicts: 1 FAILS, 1 HOLDS, 1 INAPPLICABLE, 1 VACUOUS",
        ]
    )


def test_a_run_without_claims_has_no_table(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    run().stdout.no_fnmatch_line("*verdicts*")


# --- documented verdicts ----------------------------------------------------------------------------------------------
def test_a_failure_that_is_documented_is_expected_and_the_run_is_as_documented(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("FAILS", ("HOLDS", TRANSPLANT))
    found = run("--ace-expected", expected(tmp_path, documented(reason="the margin is too tight")))
    assert found.parseoutcomes() == {"xfailed": 1, "passed": 1}
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["* FAILS", "* as documented", "XFAIL*FAILS as documented: the margin is too tight"])


@pytest.mark.parametrize("status", ["HOLDS", "VACUOUS", "UNDECIDED", "INAPPLICABLE"])
def test_a_documented_failure_that_comes_out_otherwise_is_an_error(
    run: Run, suite: Callable[..., None], tmp_path: Path, status: str
) -> None:
    suite(status)
    found = run("--ace-expected", expected(tmp_path, documented(reason="too tight")))
    assert found.parseoutcomes() == {"failed": 1}
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["*documented as FAILS (too tight)*", f"*{SUFFICIENCY} {status} on tiny*"])


@pytest.mark.parametrize("status", ["FAILS", "UNDECIDED"])
def test_either_of_two_documented_verdicts_is_as_documented(
    run: Run, suite: Callable[..., None], tmp_path: Path, status: str
) -> None:
    suite(status)
    found = run("--ace-expected", expected(tmp_path, documented(verdicts='["FAILS", "UNDECIDED"]')))
    assert found.parseoutcomes() == {"xfailed": 1}


def test_what_is_documented_for_one_subject_does_not_excuse_another(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite(("FAILS", SUFFICIENCY, "one"), ("FAILS", SUFFICIENCY, "two"))
    found = run("--ace-expected", expected(tmp_path, documented(subject='"one"')))
    assert found.parseoutcomes() == {"xfailed": 1, "failed": 1}


def test_an_entry_may_name_several_subjects(run: Run, suite: Callable[..., None], tmp_path: Path) -> None:
    suite(("FAILS", SUFFICIENCY, "one"), ("FAILS", SUFFICIENCY, "two"), ("HOLDS", SUFFICIENCY, "three"))
    entries = documented(subject='["one", "two"]') + documented(verdicts='["HOLDS"]', subject='"three"')
    assert run("--ace-expected", expected(tmp_path, entries)).parseoutcomes() == {"xfailed": 2, "passed": 1}


def test_documented_verdicts_of_claims_that_do_not_run_do_no_harm(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("HOLDS")
    assert run("--ace-expected", expected(tmp_path, documented(TRANSPLANT))).ret == pytest.ExitCode.OK


def test_the_file_of_documented_verdicts_may_stand_in_the_configuration(
    run: Run, suite: Callable[..., None], pytester: pytest.Pytester
) -> None:
    suite("FAILS")
    expected(pytester.path, documented())
    pytester.makeini("[pytest]\nace_expected = expected.toml\n")
    assert run().parseoutcomes() == {"xfailed": 1}


UNUSABLE = {
    "an unknown claim": (documented("markov.spin"), "markov.spin"),
    "no reason": (documented(reason=None), "reason"),
    "an unknown verdict": (documented(verdicts='["BREAKS"]'), "BREAKS"),
    "no verdict": (documented(verdicts="[]"), "verdicts"),
    "a verdict that is no list": (documented(verdicts='"FAILS"'), "verdicts"),
    "no subject": (documented(subject=None), "subject"),
    "a subject of no words": (documented(subject='" "'), "subject"),
    "no subjects": (documented(subject="[]"), "subject"),
    "two entries for one subject": (documented() + documented(subject='["one", "tiny"]'), "tiny"),
    "an unknown key": (documented(extra="because = 1"), "because"),
    "a reason of no words": (documented(reason=" "), "reason"),
    "a misspelt table": (documented().replace("[[expected]]", "[[expcted]]"), "expcted"),
    "a value in the tables' place": ("expected = 3", "[[expected]]"),
    "figures that are no text": (f"{documented()}figures = 3\n", "expected figures as a text, got 3"),
    "no TOML": ("[[expected", "expected.toml"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_documented_verdicts_that_cannot_be_used_are_a_usage_error(
    run: Run, suite: Callable[..., None], tmp_path: Path, case: str
) -> None:
    suite("FAILS")
    text, word = UNUSABLE[case]
    found = run("--ace-expected", expected(tmp_path, text))
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-expected: *"])
    assert word in found.stderr.str()


def test_a_missing_file_of_documented_verdicts_is_a_usage_error(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("HOLDS")
    found = run("--ace-expected", tmp_path / "none.toml")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-expected: *none.toml*"])


# --- documents --------------------------------------------------------------------------------------------------------
def check_document(found: dict[str, Any], verdicts: list[str]) -> None:
    assert found["schema"] == 1
    assert set(found["environment"]["versions"]) >= {"torch", "numpy", "scipy", "pytest"}
    assert sorted(entry["verdict"] for entry in found["results"]) == sorted(verdicts)
    for entry in found["results"]:
        for name, kind in FIELDS.items():
            none = entry["verdict"] == "INAPPLICABLE" and kind is float
            assert entry[name] is None if none and name != "seconds" else isinstance(entry[name], kind), (name, entry)
        assert len(entry["seeds"]) == len(entry["values"])
        assert all(isinstance(value, float) for value in entry["controls"].values())


ALL = ("HOLDS", "VACUOUS", "FAILS", "UNDECIDED", "INAPPLICABLE")


def test_the_json_document_holds_every_verdict_with_every_field(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite(*((status, SUFFICIENCY, f"subject-{status}") for status in ALL))
    run("--ace-json", tmp_path / "all.json")
    found = read(tmp_path / "all.json")
    check_document(found, list(ALL))
    (failed,) = [entry for entry in found["results"] if entry["verdict"] == "FAILS"]
    values = {"seeds": ["0", "1"], "values": [-0.001, -0.25], "low": -0.25, "high": -0.001, "estimate": -0.25}
    assert {key: failed[key] for key in values} == values
    assert (failed["direction"], failed["bound"], failed["seconds"]) == (">=", -0.01, 0.25)
    assert failed["details"] == {"spread": [0.5, 0.25]}
    assert list(tmp_path.iterdir()) == [tmp_path / "all.json"]


def test_two_worker_processes_write_one_document_and_one_table_as_one_process_does(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite(*((status, SUFFICIENCY, f"subject-{status}") for status in ALL))
    options = ("--ace-expected", expected(tmp_path, documented(subject='"subject-FAILS"')))
    shared = run("-n", "2", "--ace-json", tmp_path / "two.json", *options)
    alone = run("--ace-json", tmp_path / "one.json", *options)
    check_document(read(tmp_path / "two.json"), list(ALL))
    assert read(tmp_path / "two.json")["results"] == read(tmp_path / "one.json")["results"]
    assert shared.parseoutcomes() == alone.parseoutcomes() == {"passed": 2, "failed": 1, "skipped": 1, "xfailed": 1}
    assert shared.ret == alone.ret

    def table(found: pytest.RunResult) -> list[str]:
        start = next(i for i, line in enumerate(found.outlines) if line.split()[:2] == ["claim", "value"])
        end = next(i for i, line in enumerate(found.outlines) if line.startswith("verdicts: "))
        return found.outlines[start : end + 1]

    assert table(shared) == table(alone)


def test_verdicts_of_one_run_do_not_enter_the_document_of_the_next(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    for number in range(2):
        suite(("HOLDS", SUFFICIENCY, f"run-{number}"))
        run("--ace-json", tmp_path / "a.json")
    assert [entry["subject"] for entry in read(tmp_path / "a.json")["results"]] == ["run-1"]


def test_a_report_folder_holds_record_and_table(run: Run, suite: Callable[..., None], tmp_path: Path) -> None:
    suite("HOLDS", ("FAILS", TRANSPLANT))
    run("--ace-report", tmp_path / "report")
    check_document(read(tmp_path / "report" / "results.json"), ["FAILS", "HOLDS"])
    table = (tmp_path / "report" / "verdicts.md").read_text()
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {TRANSPLANT} | tiny | "))
    assert " | -0.25 [-0.25, -0.001] | " in row


def test_the_record_says_which_verdicts_came_as_documented_and_why(
    run: Run, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite("FAILS", ("HOLDS", TRANSPLANT))
    entries = documented(reason="too tight") + documented(TRANSPLANT, reason="it was so once")
    run("--ace-report", tmp_path / "report", "--ace-expected", expected(tmp_path, entries))
    failing, holding = read(tmp_path / "report" / "results.json")["results"]
    assert (failing["documented"], holding["documented"]) == ("too tight", "")
    table = (tmp_path / "report" / "verdicts.md").read_text()
    assert table.count("FAILS (as documented)") == table.count("as documented") == 1
