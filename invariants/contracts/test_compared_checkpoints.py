"""A baseline of one checkpoint guards the next: a spoiled one never passes, whatever its name and its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ace.exits import NOTHING_COMPARED
from ace.model.language import load_language_model
from invariants.contracts.runs import Run, read

pytest_plugins = ["pytester"]

STORED = sorted((Path(__file__).parents[2] / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"
BEHAVIOUR = "agreement.behaviour"
Verify = Callable[..., pytest.RunResult]


@pytest.fixture
def verify(run: Run) -> Verify:
    """Put one claim to checkpoints, as `ace verify` does."""

    def call(*words: str) -> pytest.RunResult:
        return run("--pyargs", "ace.suite", "-k", BEHAVIOUR, *words)

    return call


@pytest.fixture(scope="module")
def imported() -> None:
    """What pytest imports in a run within this process is forgotten after it, and transformers cannot be twice."""
    load_language_model(str(STORED))


@pytest.fixture
def checkpoints(tmp_path: Path, imported: None) -> Path:
    """A folder with ckpt-100, which agrees, and the random weights ckpt-200 and other/ckpt-100."""
    for place in ("ckpt-100", "ckpt-200", "other/ckpt-100"):
        shutil.copytree(STORED, tmp_path / place)
    for place in ("ckpt-200", "other/ckpt-100"):
        path, generator = tmp_path / place / "model.safetensors", torch.Generator().manual_seed(0)
        weights = {
            name: torch.randn(value.shape, generator=generator) * value.std() if value.ndim > 1 else value
            for name, value in load_file(path).items()
        }
        save_file(weights, path, metadata={"format": "pt"})
    return tmp_path


def test_a_spoiled_checkpoint_passes_no_comparison_whatever_its_name_and_place(
    verify: Verify, checkpoints: Path
) -> None:
    good, base = checkpoints / "ckpt-100", checkpoints / "base.json"
    assert verify(f"--ace-model={good}", f"--ace-save-baseline={base}").ret == pytest.ExitCode.OK
    assert [(entry["subject"], entry["verdict"]) for entry in read(base)["results"]] == [(str(good), "HOLDS")]
    for place in ("ckpt-200", "other/ckpt-100"):
        outcome = verify(f"--ace-model={checkpoints / place}", f"--ace-compare={base}")
        assert outcome.ret == NOTHING_COMPARED
        outcome.stdout.fnmatch_lines(
            [
                "ERROR: nothing to compare*",
                f"not in the baseline: {checkpoints / place}: {BEHAVIOUR}",
                f"not in this run: {good}: {BEHAVIOUR}",
            ]
        )


def test_checkpoints_that_are_given_one_name_are_compared_wherever_they_lie(verify: Verify, checkpoints: Path) -> None:
    base, name = checkpoints / "base.json", "--ace-name=nightly"
    verify(f"--ace-model={checkpoints / 'ckpt-100'}", name, f"--ace-save-baseline={base}")
    assert [entry["subject"] for entry in read(base)["results"]] == ["nightly"]
    outcome = verify(f"--ace-model={checkpoints / 'ckpt-200'}", name, f"--ace-compare={base}")
    assert outcome.ret == pytest.ExitCode.TESTS_FAILED
    outcome.stdout.fnmatch_lines([f"ace: model {checkpoints}/ckpt-200 as nightly, *"])
    outcome.stdout.fnmatch_lines(["nightly differs: weights * -> *", f"regressed: {BEHAVIOUR} on nightly: HOLDS -> *"])
    shutil.move(checkpoints / "ckpt-100", checkpoints / "moved")
    outcome = verify(f"--ace-model={checkpoints / 'moved'}", name, f"--ace-compare={base}")
    assert outcome.ret == pytest.ExitCode.OK
    outcome.stdout.fnmatch_lines(["no change"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--ace-model=a", "--ace-model=b", "--ace-name=n"),
            "expected 2 different names, one for each model, got ['n']",
        ),
        (("--ace-model=a", "--ace-model=b", "--ace-name=n", "--ace-name=n"), "expected 2 different names*['n', 'n']"),
        (("--ace-model=a", "--ace-name=n", "--ace-name=m"), "expected 1 different names*['n', 'm']"),
        (("--ace-name=n",), "expected with --ace-model and only there"),
    ],
    ids=str,
)
def test_names_that_do_not_fit_the_models_are_a_usage_error(verify: Verify, words: tuple[str, ...], said: str) -> None:
    outcome = verify(*words)
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines([f"ERROR: --ace-name: {said}".replace("[", "[[]")])


def test_a_run_that_has_nothing_to_verify_is_a_usage_error(verify: Verify) -> None:
    outcome = verify()
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["ERROR: nothing to verify: expected --ace-model, --ace-subject or*"])
