"""The installed wheel in an empty repository: the suite, a test file of one's own, the example of one's own runs."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ace.tasks.fragment.words import NOUNS

ROOT = Path(__file__).resolve().parents[2]
STORED = sorted((ROOT / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"
Pytest = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the wheel, and of this one the packages but not the repository."""
    folder = tmp_path_factory.mktemp("installed")
    copy, environment = folder / "copy", folder / "environment"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "weights", "__pycache__", "*.egg-info", "build"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, "wheel", str(copy), *wheels], check=True, timeout=300)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=120)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    (wheel,) = folder.glob("ace_invariants-*.whl")
    target = ["--target", str(packages), "--no-deps", "--no-index"]
    subprocess.run([*pip, "install", *target, str(wheel)], check=True, timeout=300)
    # A path file within that folder is not read again: an editable installation of the repository stays out of sight.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin" / "python"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with a checkpoint in it."""
    shutil.copytree(STORED, tmp_path / "checkpoint")
    yield tmp_path
    assert not list(tmp_path.glob("**/.ace_cache"))


@pytest.fixture
def run(interpreter: Path, repository: Path) -> Pytest:
    """Plain `pytest` in that folder, by that Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACE_", "PYTEST", "PYTHON"))}
    command = [str(interpreter), str(Path(sys.executable).with_name("pytest")), "-p", "no:cacheprovider"]

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*command, *words], cwd=repository, env=kept, capture_output=True, text=True, timeout=600)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done

    return call


def test_the_package_is_the_wheels(interpreter: Path, repository: Path) -> None:
    code = "import ace, ace.suite.test_claims as suite; print(ace.__file__, suite.__file__)"
    done = subprocess.run(
        [str(interpreter), "-c", code], cwd=repository, capture_output=True, text=True, check=True, env={}, timeout=120
    )
    assert all(Path(file).is_relative_to(interpreter.parents[1]) for file in done.stdout.split())


def test_the_suite_runs_on_a_checkpoint(run: Pytest) -> None:
    done = run("--pyargs", "ace.suite", "--ace-model", "./checkpoint", "-k", "behaviour")
    assert done.returncode == pytest.ExitCode.OK
    assert "1 passed" in done.stdout
    assert "HOLDS" in done.stdout


def test_prompts_come_from_a_file_of_ones_own(run: Pytest, repository: Path) -> None:
    with (repository / "pairs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["prompt", "good", "bad", "label"])
        for singular, plural in NOUNS:
            table.writerow([f"the {singular}", "is", "are", "singular"])
            table.writerow([f"the {plural}", "are", "is", "plural"])
    asked = ("--ace-model=checkpoint", "--ace-task=pairs.csv", "--ace-json=verdicts.json")
    done = run("--pyargs", "ace.suite", *asked, "-k", "behaviour")
    assert done.stderr.count("ace: pairs.csv: grouped by head nouns told from the prompts") == 1
    (entry,) = json.loads((repository / "verdicts.json").read_text())["results"]
    assert entry["estimate"] > 0.95
    assert entry["low"] > entry["bound"]  # some twenty nouns a split do not tell what an untrained twin does


def test_a_test_file_of_ones_own_in_ten_lines(run: Pytest, repository: Path) -> None:
    (repository / "test_checkpoint.py").write_text(
        """import ace


@ace.parametrize_with_claims(["./checkpoint"], select="agreement.*", expected={"agreement.flip": ["VACUOUS", "HOLDS"]})
def test_checkpoint(ace_claim, ace_subject, ace_settle):
    ace_settle(ace.verify_claim(ace_claim, ace_subject))
"""
    )
    done = run("-k", "behaviour or flip")
    assert done.returncode == pytest.ExitCode.OK
    assert "2 passed" in done.stdout


def test_nothing_asked_for_is_a_usage_error_that_says_what_to_give(run: Pytest) -> None:
    done = run("--pyargs", "ace.suite")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "nothing to verify" in done.stderr
    assert "--ace-model" in done.stderr
    assert "--ace-subject" in done.stderr


def test_the_example_of_ones_own_runs_comes_out_as_documented(run: Pytest, repository: Path) -> None:
    for file in (ROOT / "examples" / "own_runs").iterdir():
        if file.is_file():
            shutil.copy(file, repository)
    own = run()  # trains
    assert own.returncode == pytest.ExitCode.OK
    assert len(list((repository / "weights").glob("*.safetensors"))) == 4
    for name in ("subject", "inner"):
        done = run("--pyargs", "ace.suite", f"--ace-subject=runs:{name}")
        assert done.returncode == pytest.ExitCode.OK
        assert done.stdout.count(" HOLDS") >= 2
