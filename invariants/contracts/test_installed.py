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
import torch
from safetensors.torch import load_file, save_file

from ace.model.language import load_language_model
from ace.tasks.base import Split
from ace.tasks.by_name import TASKS
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


def rewritten(repository: Path, name: str, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Path:
    """A copy of the checkpoint with other weights."""
    shutil.copytree(repository / "checkpoint", repository / name)
    path = repository / name / "model.safetensors"
    weights = {key: change(key, weight).contiguous() for key, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    return repository / name


def tuned_away(repository: Path) -> Path:
    """The checkpoint after a few steps on prompts that are followed by a verb of the other number."""
    language = load_language_model(str(repository / "checkpoint"))
    prompts = TASKS["agreement"].prompts(Split.EXTRACTION, 96)
    verbs = {label: language.encode(f"the keys {verb}")[-1] for label, verb in ((0, "are"), (1, "is"))}
    model = language.model.requires_grad_(True)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(12):
            losses = []
            for text, label in zip(prompts.texts, prompts.labels.tolist(), strict=True):
                logits, _ = language.run(torch.tensor([language.encode(text)]))
                losses.append(torch.nn.functional.cross_entropy(logits[0, -1:], torch.tensor([verbs[label]])))
            optimiser.zero_grad()
            torch.stack(losses).mean().backward()
            optimiser.step()
    model.save_pretrained(repository / "tuned")  # type: ignore[operator]
    for file in (repository / "checkpoint").glob("tokenizer*"):
        shutil.copy(file, repository / "tuned")
    return repository / "tuned"


def test_a_baseline_tells_a_model_that_changed_from_one_that_did_not(run: Pytest, repository: Path) -> None:
    """The same model twice, rounded to bfloat16, with a block that starts anew, and tuned away from agreement."""

    def compared(model: str) -> tuple[int, dict[str, set[str]], str]:
        words = (f"--ace-model={model}", "--ace-name=mine", "--ace-compare=base.json", "--ace-json=new.json")
        done = run("--pyargs", "ace.suite", *words)
        outcomes: dict[str, set[str]] = {}
        for row in json.loads((repository / "new.json").read_text())["comparison"]["rows"]:
            outcomes.setdefault(row["outcome"], set()).add(row["claim"])
        return done.returncode, outcomes, done.stdout

    first = run("--pyargs", "ace.suite", "--ace-model=checkpoint", "--ace-name=mine", "--ace-save-baseline=base.json")
    assert first.returncode == pytest.ExitCode.TESTS_FAILED  # it fails some claims, documented nowhere
    before = {row["claim"]: row["verdict"] for row in json.loads((repository / "base.json").read_text())["results"]}
    true = {claim for claim, verdict in before.items() if verdict in ("HOLDS", "VACUOUS")}
    assert {"agreement.behaviour", "agreement.sufficiency"} <= true
    assert len(true) < len(before)

    code, outcomes, said = compared("checkpoint")
    assert (code, outcomes) == (pytest.ExitCode.OK, {"same": set(before)})
    assert "\nno change\n" in said

    rewritten(repository, "rounded", lambda name, weight: weight.bfloat16().float())
    code, outcomes, said = compared("rounded")
    assert code == pytest.ExitCode.OK
    assert not {"regressed", "improved", "moved"} & set(outcomes)
    assert "\nmine differs: weights " in said

    generator = torch.Generator().manual_seed(0)

    def anew(name: str, weight: torch.Tensor) -> torch.Tensor:
        return torch.randn(weight.shape, generator=generator) * 0.02 if ".h.1." in name and weight.ndim > 1 else weight

    rewritten(repository, "block", anew)
    code, outcomes, _ = compared("block")
    assert (code, outcomes["regressed"]) == (pytest.ExitCode.TESTS_FAILED, true)

    tuned_away(repository)
    code, outcomes, said = compared("tuned")
    assert (code, outcomes["regressed"]) == (pytest.ExitCode.TESTS_FAILED, true)
    assert "HOLDS -> INAPPLICABLE, cannot be put to the model any more: mine does not agree: AUC" in said


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
