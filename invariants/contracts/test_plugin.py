"""The pytest interface, seen from outside: outcomes, documented verdicts, documents, baselines, options, header.

Each test runs pytest on a few generated tests that settle ready-made verdicts, so that nothing is measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ace.claims import claim
from invariants.contracts import builders

pytest_plugins = ["pytester"]

SUFFICIENCY, TRANSPLANT = "markov.sufficiency", "markov.transplant"
SUITE = """
import pytest
from invariants.contracts.builders import verdict
"""
TEST = """
@pytest.mark.claim("{identifier}")
def test_{status}_{number}(claim, settle):
    settle(verdict("{status}", identifier=claim, subject="{subject}"))
"""
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

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in this process, shielded from the options of the run around it."""
    for name in [name for name in os.environ if name.startswith("ACE_")]:
        monkeypatch.delenv(name)
    # What the outer run loads or not is nothing to the inner one: the plugin comes as it does for a user.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def call(*arguments: str | Path) -> pytest.RunResult:
        # The warning is about running pytest within pytest, of no interest here.
        quiet = "-Wignore::pytest.PytestAssertRewriteWarning"
        options = ["-p", "no:cacheprovider", "-rA", quiet, *map(str, arguments)]
        return pytester.runpytest_inprocess(*options)

    return call


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Callable[..., None]:
    """Write a test for each status, or (status, claim), or (status, claim, subject)."""

    def write(*statuses: str | tuple[str, ...]) -> None:
        tests = []
        for number, given in enumerate(statuses):
            parts = (given,) if isinstance(given, str) else given
            status, identifier, subject = (*parts, *("", SUFFICIENCY, "tiny")[len(parts) :])
            tests.append(TEST.format(status=status, number=number, identifier=identifier, subject=subject))
        pytester.makepyfile(test_claims=SUITE + "".join(tests))

    return write


def expected(folder: Path, text: str) -> Path:
    path = folder / "expected.toml"
    path.write_text(text)
    return path


def documented(
    claim: str = SUFFICIENCY, verdicts: str = '["FAILS"]', reason: str | None = "seen", extra: str = ""
) -> str:
    lines = ["[[expected]]", f'claim = "{claim}"', f"verdicts = {verdicts}", extra]
    return "\n".join([*lines, f'reason = "{reason}"' if reason is not None else ""]) + "\n"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


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
    assert found.ret == (pytest.ExitCode.TESTS_FAILED if outcome == "failed" else pytest.ExitCode.OK)


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
    for control in sentence.reported:
        assert f"{control}: -0.438 (reported, outside)" in text
    assert f"rerun: {builders.COMMAND.format(claim=SUFFICIENCY)}" in text
    assert "Traceback" not in text
    assert "builders.py" not in text


def test_an_undecided_verdict_says_how_many_more_samples_would_settle_it(run: Run, suite: Callable[..., None]) -> None:
    suite("UNDECIDED")
    run().stdout.fnmatch_lines(["*straddles the bound in 1; about * times the samples would settle it*"])


def test_an_inapplicable_claim_is_skipped_with_its_reason(run: Run, suite: Callable[..., None]) -> None:
    suite("INAPPLICABLE")
    run().stdout.fnmatch_lines(["SKIPPED*model 0 lacks the behaviour"])


def test_the_summary_is_a_table_of_all_verdicts_with_a_count(run: Run, suite: Callable[..., None]) -> None:
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
    found.stdout.fnmatch_lines(["*FAILS (as documented)", "XFAIL*FAILS as documented: the margin is too tight"])


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
    found = run("--ace-expected", expected(tmp_path, documented(extra='subject = "one"')))
    assert found.parseoutcomes() == {"xfailed": 1, "failed": 1}


def test_an_entry_for_a_subject_goes_before_one_for_all(run: Run, suite: Callable[..., None], tmp_path: Path) -> None:
    suite(("FAILS", SUFFICIENCY, "one"), ("HOLDS", SUFFICIENCY, "two"))
    entries = documented() + documented(verdicts='["HOLDS"]', extra='subject = "two"')
    assert run("--ace-expected", expected(tmp_path, entries)).parseoutcomes() == {"xfailed": 1, "passed": 1}


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
    "an unknown key": (documented(extra="because = 1"), "because"),
    "a reason of no words": (documented(reason=" "), "reason"),
    "a misspelt table": (documented().replace("[[expected]]", "[[expcted]]"), "expcted"),
    "a value in the tables' place": ("expected = 3", "[[expected]]"),
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
    options = ("--ace-expected", expected(tmp_path, documented(extra='subject = "subject-FAILS"')))
    shared = run("-n", "2", "--ace-json", tmp_path / "two.json", *options)
    alone = run("--ace-json", tmp_path / "one.json", *options)
    check_document(read(tmp_path / "two.json"), list(ALL))
    assert read(tmp_path / "two.json")["results"] == read(tmp_path / "one.json")["results"]
    assert shared.parseoutcomes() == alone.parseoutcomes() == {"passed": 2, "failed": 1, "skipped": 1, "xfailed": 1}
    assert shared.ret == alone.ret

    def table(found: pytest.RunResult) -> list[str]:
        start = next(i for i, line in enumerate(found.outlines) if line.startswith("claim "))
        return found.outlines[start : start + len(ALL) + 4]

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
    assert f"| {TRANSPLANT} | tiny | -0.25 [-0.25, -0.001] |" in table


# --- baselines --------------------------------------------------------------------------------------------------------
@pytest.fixture
def baseline(run: Run, suite: Callable[..., None], tmp_path: Path) -> Path:
    """A baseline with one claim that holds and one that is vacuous."""
    suite("HOLDS", ("VACUOUS", TRANSPLANT))
    path = tmp_path / "baseline.json"
    assert run("--ace-save-baseline", path).ret == pytest.ExitCode.OK
    return path


def doctor(path: Path, **entries: Any) -> None:
    """Change the baseline's entry of the claim that holds."""
    document = read(path)
    (entry,) = [entry for entry in document["results"] if entry["claim"] == SUFFICIENCY]
    entry.update(entries)
    path.write_text(json.dumps(document))


def test_a_run_like_its_baseline_has_no_change(run: Run, baseline: Path) -> None:
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["*compared with the baseline*", "no change"])


def test_a_verdict_worse_than_in_the_baseline_fails_the_run(
    run: Run, suite: Callable[..., None], baseline: Path
) -> None:
    suite("VACUOUS", ("VACUOUS", TRANSPLANT))  # passes by itself
    found = run("--ace-compare", baseline)
    assert found.parseoutcomes() == {"passed": 2}
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines([f"WORSE: {SUFFICIENCY} on tiny: verdict HOLDS -> VACUOUS"])
    found.stdout.no_fnmatch_line(f"*{TRANSPLANT} on tiny:*")


def test_a_value_worse_than_in_the_baseline_fails_the_run(run: Run, baseline: Path) -> None:
    doctor(baseline, estimate=0.5, low=0.4, high=0.6)
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines([f"WORSE: {SUFFICIENCY} on tiny: value 0.5 ?0.4, 0.6? -> -0.001 ?-0.001, 0.002?"])


def test_a_value_or_verdict_better_than_in_the_baseline_is_shown_but_fails_nothing(run: Run, baseline: Path) -> None:
    doctor(baseline, estimate=-0.5, low=-0.6, high=-0.4)
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines([f"changed: {SUFFICIENCY} on tiny: value -0.5 *"])
    doctor(baseline, verdict="FAILS")
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines([f"changed: {SUFFICIENCY} on tiny: verdict FAILS -> HOLDS"])


def test_a_value_that_moved_within_the_intervals_is_no_change(run: Run, baseline: Path) -> None:
    doctor(baseline, estimate=0.1, low=0.001, high=0.2)
    run("--ace-compare", baseline).stdout.fnmatch_lines(["no change"])


def test_claims_that_the_baseline_or_the_run_lacks_are_no_change(
    run: Run, suite: Callable[..., None], baseline: Path
) -> None:
    suite("HOLDS", ("FAILS", SUFFICIENCY, "new"))
    found = run("--ace-compare", baseline)
    found.stdout.fnmatch_lines(["no change"])
    assert found.parseoutcomes() == {"passed": 1, "failed": 1}


def test_a_run_may_be_compared_with_the_baseline_that_it_replaces(run: Run, baseline: Path) -> None:
    doctor(baseline, estimate=0.5, low=0.4, high=0.6)
    found = run("--ace-compare", baseline, "--ace-save-baseline", baseline)
    found.stdout.fnmatch_lines([f"WORSE: {SUFFICIENCY} on tiny: value 0.5*"])
    assert found.ret == pytest.ExitCode.TESTS_FAILED


BAD_BASELINES = {
    "missing": None,
    "no JSON": "{",
    "another schema": '{"schema": 2, "results": []}',
    "no results": '{"schema": 1}',
    "an entry without its fields": '{"schema": 1, "results": [{"claim": "markov.sufficiency", "subject": "tiny"}]}',
    "an entry of an unknown verdict": None,
}


@pytest.mark.parametrize("case", list(BAD_BASELINES))
def test_a_baseline_that_cannot_be_used_is_a_usage_error(run: Run, baseline: Path, case: str) -> None:
    text = BAD_BASELINES[case]
    if text is not None:
        baseline.write_text(text)
    elif case == "missing":
        baseline.unlink()
    else:
        doctor(baseline, verdict="BREAKS")
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-compare: *baseline.json*"])


# --- options and header -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["ace.extract:nothing", "no.such.module:extract", "ace.extract", ":", "ace.extract:EPS"]
)
def test_an_extractor_that_cannot_be_found_is_a_usage_error_before_anything_runs(
    run: Run, suite: Callable[..., None], name: str
) -> None:
    suite("HOLDS")
    found = run("--ace-extractor", name)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-extractor: expected *"])


def test_a_users_extractor_is_the_one_under_test_and_is_checked(run: Run, pytester: pytest.Pytester) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(
        mine="""
        from dataclasses import replace
        from ace.extract import extract_core
        def good(states, sensitivities, *, rank):
            return replace(extract_core(states, sensitivities, rank=rank), task="mine")
        def skewed(states, sensitivities, *, rank):
            core = extract_core(states, sensitivities, rank=rank)
            return replace(core, basis=core.basis * 2)
        """,
        test_it="""
        import torch
        from ace.rank import Fixed
        def test_extractor(extractor):
            rows = torch.randn(9, 4, generator=torch.Generator(), dtype=torch.float64)
            assert extractor(rows, rows, rank=Fixed(2)).task == "mine"
        """,
    )
    assert run().parseoutcomes() == {"failed": 1}  # the project's own names no task
    assert run("--ace-extractor", "mine:good").parseoutcomes() == {"passed": 1}
    found = run("--ace-extractor", "mine:skewed")
    assert found.parseoutcomes() == {"failed": 1}
    found.stdout.fnmatch_lines(["*ExtractorError: extractor: expected an orthonormal basis*"])


def test_an_unknown_scale_is_a_usage_error_from_the_command_line_and_from_the_environment(
    run: Run, suite: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite("HOLDS")
    assert run("--ace-scale", "huge").ret == pytest.ExitCode.USAGE_ERROR
    monkeypatch.setenv("ACE_SCALE", "huge")
    found = run()
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: ACE_SCALE: expected one of compact, paper, got 'huge'"])


@pytest.mark.parametrize("option", ["--ace-json", "--ace-save-baseline"])
def test_a_document_in_a_folder_that_does_not_exist_is_a_usage_error(
    run: Run, suite: Callable[..., None], tmp_path: Path, option: str
) -> None:
    suite("HOLDS")
    found = run(option, tmp_path / "none" / "a.json")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"ERROR: {option}: *none*"])


def test_every_option_has_a_twin_in_the_environment(
    run: Run, suite: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite("FAILS")
    monkeypatch.setenv("ACE_JSON", str(tmp_path / "a.json"))
    monkeypatch.setenv("ACE_EXPECTED", str(expected(tmp_path, documented())))
    monkeypatch.setenv("ACE_SCALE", "paper")
    monkeypatch.setenv("ACE_RETRAIN", "1")
    found = run()
    found.stdout.fnmatch_lines(["ace: scale paper, weights trained anew,*"])
    assert found.parseoutcomes() == {"xfailed": 1}
    assert len(read(tmp_path / "a.json")["results"]) == 1


@pytest.mark.parametrize("value", ["", "0"])
def test_an_empty_or_zero_switch_in_the_environment_is_off(
    run: Run, suite: Callable[..., None], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    suite("HOLDS")
    monkeypatch.setenv("ACE_RETRAIN", value)
    run().stdout.fnmatch_lines(["ace: * weights stored,*"])


def test_the_header_names_scale_weights_device_extractor_and_versions(run: Run, suite: Callable[..., None]) -> None:
    suite("HOLDS")
    run().stdout.fnmatch_lines(
        [
            "ace: scale compact and paper, weights stored, device cpu, extractor ace.extract:extract_core",
            "ace: torch *, numpy *, scipy *",
        ]
    )
    options = (
        "--ace-scale",
        "compact",
        "--ace-device",
        "cuda",
        "--ace-retrain",
        "--ace-extractor",
        "ace.extract:extract_core",
    )
    run(*options).stdout.fnmatch_lines(["ace: scale compact, weights trained anew, device cuda, *"])


def test_the_options_stand_in_the_help_with_their_twins(run: Run) -> None:
    text = run("--help").stdout.str()
    for option in (
        "scale",
        "retrain",
        "device",
        "cache",
        "extractor",
        "json",
        "report",
        "save-baseline",
        "compare",
        "expected",
    ):
        assert f"--ace-{option}" in text
        assert f"ACE_{option.replace('-', '_').upper()}]" in text.replace("\n", "").replace(" ", "")


# --- selection --------------------------------------------------------------------------------------------------------
PARAMETRISED = """
import pytest
from ace.plugin import parametrize_claims
def pytest_generate_tests(metafunc):
    parametrize_claims(metafunc, {"subject": ("compact", "paper"), "single": ()})
@pytest.fixture
def subject(request):
    return request.param
@pytest.fixture
def single(request):
    return request.param
"""
CLAIM_TESTS = """
import pytest
@pytest.mark.claim("markov.spectrum")
def test_a(subject, claim): assert claim == "markov.spectrum"
@pytest.mark.claim("markov.rank")
def test_b(subject, claim): assert claim == "markov.rank"
@pytest.mark.claim("markov.low_rank")
def test_c(single, claim): assert claim == "markov.low_rank"
def test_d(): pass
"""


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        (
            (),
            [
                "markov.spectrum-compact",
                "markov.spectrum-paper",
                "markov.rank-compact",
                "markov.rank-paper",
                "markov.low_rank",
                "",
            ],
        ),
        (("-k", "markov.spectrum"), ["markov.spectrum-compact", "markov.spectrum-paper"]),
        (("-k", "markov.spectrum-paper"), ["markov.spectrum-paper"]),
        (
            ("-k", "markov"),
            [
                "markov.spectrum-compact",
                "markov.spectrum-paper",
                "markov.rank-compact",
                "markov.rank-paper",
                "markov.low_rank",
            ],
        ),
        (("--ace-scale", "compact"), ["markov.spectrum-compact", "markov.rank-compact", "markov.low_rank", ""]),
        (("-m", "paper_scale"), ["markov.spectrum-paper", "markov.rank-paper"]),
    ],
    ids=str,
)
def test_claims_are_selected_by_id_and_scale(
    run: Run, pytester: pytest.Pytester, options: tuple[str, ...], selected: list[str]
) -> None:
    pytester.makeconftest(PARAMETRISED)
    pytester.makepyfile(test_claims=CLAIM_TESTS)
    found = run("--strict-markers", *options)
    assert found.ret == pytest.ExitCode.OK
    passed = [line for line in found.outlines if line.startswith("PASSED")]
    assert sorted(line.partition("[")[2].rstrip("]") for line in passed) == sorted(selected)


def test_gpu_tests_are_skipped_with_a_reason_where_there_is_none(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.gpu\ndef test_gpu(): pass\ndef test_cpu(): pass\n")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = run("--strict-markers")
    assert found.parseoutcomes() == {"passed": 1, "skipped": 1}
    found.stdout.fnmatch_lines(["SKIPPED*needs a CUDA device; torch sees none"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert run("--strict-markers").parseoutcomes() == {"passed": 2}
