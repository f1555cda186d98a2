"""The pytest interface, seen from outside: options and their checks, header, selection, commands, foreign tests."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ace.plugin import Options
from invariants.contracts.runs import Run, documented, expected, read

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


# --- values -----------------------------------------------------------------------------------------------------------
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
        def test_extractor(ace_extractor):
            rows = torch.randn(9, 4, generator=torch.Generator(), dtype=torch.float64)
            assert ace_extractor(rows, rows, rank=Fixed(2)).task == "mine"
        """,
    )
    assert run().parseoutcomes() == {"failed": 1}  # the project's own names no task
    assert run("--ace-extractor", "mine:good").parseoutcomes() == {"passed": 1}
    found = run("--ace-extractor", "mine:skewed")
    assert found.parseoutcomes() == {"failed": 1}
    found.stdout.fnmatch_lines(["*ExtractorError: extractor: expected an orthonormal basis*"])


def test_verdicts_documented_in_the_ini_file_are_of_the_projects_own_extractor(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine="from ace import extract_core")
    pytester.makefile(
        ".toml", own='[[expected]]\nclaim = "toy.none"\nsubject = "x"\nverdicts = ["FAILS"]\nreason = "r"\n'
    )
    pytester.makeini("[pytest]\nace_expected = own.toml\n")
    pytester.makepyfile("def test_it(ace_extractor): pass")
    refused = pytester.runpytest_subprocess()
    refused.stderr.fnmatch_lines(["*ace_expected: no claim toy.none*"])
    assert pytester.runpytest_subprocess("--ace-extractor=mine:extract_core").parseoutcomes() == {"passed": 1}
    given = pytester.runpytest_subprocess("--ace-extractor=mine:extract_core", "--ace-expected=own.toml")
    given.stderr.fnmatch_lines(["*--ace-expected: no claim toy.none*"])


def test_an_unknown_scale_is_a_usage_error_from_the_command_line_and_from_the_environment(
    run: Run, suite: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite("HOLDS")
    found = run("--ace-scale", "huge")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: --ace-scale: expected one of compact, paper, got 'huge'"])
    monkeypatch.setenv("ACE_SCALE", "huge")
    found = run()
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: ACE_SCALE: expected one of compact, paper, got 'huge'"])


WRONG = {
    "--ace-dtype=float12": "--ace-dtype: expected one of auto, *, got 'float12'",
    "--ace-device=tpu": "--ace-device: expected cpu, cuda or cuda:N, got 'tpu'",
    "--ace-seed=-1 --ace-retrain": "--ace-seed: expected a whole number of at least 0, got '-1'",
    "--ace-seed=1": "--ace-seed: expected with --ace-retrain and only there",
    "--ace-task=agreement": "--ace-task: expected with --ace-model and only there",
    "--ace-revision=main": "--ace-revision: expected with --ace-model and only there",
    "--ace-tokenizer=there": "--ace-tokenizer: expected with --ace-model and only there",
    "--ace-dtype=float32": "--ace-dtype: expected with --ace-model and only there",
    "--ace-subject=subjects.py": "--ace-subject: expected package.module:function, got 'subjects.py'",
    "--ace-subject=no.such:make": "--ace-subject: expected package.module:function, got 'no.such:make': *",
}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("options", WRONG)
def test_wrong_values_and_combinations_are_usage_errors_at_once(
    run: Run, suite: Callable[..., None], options: str, workers: tuple[str, ...]
) -> None:
    suite("HOLDS")
    found = run(*options.split(), *workers)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"ERROR: {WRONG[options]}"])
    assert "INTERNALERROR" not in found.stdout.str() + found.stderr.str()


UNWRITABLE = {
    "a folder that is not there": ("none/a.json", ("json", "save-baseline", "accept")),
    "a folder": ("", ("json", "save-baseline", "accept")),
    "a file in a folder's place": ("file.txt/a.json", ("json", "save-baseline", "accept", "report")),
    "a file": ("file.txt", ("report",)),
    "a folder that cannot be written to": ("/proc/a", ("json", "save-baseline", "accept", "report")),
}


@pytest.mark.parametrize(
    ("place", "option"), [(place, option) for place, (_, options) in UNWRITABLE.items() for option in options]
)
def test_a_place_that_cannot_be_written_is_a_usage_error_before_anything_runs(
    run: Run, suite: Callable[..., None], tmp_path: Path, place: str, option: str
) -> None:
    if place.startswith("a folder that cannot") and not Path("/proc").is_dir():
        pytest.skip("no /proc, the one folder that even the superuser cannot write to")
    suite("HOLDS")
    (tmp_path / "file.txt").write_text("")
    found = run(f"--ace-{option}={tmp_path / UNWRITABLE[place][0]}")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"ERROR: --ace-{option}: *"])
    assert "passed" not in found.stdout.str()
    assert {path.name for path in tmp_path.iterdir()} <= {"file.txt", "test_claims.py"}


@pytest.mark.parametrize("option", ["json", "save-baseline", "accept", "report"])
def test_what_cannot_be_written_in_the_end_fails_the_run_and_costs_no_table(
    run: Run, suite: Callable[..., None], pytester: pytest.Pytester, tmp_path: Path, option: str
) -> None:
    suite("HOLDS")
    pytester.makeconftest(
        f"""
        import pathlib, shutil
        def pytest_runtest_teardown():
            shutil.rmtree({str(tmp_path / "out")!r})
            pathlib.Path({str(tmp_path / "out")!r}).write_text("in the way")
        """
    )
    (tmp_path / "out").mkdir()
    found = run(f"--ace-{option}={tmp_path / 'out' / 'a'}")
    assert found.parseoutcomes() == {"passed": 1}
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["verdicts: 1 HOLDS", f"ERROR: --ace-{option}: {tmp_path}/out/a was not written: *"])
    assert "INTERNALERROR" not in found.stdout.str() + found.stderr.str()


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
        "model",
        "subject",
        "scale",
        "retrain",
        "device",
        "cache",
        "extractor",
        "json",
        "report",
        "save-baseline",
        "compare",
        "strict",
        "accept",
        "expected",
    ):
        assert f"--ace-{option}" in text
        assert f"ACE_{option.replace('-', '_').upper()}]" in text.replace("\n", "").replace(" ", "")


# --- selection --------------------------------------------------------------------------------------------------------
SUITE = """
def test_claim(ace_claim, ace_subject):
    assert ace_subject.name
"""
SETTINGS = """
[pytest]
ace_fixtures = {fixtures}
"""
SELECTED = [
    (
        (),
        ("markov.spectrum-markov-compact", "markov.spectrum-markov-paper", "markov.low_rank-low-rank", "modadd.grok-"),
    ),
    (("-k", "markov.spectrum"), ("markov.spectrum-markov-compact", "markov.spectrum-markov-paper")),
    (("-k", "markov.spectrum-markov-paper"), ("markov.spectrum-markov-paper",)),
    (("--ace-scale=compact", "-k", "spectrum"), ("markov.spectrum-markov-compact",)),
    (("--ace-scale=paper", "-k", "low_rank or rank-markov"), ("markov.low_rank-low-rank", "markov.rank-markov-paper")),
]


@pytest.mark.parametrize(("options", "expected_ids"), SELECTED)
def test_claims_are_selected_by_id_and_scale(
    run: Run, pytester: pytest.Pytester, options: tuple[str, ...], expected_ids: tuple[str, ...]
) -> None:
    pytester.makeini(SETTINGS.format(fixtures=Path(__file__).parents[2] / "fixtures"))
    pytester.makepyfile(test_claims=SUITE)
    found = run("--strict-markers", "--collect-only", "-q", *options)
    assert found.ret == pytest.ExitCode.OK
    ids = [line.partition("[")[2] for line in found.outlines if "test_claim[" in line]
    assert all(any(name.startswith(wanted) for name in ids) for wanted in expected_ids)
    if options:
        assert len(ids) == len(expected_ids)


def test_with_a_model_only_its_own_claims_are_verified(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini(SETTINGS.format(fixtures=Path(__file__).parents[2] / "fixtures"))
    pytester.makepyfile(test_claims=SUITE)
    found = run("--ace-model=there", "--collect-only", "-q")
    ids = [line.partition("[")[2] for line in found.outlines if "test_claim[" in line]
    assert ids
    assert all(name.startswith("agreement.") for name in ids)


def test_a_run_with_nothing_to_verify_is_a_usage_error(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_claims=SUITE)
    found = run()
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert "nothing to verify: expected --ace-model" in found.stderr.str()


def test_several_models_and_subjects_may_be_given_on_the_command_line_and_in_the_environment(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(
        mine="def make(): pass\ndef more(): pass",
        test_it="""
        import json, os
        from ace.plugin import options
        def test_options(request, ace_claim=None):
            chosen = options(request.config)
            assert [list(chosen.models), list(chosen.subjects)] == json.loads(os.environ["MEANT"])
        """,
    )
    monkeypatch.setenv("MEANT", json.dumps([["a", "b c"], ["mine:make", "mine:more"]]))
    given = ("--ace-model=a", "--ace-model=b c", "--ace-subject=mine:make", "--ace-subject=mine:more")
    assert run(*given).parseoutcomes() == {"passed": 1}
    monkeypatch.setenv("ACE_MODEL", "a\nb c\n")
    monkeypatch.setenv("ACE_SUBJECT", "mine:make\nmine:more")
    assert run().parseoutcomes() == {"passed": 1}
    monkeypatch.setenv("MEANT", json.dumps([["other"], ["mine:make", "mine:more"]]))
    assert run("--ace-model=other").parseoutcomes() == {"passed": 1}


def test_paths_of_the_ini_file_are_relative_to_it(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nace_fixtures = stored\n")
    pytester.mkdir("stored")
    inner = pytester.mkdir("inner")
    inner.joinpath("test_it.py").write_text(
        "from ace.plugin import options\n"
        f"def test_it(request): assert str(options(request.config).fixtures) == {str(pytester.path / 'stored')!r}\n"
    )
    pytester.chdir()
    assert run("inner").parseoutcomes() == {"passed": 1}


# --- commands ---------------------------------------------------------------------------------------------------------
def test_the_command_that_reruns_a_claim_repeats_all_that_was_asked_for() -> None:
    given = {
        "models": "--ace-model",
        "task": "--ace-task",
        "tokenizer": "ACE_TOKENIZER",
        "dtype": "--ace-dtype",
        "revision": "--ace-revision",
        "retrain": "ACE_RETRAIN",
        "json": "--ace-json",
        "expected": "ace_expected",
    }
    options = Options(
        models=("gpt2", "my models/it's"),
        task="pairs.csv",
        tokenizer="/tokenizer",
        dtype="bfloat16",
        revision="main",
        retrain=True,
        json=Path("/a.json"),
        expected=Path("/expected.toml"),
        selection=("--pyargs", "ace.suite"),
        given=given,
    )
    assert shlex.split(options.rerun("agreement.flip", "gpt2")) == [
        "pytest",
        "--pyargs",
        "ace.suite",
        "--ace-model=gpt2",
        "--ace-model=my models/it's",
        "--ace-revision=main",
        "--ace-dtype=bfloat16",
        "--ace-tokenizer=/tokenizer",
        "--ace-task=pairs.csv",
        "--ace-retrain",
        "-k",
        "agreement.flip-gpt2",
    ]


@pytest.mark.parametrize(
    ("subject", "expression"),
    [("", "a.b"), ("compact", "a.b-compact"), ("/mine (or not)/x@1", "a.b-/mine and /x and 1")],
)
def test_a_claim_is_selected_by_an_expression_that_pytest_can_read(subject: str, expression: str) -> None:
    assert shlex.split(Options().rerun("a.b", subject)) == ["pytest", "-k", expression]


def test_the_command_names_what_was_collected(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from ace.plugin import options
        def test_it(request): print("rerun:", options(request.config).rerun("a.b"))
        """
    )
    run("test_it.py::test_it").stdout.fnmatch_lines(["rerun: pytest test_it.py -k a.b"])
    run().stdout.fnmatch_lines(["rerun: pytest -k a.b"])


# --- settings of another project --------------------------------------------------------------------------------------
IN_A_PROJECT = """
from ace.plugin import options
def test_it(request): assert options(request.config).expected.parent.name == "project"
"""


@pytest.fixture
def elsewhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path beside another project's ini file; the current folder is a project with documented verdicts."""
    project, other = pytester.mkdir("project"), pytester.mkdir("other")
    (project / "pytest.ini").write_text("[pytest]\nace_expected = expected.toml\n")
    expected(project, documented())
    (project / "test_it.py").write_text(IN_A_PROJECT)
    (other / "pytest.ini").write_text("[pytest]\n")
    (other / "out").mkdir()
    monkeypatch.chdir(project)
    return other / "out"


def test_a_path_that_misleads_pytest_hides_no_setting_of_the_project(
    pytester: pytest.Pytester, elsewhere: Path
) -> None:
    found = pytester.runpytest_subprocess("--ace-report", elsewhere, "test_it.py")
    assert found.parseoutcomes() == {"passed": 1}
    found.stdout.fnmatch_lines(
        [f"ace: settings of *project/pytest.ini, *{elsewhere.parent}/pytest.ini, *; write --ace-report={elsewhere}"]
    )


@pytest.mark.parametrize(
    "words", ["--ace-report={} test_it.py", "test_it.py --ace-report {}", "--ace-report . test_it.py"]
)
def test_a_path_that_does_not_mislead_it_changes_nothing(
    pytester: pytest.Pytester, elsewhere: Path, words: str
) -> None:
    found = pytester.runpytest_subprocess(*words.format(elsewhere).split())
    assert found.parseoutcomes() == {"passed": 1}
    found.stdout.no_fnmatch_line("ace: settings of *")


# --- tests that are not about claims ----------------------------------------------------------------------------------
STRAY = {
    "TASK": "agreement",
    "SCALE": "huge",
    "SEED": "x",
    "DEVICE": "tpu",
    "DTYPE": "float12",
    "EXTRACTOR": "no.such.module:extract",
    "SUBJECT": "no such",
    "JSON": "/no/such/folder/a.json",
    "REPORT": "/proc/none",
    "COMPARE": "/no/such/baseline.json",
    "EXPECTED": "/no/such/expected.toml",
}
FOREIGN = """
import pytest
@pytest.mark.gpu
@pytest.mark.claim("of an insurance")
def test_theirs(): pass
@pytest.fixture
def claim(): return 3
def test_fixture(claim): assert claim == 3
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_stray_variables_touch_no_run_without_claims(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(FOREIGN)
    pytester.makeini("[pytest]\nmarkers =\n  gpu: theirs\n  claim(name): theirs\n")
    for name, value in STRAY.items():
        monkeypatch.setenv(f"ACE_{name}", value)
    found = run("--strict-markers", *workers)
    assert found.ret == pytest.ExitCode.OK
    assert found.parseoutcomes() == {"passed": 2}
    assert "ace:" not in found.stdout.str()


LIGHT = """
def test_with_an_extractor(ace_extractor): pass
def test_another(ace_extractor): pass
"""


@pytest.mark.parametrize(
    ("name", "workers"), [*((name, ()) for name in STRAY), ("JSON", ("-n", "2")), ("EXTRACTOR", ("-n", "2"))], ids=str
)
def test_wrong_variables_are_usage_errors_where_something_asks_for_them(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(LIGHT)
    monkeypatch.setenv(f"ACE_{name}", STRAY[name])
    found = run(*workers)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"ERROR: ACE_{name}: *"])
    assert "INTERNALERROR" not in found.stdout.str() + found.stderr.str()
    assert "passed" not in found.stdout.str()


def test_the_plugin_registers_one_marker_and_prefixed_fixtures(run: Run, pytester: pytest.Pytester) -> None:
    text = run("--markers").stdout.str()
    assert "@pytest.mark.ace_claim(id): " in text
    assert not [
        name for name in ("claim(", "gpu", "slow:", "paper_scale", "network", "bench:") if f"mark.{name}" in text
    ]
    pytester.makepyfile("def test_nothing(): pass")
    fixtures = run("--fixtures").stdout.str()
    assert all(f"\n{name} " in fixtures for name in ("ace_claim", "ace_settle", "ace_extractor [session scope]"))
    assert not [name for name in ("claim", "settle", "extractor") if f"\n{name} " in fixtures]


def test_a_run_without_claims_imports_nothing_heavy(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(test_it="def test_nothing(): pass")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others may well import numpy
    code = """
import sys, pytest
assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "ace.plugin", "test_it.py"]) == 0
print("own:", sorted(name for name in sys.modules if name.partition(".")[0] == "ace"))
heavy = ("torch", "numpy", "scipy", "safetensors", "matplotlib", "tomllib")
print("heavy:", [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=pytester.path)
    assert "heavy: []" in done.stdout
    assert "'ace.plugin.hooks'" in done.stdout
    assert "'ace.report.record'" not in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_this_projects_gpu_tests_are_skipped_with_a_reason_where_there_is_none() -> None:
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-rs", "-q", "invariants/contracts/test_cuda.py"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "needs a CUDA device; torch sees none" in done.stdout
