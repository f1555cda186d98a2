"""The pytest interface under pytest-xdist, and of tests that run more than once or end the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from invariants.contracts.runs import SUFFICIENCY, Run, read

pytest_plugins = ["pytester"]

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])


# --- usage errors -----------------------------------------------------------------------------------------------------
@WORKERS
@pytest.mark.parametrize("place", ["a fixture", "a test", "the making of tests"])
def test_what_is_found_impossible_during_the_run_is_a_usage_error(
    run: Run, pytester: pytest.Pytester, place: str, workers: tuple[str, ...]
) -> None:
    call = 'refuse(request.config, "--ace-model: no tokenizer")'
    pytester.makepyfile(
        f"""
        import pytest
        from ace.plugin import refuse
        @pytest.fixture
        def subject(request):
            {call if place == "a fixture" else "pass"}
        @pytest.mark.parametrize("number", range(4))
        def test_it(subject, request, number):
            {call if place == "a test" else "pass"}
        def test_other(): pass
        """
    )
    if place == "the making of tests":
        pytester.makeconftest(
            """
            from ace.plugin import refuse
            def pytest_generate_tests(metafunc):
                refuse(metafunc.config, "--ace-model: no tokenizer")
            """
        )
    found = run(*workers)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert found.stderr.str().count("ERROR: --ace-model: no tokenizer") == 1
    assert "INTERNALERROR" not in found.stdout.str() + found.stderr.str()


def test_workers_take_over_what_was_read_and_checked(run: Run, pytester: pytest.Pytester, tmp_path: Path) -> None:
    """A file that is gone once the workers start shows that they do not read it again."""
    baseline = tmp_path / "baseline.json"
    baseline.write_text('{"schema": 1, "results": []}')
    pytester.makepyfile("def test_it(ace_extractor): pass")
    pytester.makeconftest(
        f"""
        import pathlib, shutil
        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                pathlib.Path({str(baseline)!r}).unlink()
                shutil.rmtree({str(tmp_path / "out")!r})
        """
    )
    (tmp_path / "out").mkdir()
    found = run(f"--ace-compare={baseline}", f"--ace-json={tmp_path / 'out' / 'a.json'}", "-n", "2")
    assert found.parseoutcomes() == {"passed": 1}
    found.stdout.fnmatch_lines(["ERROR: nothing to compare*"])


# --- who runs what ----------------------------------------------------------------------------------------------------
GROUPED = """
import os, pathlib, pytest
class Subject:
    def __init__(self, name, group): self.name, self.group = name, group
SUBJECTS = [Subject(f"{group}-{number}", group) for number in range(3) for group in ("a", "b", "c")]
@pytest.mark.ace_claim("markov.sufficiency")
@pytest.mark.parametrize("ace_subject", SUBJECTS, ids=lambda subject: subject.name)
def test_claim(ace_subject):
    pathlib.Path(f"{ace_subject.name}.{os.environ['PYTEST_XDIST_WORKER']}").touch()
@pytest.mark.parametrize("number", range(9))
def test_other(number): pass
"""


@pytest.mark.parametrize("distribution", ["load", "loadgroup"])
def test_tests_of_one_group_stay_on_one_worker(run: Run, pytester: pytest.Pytester, distribution: str) -> None:
    pytester.makeini("[pytest]\nace_fixtures = .\n")
    pytester.makepyfile(GROUPED)
    found = run("--strict-markers", "-n", "2", "-v", "--dist", distribution)
    assert found.parseoutcomes() == {"passed": 18}
    found.stdout.fnmatch_lines(["scheduling tests via SubjectScheduling"])
    for group in "abc":
        assert len({path.suffix for path in pytester.path.glob(f"{group}-?.gw?")}) == 1
    assert len(list(pytester.path.glob("*.gw?"))) == 9


@pytest.mark.parametrize("distribution", ["load", "worksteal", "loadfile"])
def test_the_distribution_of_a_run_without_subjects_is_left_alone(
    run: Run, pytester: pytest.Pytester, distribution: str
) -> None:
    if distribution != "load":  # what a user chooses stands, subjects or not
        pytester.makeini("[pytest]\nace_fixtures = .\n")
    pytester.makepyfile("def test_a(): pass\ndef test_b(): pass")
    names = {"load": "LoadScheduling", "worksteal": "WorkStealingScheduling", "loadfile": "LoadFileScheduling"}
    found = run("-n", "2", "-v", "--dist", distribution)
    found.stdout.fnmatch_lines([f"scheduling tests via {names[distribution]}"])


# --- tests that run again ---------------------------------------------------------------------------------------------
UNSTEADY = """
import pytest
from invariants.contracts.builders import verdict
STATUSES = iter(["FAILS", "UNDECIDED", "HOLDS"])
@pytest.mark.ace_claim("markov.sufficiency")
def test_it(ace_claim, ace_settle):
    ace_settle(verdict(next(STATUSES), identifier=ace_claim, subject="tiny"))
"""
AGAIN = """
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(3):
        runtestprotocol(item, nextitem=nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


def check_last_outcome(found: pytest.RunResult, record: Path) -> None:
    (result,) = read(record)["results"]
    assert result["verdict"] == "HOLDS"
    found.stdout.fnmatch_lines(["verdicts: 1 HOLDS"])


def test_a_test_that_is_reported_more_than_once_is_recorded_as_it_came_out_last(
    run: Run, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(UNSTEADY)
    pytester.makeconftest(AGAIN)
    check_last_outcome(run(f"--ace-json={tmp_path / 'a.json'}"), tmp_path / "a.json")


@WORKERS
def test_a_test_that_is_rerun_is_recorded_as_it_came_out_last(
    run: Run, pytester: pytest.Pytester, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    pytest.importorskip("pytest_rerunfailures")
    pytester.makepyfile(UNSTEADY)
    found = run("--reruns=2", f"--ace-json={tmp_path / 'a.json'}", *workers)
    assert found.ret == pytest.ExitCode.OK
    check_last_outcome(found, tmp_path / "a.json")


def test_a_last_run_that_settles_nothing_leaves_no_result(
    run: Run, pytester: pytest.Pytester, suite: Callable[..., None], tmp_path: Path
) -> None:
    suite(("HOLDS", SUFFICIENCY, "steady"))
    pytester.makepyfile(UNSTEADY.replace('"UNDECIDED", "HOLDS"', '"HOLDS"'))
    pytester.makeconftest(AGAIN)
    run(f"--ace-json={tmp_path / 'a.json'}")
    assert [result["subject"] for result in read(tmp_path / "a.json")["results"]] == ["steady"]
