"""Baselines, seen from outside: what fails a run that is compared with one, the words, exit codes, and what is kept.

Each test runs pytest on a few generated tests that settle ready-made verdicts, so that nothing is measured.
"""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ace.errors import ArtifactError
from ace.exits import CHANGED, NOTHING_COMPARED
from ace.plugin.extent import Extent
from ace.report import record
from ace.report.baseline import read_baseline
from invariants.contracts.builders import verdict
from invariants.contracts.runs import SUFFICIENCY, TRANSPLANT, Run, documented, expected, read

pytest_plugins = ["pytester"]

Suite = Callable[..., None]
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])


@pytest.fixture
def baseline(run: Run, suite: Suite, tmp_path: Path) -> Path:
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


def doctor_value(path: Path, value: float, low: float, high: float, **entries: Any) -> None:
    """Give the claim that holds another value, the same in both seeds."""
    each = {"values": [value] * 2, "intervals": [[low, high]] * 2, "confidences": [0.95] * 2}
    doctor(path, estimate=value, low=low, high=high, **each, **entries)


# --- what fails -------------------------------------------------------------------------------------------------------
def test_a_run_like_its_baseline_has_no_change(run: Run, baseline: Path) -> None:
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["*compared with the baseline*", "no change", "claims: 2 the same"])


@WORKERS
def test_a_claim_that_regressed_fails_its_test_with_the_reason(
    run: Run, suite: Suite, baseline: Path, workers: tuple[str, ...]
) -> None:
    suite("VACUOUS", ("VACUOUS", TRANSPLANT))  # passes by itself
    found = run("--ace-compare", baseline, *workers)
    assert found.parseoutcomes() == {"passed": 1, "failed": 1}
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    text = f"{SUFFICIENCY} on tiny: HOLDS -> VACUOUS, true of a control as well now*"
    found.stdout.fnmatch_lines(["*regressed since the baseline: HOLDS -> VACUOUS, *", f"regressed: {text}"])
    found.stdout.no_fnmatch_line(f"*{TRANSPLANT} on tiny:*")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("FAILS", "refuted: value in 1 *"),
        ("INAPPLICABLE", "cannot be put to the model any more: model 0 lacks the behaviour"),
    ],
)
def test_words_tell_how_a_claim_was_lost(run: Run, suite: Suite, baseline: Path, status: str, words: str) -> None:
    suite(status, ("VACUOUS", TRANSPLANT))
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    assert found.parseoutcomes() == {"passed": 1, "failed": 1}
    found.stdout.fnmatch_lines([f"regressed: {SUFFICIENCY} on tiny: HOLDS -> {status}, {words}"])


@pytest.mark.parametrize("status", ["FAILS", "UNDECIDED"])
def test_an_undocumented_verdict_that_the_baseline_has_too_fails_nothing(
    run: Run, suite: Suite, tmp_path: Path, status: str
) -> None:
    suite(status, ("HOLDS", TRANSPLANT))
    base = tmp_path / "base.json"
    assert run("--ace-save-baseline", base).ret == pytest.ExitCode.TESTS_FAILED
    found = run("--ace-compare", base)
    assert found.ret == pytest.ExitCode.OK
    assert found.parseoutcomes() == {"xfailed": 1, "passed": 1}
    found.stdout.fnmatch_lines(["no change", f"*{status}, beside the baseline: the same*"])


def test_a_documented_verdict_must_come_beside_a_baseline_too(run: Run, baseline: Path, tmp_path: Path) -> None:
    found = run("--ace-compare", baseline, "--ace-expected", expected(tmp_path, documented()))
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["*documented as FAILS (seen), but*", "no change"])


# --- what does not ----------------------------------------------------------------------------------------------------
def test_a_value_that_moved_is_told_and_fails_a_strict_comparison_alone(run: Run, baseline: Path) -> None:
    doctor_value(baseline, 0.5, 0.4, 0.6)
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    values = "value in 0 0.5 [[]0.4, 0.6[]] -> -0.001 [[]-0.001, -0.001[]], * towards *"
    found.stdout.fnmatch_lines([f"moved: {SUFFICIENCY} on tiny: {values}; still HOLDS"])
    found.stdout.no_fnmatch_line("no change")
    assert run("--ace-compare", baseline, "--ace-strict").ret == CHANGED


def test_a_value_or_verdict_better_than_in_the_baseline_fails_nothing(run: Run, baseline: Path) -> None:
    doctor_value(baseline, -0.5, -0.6, -0.4)
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines([f"moved: {SUFFICIENCY} on tiny: value in 0 -0.5 *farther inside its bound*"])
    doctor(baseline, verdict="FAILS")
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines([f"improved: {SUFFICIENCY} on tiny: FAILS -> HOLDS: *"])
    assert run("--ace-compare", baseline, "--ace-strict").ret == CHANGED


def test_a_verdict_that_tips_with_values_within_their_tolerance_refutes_nothing(run: Run, baseline: Path) -> None:
    """A claim on the edge of its bound, as rounding leaves it."""
    doctor_value(baseline, -0.009, -0.03, 0.01, verdict="UNDECIDED")
    found = run("--ace-compare", baseline)
    found.stdout.fnmatch_lines([f"tipped: {SUFFICIENCY} on tiny: UNDECIDED -> HOLDS with all values within*"])
    assert found.ret == pytest.ExitCode.OK
    assert run("--ace-compare", baseline, "--ace-strict").ret == CHANGED


def test_a_value_within_the_intervals_is_no_change(run: Run, baseline: Path) -> None:
    doctor_value(baseline, 0.1, -0.05, 0.2)
    found = run("--ace-compare", baseline, "--ace-strict")
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["no change", "claims: 1 the same, 1 within the tolerance"])


def test_another_bound_refutes_nothing(run: Run, suite: Suite, baseline: Path) -> None:
    doctor(baseline, bound_rule=">= -0.5")
    suite("FAILS", ("VACUOUS", TRANSPLANT))
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines([f"moved: {SUFFICIENCY} on tiny: judged by another bound, >= -0.01, not >= -0.5: *"])


def test_strictness_without_a_baseline_is_a_usage_error(run: Run, suite: Suite) -> None:
    suite("HOLDS")
    found = run("--ace-strict")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-strict: expected with --ace-compare and only there"])


# --- without a counterpart --------------------------------------------------------------------------------------------
def test_results_that_the_baseline_or_the_run_lacks_are_named(run: Run, suite: Suite, baseline: Path) -> None:
    suite("HOLDS", ("FAILS", SUFFICIENCY, "new"))
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.OK
    assert found.parseoutcomes() == {"passed": 1, "xfailed": 1}
    found.stdout.fnmatch_lines(
        ["no change", f"not in the baseline: new: {SUFFICIENCY}", f"not in this run: tiny: {TRANSPLANT}"]
    )
    assert run("--ace-compare", baseline, "--ace-strict").ret == CHANGED


def test_a_comparison_with_nothing_in_common_is_an_error(run: Run, suite: Suite, baseline: Path) -> None:
    suite(("HOLDS", SUFFICIENCY, "/models/ckpt-200"))
    found = run("--ace-compare", baseline)
    assert found.parseoutcomes() == {"passed": 1}
    assert found.ret == NOTHING_COMPARED
    found.stdout.fnmatch_lines(
        [
            "ERROR: nothing to compare*",
            f"not in the baseline: /models/ckpt-200: {SUFFICIENCY}",
            f"not in this run: tiny: {SUFFICIENCY}, {TRANSPLANT}",
        ]
    )
    found.stdout.no_fnmatch_line("no change")


def test_a_comparison_of_a_run_that_measures_nothing_is_an_error(
    run: Run, pytester: pytest.Pytester, baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_claims="def test_nothing(): pass")
    found = run("--ace-compare", baseline)
    assert found.ret == NOTHING_COMPARED
    found.stdout.fnmatch_lines(["ERROR: nothing to compare*"])
    assert run("--ace-compare", baseline, "--collect-only").ret == pytest.ExitCode.OK
    monkeypatch.setenv("ACE_COMPARE", str(baseline))  # of the environment, and maybe meant for another run
    assert run().ret == pytest.ExitCode.OK


# --- partial baselines ------------------------------------------------------------------------------------------------
@WORKERS
def test_a_baseline_of_a_narrowed_run_says_so_in_the_file_and_in_words(
    run: Run, suite: Suite, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    suite("HOLDS", ("VACUOUS", TRANSPLANT))
    base = tmp_path / "base.json"
    found = run("--ace-save-baseline", base, "-k", "HOLDS", *workers)
    assert found.ret == pytest.ExitCode.OK
    reason = "1 of 2 claims were deselected (-k 'HOLDS')"
    assert read(base)["run"] == {"complete": False, "because": [reason]}
    found.stdout.fnmatch_lines([f"ace: *base.json is a partial baseline, and says so: {reason}"])
    compared = run("--ace-compare", base)
    compared.stdout.fnmatch_lines(
        [f"the baseline is partial: {reason}", "no change", f"not in the baseline: tiny: {TRANSPLANT}"]
    )


def test_a_baseline_of_single_tests_says_so(run: Run, suite: Suite, tmp_path: Path) -> None:
    suite("HOLDS", ("VACUOUS", TRANSPLANT))
    base = tmp_path / "base.json"
    run("--ace-save-baseline", base, "test_claims.py::test_HOLDS_0")
    assert read(base)["run"]["because"] == ["single tests were chosen (test_claims.py::test_HOLDS_0)"]


def test_a_complete_baseline_says_that_it_is(baseline: Path) -> None:
    assert read(baseline)["run"] == {"complete": True, "because": []}


STOPPED = """
import pytest
@pytest.fixture(autouse=True)
def stop(request):
    if "VACUOUS" in request.node.name:
        raise {error}
"""
ENDS = {
    "by the keyboard": (
        "KeyboardInterrupt",
        (),
        ["it was interrupted", "1 of 2 claims gave no result: test_VACUOUS_1"],
    ),
    "at the first failure": (
        "OSError",
        ("-x",),
        ["stopping after 1 failures", "1 of 2 claims gave no result: test_VACUOUS_1"],
    ),
    "by an error": ("OSError", (), ["1 of 2 claims gave no result: test_VACUOUS_1"]),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_baseline_of_a_run_that_ended_early_says_so_and_replaces_no_complete_one(
    run: Run, baseline: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    error, options, reasons = ENDS[end]
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # the generated tests import from `invariants`
    pytester.makeconftest(STOPPED.format(error=error))
    before, words = baseline.read_bytes(), (f"--ace-save-baseline={baseline}", "-p", "no:cacheprovider", *options)
    found = pytester.runpytest_subprocess(*words)  # a process of its own: the interruption is meant for that
    assert found.ret != pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["ERROR: --ace-save-baseline: * has a complete run and stays as it is*"])
    assert baseline.read_bytes() == before
    baseline.unlink()
    pytester.runpytest_subprocess(*words)
    assert read(baseline)["run"] == {"complete": False, "because": reasons}


def test_what_gave_no_result_is_named_and_of_many_the_first() -> None:
    tests = [f"a.py::test_claim[core.rank-{letter}::1]" for letter in "abcdefghij"]
    extent = Extent(selected={*tests, "a.py::test_other"})
    assert extent.record(tests)["because"] == ["1 of 11 claims gave no result: test_other"]
    (reason,) = extent.record(["a.py::test_other"])["because"]
    assert reason.startswith("10 of 11 claims gave no result: core.rank-a::1, core.rank-b::1, ")
    assert reason.endswith(", core.rank-h::1, 2 more")


@WORKERS
def test_a_narrowed_run_does_not_begin_to_replace_a_complete_baseline(
    run: Run, baseline: Path, workers: tuple[str, ...]
) -> None:
    before = baseline.read_bytes()
    found = run("--ace-save-baseline", baseline, "-k", "HOLDS", *workers)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-save-baseline: * has a complete run, and this one would be partial: *"])
    assert "passed" not in found.stdout.str()
    assert baseline.read_bytes() == before


def test_a_baseline_that_claims_regressed_from_is_not_replaced(run: Run, suite: Suite, baseline: Path) -> None:
    """A nightly run that is compared with the baseline that it writes would fail one night only."""
    before = baseline.read_bytes()
    suite("FAILS", ("VACUOUS", TRANSPLANT))
    found = run("--ace-compare", baseline, "--ace-save-baseline", baseline)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["ace: *baseline.json stays as it is: claims regressed since it was written"])
    assert baseline.read_bytes() == before
    suite("HOLDS", ("VACUOUS", TRANSPLANT), ("HOLDS", SUFFICIENCY, "new"))
    assert run("--ace-compare", baseline, "--ace-save-baseline", baseline).ret == pytest.ExitCode.OK
    assert len(read(baseline)["results"]) == 3


def save_and_compare(run: Run, baseline: Path) -> pytest.RunResult:
    """A nightly run that is compared with the file that it writes, by two names of it."""
    return run(
        "--ace-compare", baseline, "--ace-save-baseline", baseline.parent / ".." / baseline.parent.name / baseline.name
    )


def test_a_baseline_that_has_nothing_in_common_with_a_run_is_not_replaced(
    run: Run, suite: Suite, baseline: Path
) -> None:
    before = baseline.read_bytes()
    suite(("HOLDS", SUFFICIENCY, "/models/ckpt-200"), ("HOLDS", TRANSPLANT, "/models/ckpt-200"))
    found = save_and_compare(run, baseline)
    assert found.ret == NOTHING_COMPARED
    found.stdout.fnmatch_lines(
        ["ace: *baseline.json stays as it is: no claim was measured on the same subject in both"]
    )
    assert baseline.read_bytes() == before


def test_verdicts_do_not_get_worse_by_steps_that_are_each_excused(run: Run, suite: Suite, baseline: Path) -> None:
    """HOLDS tips to UNDECIDED, and that to FAILS, with values within their tolerance each time."""
    before = baseline.read_bytes()
    suite("UNDECIDED", ("VACUOUS", TRANSPLANT))
    found = save_and_compare(run, baseline)
    assert found.ret == pytest.ExitCode.OK
    kept = f"ace: *baseline.json stays as it is: to a worse verdict tipped {SUFFICIENCY} on tiny"
    found.stdout.fnmatch_lines([f"tipped: {SUFFICIENCY} on tiny: HOLDS -> UNDECIDED *", kept])
    assert baseline.read_bytes() == before
    assert run("--ace-compare", baseline, "--ace-save-baseline", baseline.with_name("other.json")).ret == 0
    assert baseline.with_name("other.json").exists()  # what is compared with is not lost by that


def test_a_verdict_that_tips_to_a_better_one_is_kept_in_the_baseline(run: Run, suite: Suite, baseline: Path) -> None:
    suite("UNDECIDED", ("VACUOUS", TRANSPLANT))
    baseline.unlink()
    run("--ace-save-baseline", baseline)
    suite("HOLDS", ("VACUOUS", TRANSPLANT))
    found = save_and_compare(run, baseline)
    found.stdout.fnmatch_lines([f"tipped: {SUFFICIENCY} on tiny: UNDECIDED -> HOLDS *"])
    assert [entry["verdict"] for entry in read(baseline)["results"]] == ["HOLDS", "VACUOUS"]


# --- fingerprints -----------------------------------------------------------------------------------------------------
FINGERPRINT = {"task": "agreement", "task_digest": "1" * 64, "weights": "2" * 64, "dtype": "float32", "threads": 1}
KNOWN = """
import pytest
from dataclasses import replace
from invariants.contracts.builders import verdict
@pytest.mark.ace_claim("markov.sufficiency")
def test_it(ace_claim, ace_settle):
    ace_settle(replace(verdict("HOLDS", identifier=ace_claim, subject="tiny"), fingerprint={fingerprint}))
"""


@pytest.fixture
def known(run: Run, pytester: pytest.Pytester, tmp_path: Path) -> Path:
    """A baseline of a subject whose fingerprint is known."""
    pytester.makepyfile(test_claims=KNOWN.format(fingerprint=FINGERPRINT))
    run("--ace-save-baseline", tmp_path / "known.json")
    return tmp_path / "known.json"


def test_a_document_has_environment_and_fingerprint_of_each_subject_once(known: Path) -> None:
    found = read(known)
    assert found["subjects"] == {"tiny": FINGERPRINT}
    assert "fingerprint" not in found["results"][0]
    assert {"python", "machine", "versions", "scale", "extractor"} <= set(found["environment"])


def test_a_comparison_says_what_differs(run: Run, pytester: pytest.Pytester, known: Path) -> None:
    other = {**FINGERPRINT, "weights": "3" * 64, "dtype": "bfloat16"}
    pytester.makepyfile(test_claims=KNOWN.format(fingerprint=other))
    document = read(known)
    document["environment"]["versions"]["torch"] = "1.0"
    known.write_text(json.dumps(document))
    found = run("--ace-compare", known)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(
        [
            "environment differs: torch 1.0 -> *",
            "tiny differs: weights 222222222222 -> 333333333333, dtype float32 -> bfloat16",
            "no change",
        ]
    )


@pytest.mark.parametrize(
    ("entry", "words", "workers"),
    [
        ({"task": "pairs"}, "tiny was asked agreement and is asked pairs now", ()),
        ({"task": "pairs"}, "tiny was asked agreement and is asked pairs now", ("-n", "2")),
        ({"task_digest": "4" * 64}, "tiny was asked other prompts or sequences of agreement than now", ()),
    ],
)
def test_another_task_is_a_usage_error(
    run: Run, pytester: pytest.Pytester, known: Path, entry: dict[str, str], words: str, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_claims=KNOWN.format(fingerprint={**FINGERPRINT, **entry}))
    found = run("--ace-compare", known, *workers)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"ERROR: --ace-compare: *known.json: {words}*"])


def test_a_baseline_without_fingerprints_is_compared_all_the_same(run: Run, known: Path) -> None:
    document = read(known)
    for name in ("subjects", "run", "environment"):
        del document[name]
    for result in document["results"]:
        for name in ("confidences", "control_intervals"):
            del result[name]
    known.write_text(json.dumps(document))
    found = run("--ace-compare", known)
    assert found.ret == pytest.ExitCode.OK
    found.stdout.fnmatch_lines(["no change"])


# --- for machines -----------------------------------------------------------------------------------------------------
@WORKERS
def test_a_junit_file_has_the_properties_of_every_result(
    run: Run, suite: Suite, baseline: Path, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    suite("FAILS", ("INAPPLICABLE", TRANSPLANT))
    run("--ace-compare", baseline, "--junitxml", tmp_path / "junit.xml", *workers)
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    failed, skipped = (
        {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        for case in sorted(cases, key=lambda case: str(case.get("name")))
    )
    assert (failed["ace_claim"], failed["ace_subject"], failed["ace_verdict"]) == (SUFFICIENCY, "tiny", "FAILS")
    assert (failed["ace_estimate"], failed["ace_bound"]) == ("-0.25", ">= -0.01")
    assert failed["ace_interval"] == "[-0.25, -0.001]"
    assert str(failed["ace_compared"]).startswith("regressed: HOLDS -> FAILS, refuted: ")
    assert skipped["ace_verdict"] == "INAPPLICABLE"
    assert "ace_estimate" not in skipped
    assert "ace_results" not in failed


TWICE = """
import pytest
from invariants.contracts.builders import verdict

@pytest.mark.ace_claim("markov.sufficiency")
def test_it(request, ace_claim, ace_settle):
    request.node.user_properties.append(("mine", "kept"))
    for status, subject in (("INAPPLICABLE", "one"), ("VACUOUS", "two"), ("HOLDS", "one")):
        try:
            ace_settle(verdict(status, identifier=ace_claim, subject=subject))
        except pytest.skip.Exception:
            pass
"""


def test_a_junit_file_has_no_properties_of_a_result_that_was_replaced(
    run: Run, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(test_claims=TWICE)
    run("--junitxml", tmp_path / "junit.xml", "--ace-json", tmp_path / "all.json")
    found = [
        (entry.get("name"), entry.get("value"))
        for entry in ElementTree.parse(tmp_path / "junit.xml").getroot().iter("property")
    ]
    assert ("mine", "kept") in found
    assert sorted(str(value) for name, value in found if name == "ace_verdict") == ["HOLDS", "VACUOUS"]
    assert sorted(str(value) for name, value in found if name == "ace_subject") == ["one", "two"]
    assert [entry["verdict"] for entry in read(tmp_path / "all.json")["results"]] == ["HOLDS", "VACUOUS"]


def test_the_json_document_has_the_comparison(run: Run, suite: Suite, baseline: Path, tmp_path: Path) -> None:
    suite("FAILS", ("VACUOUS", TRANSPLANT))
    run("--ace-compare", baseline, "--ace-json", tmp_path / "all.json")
    rows = read(tmp_path / "all.json")["comparison"]["rows"]
    assert [(row["claim"], row["outcome"]) for row in rows] == [(SUFFICIENCY, "regressed"), (TRANSPLANT, "same")]


def test_a_report_tells_the_comparison_in_words(run: Run, suite: Suite, baseline: Path, tmp_path: Path) -> None:
    suite("FAILS", ("VACUOUS", TRANSPLANT))
    run("--ace-compare", baseline, "--ace-report", tmp_path / "report")
    for name in ("report.md", "report.html"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert not re.search(r"(?:\{|&#123;)(?:'|&#39;)claim", text)
        assert text.index("Compared with the baseline") < text.index("regressed") < text.index("outside the bound")


BAD_BASELINES = {
    "missing": None,
    "no JSON": "{",
    "another schema": '{"schema": 2, "results": []}',
    "no results": '{"schema": 1}',
    "an entry without its fields": '{"schema": 1, "results": [{"claim": "markov.sufficiency", "subject": "tiny"}]}',
    "an entry of an unknown verdict": None,
    "no environment": '{"schema": 1, "environment": null, "results": []}',
    "no run": '{"schema": 1, "run": null, "results": []}',
    "no subjects": '{"schema": 1, "subjects": null, "results": []}',
    "a value that is a text": None,
}


@pytest.mark.parametrize("case", list(BAD_BASELINES))
def test_a_baseline_that_cannot_be_used_is_a_usage_error(run: Run, baseline: Path, case: str) -> None:
    text = BAD_BASELINES[case]
    if text is not None:
        baseline.write_text(text)
    elif case == "missing":
        baseline.unlink()
    elif case == "a value that is a text":
        doctor(baseline, values=["-0.001", 0.002])
    else:
        doctor(baseline, verdict="BREAKS")
    found = run("--ace-compare", baseline)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-compare: *baseline.json*"])


def stored(folder: Path, **entries: Any) -> Path:
    """A baseline of one claim, with entries of its document or of its result changed."""
    row = {"control": "the rest", "seed": "0", "as good": 0, "draws": 199}
    whole = record.document([{**record.result(verdict("HOLDS")), "rest": [row]}], run={"complete": True, "because": []})
    for name, value in entries.items():
        (whole["results"][0] if name in whole["results"][0] else whole)[name] = value
    path = folder / "baseline.json"
    path.write_text(json.dumps(whole))
    return path


def test_a_baseline_is_read_as_it_was_written_but_for_what_nothing_is_compared_by(tmp_path: Path) -> None:
    found = read_baseline(stored(tmp_path))
    whole = read(tmp_path / "baseline.json")
    assert found["run"] == whole["run"]
    assert found["results"][0].items() < whole["results"][0].items()
    assert "details" not in found["results"][0]


WRONG_KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "versions": ({"environment": {"versions": None}}, "environment.versions: expected an object, got None"),
    "fingerprints": ({"subjects": {"tiny": 1}}, "subjects: expected an object, each entry an object, got {'tiny': 1}"),
    "reasons": ({"run": {"complete": False, "because": None}}, "run.because: expected a list, each a text, got None"),
    "subject": ({"subject": ["tiny"]}, "results[0].subject: expected a text, got ['tiny']"),
    "values": ({"values": 1.0}, "results[0].values: expected a list, each a finite number or null, got 1.0"),
    "no number": ({"estimate": math.nan}, "results[0].estimate: expected a finite number or null, got nan"),
    "a number without end": ({"low": 10**400}, "results[0].low: expected a finite number or null, got 1000"),
    "one end": ({"intervals": [[0, 1], [1]]}, "results[0].intervals: expected a list, each two ends, got"),
    "confidence": ({"confidences": [0.95, 1]}, "results[0].confidences: expected a list, each a number between 0 and"),
    "control": ({"controls": {"a": "0"}}, "results[0].controls: expected an object, each entry a finite number or"),
    "places": ({"control_places": None}, "results[0].control_places: expected an object, each entry a text, got"),
    "values of a control": ({"control_values": {"a": 1}}, "results[0].control_values: expected an object, each entry"),
    "ends of a control": ({"control_intervals": {"a": [1]}}, "results[0].control_intervals: expected an object, each"),
    "rest": ({"rest": [{"control": "a", "seed": "0", "as good": 3, "draws": 2}]}, "results[0].rest: expected a list"),
}


@pytest.mark.parametrize("case", WRONG_KINDS)
def test_a_baseline_with_an_entry_of_another_kind_is_refused_by_its_name(tmp_path: Path, case: str) -> None:
    entries, words = WRONG_KINDS[case]
    path = stored(tmp_path, **entries)
    with pytest.raises(ArtifactError) as caught:
        read_baseline(path)
    assert str(caught.value).startswith(f"{path}: {words}")
