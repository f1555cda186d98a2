"""The workflow in examples/ci: it is read as its host reads it, and its commands run on a small model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ace.cli.verify import EXITS
from ace.exits import CHANGED, NO_VERDICT, NOTHING_COMPARED
from ace.plugin.options import OPTIONS

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ci"
STORED = sorted((ROOT / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"
WORKFLOW: dict[Any, Any] = yaml.safe_load((EXAMPLE / "model-invariants.yml").read_text())
(JOB,) = WORKFLOW["jobs"].values()
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in JOB["steps"] if "run" in step}


def test_it_runs_by_itself_by_hand_and_on_what_it_reads() -> None:
    triggers = WORKFLOW[True]  # YAML 1.1 takes `on` for a truth value; the host does not
    assert {"push", "pull_request", "schedule", "workflow_dispatch"} == set(triggers)
    folder = WORKFLOW["env"]["BASELINE"].partition("/")[0]
    assert {f"{folder}/**", "checkpoint/**"} == set(triggers["push"]["paths"])
    assert re.fullmatch(r"(\S+ ){4}\S+", triggers["schedule"][0]["cron"])


def test_what_is_named_in_expressions_is_declared() -> None:
    text = (EXAMPLE / "model-invariants.yml").read_text()
    declared = WORKFLOW[True]["workflow_dispatch"]["inputs"]
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(declared)
    given = {*WORKFLOW["env"], "GITHUB_STEP_SUMMARY", "code"}
    assert set(re.findall(r"\$(\w+)", "".join(step["run"] for step in STEPS.values()))) <= given
    assert all(re.fullmatch(r"[\w./-]+@v\d+", step["uses"]) for step in JOB["steps"] if "uses" in step)


def test_what_it_installs_is_this_package_with_parts_that_it_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, _, extras = WORKFLOW["env"]["PACKAGE"].rstrip("]").partition("[")
    assert name == project["name"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert STEPS["Install"]["run"] == 'python -m pip install "$PACKAGE"'


def test_every_flag_is_one_of_the_command() -> None:
    flags = {f"--{option.name}" for option in OPTIONS} | {"--junitxml"}
    assert set(re.findall(r"--[a-z-]+", STEPS["Compare with the baseline"]["run"])) <= flags
    assert set(re.findall(r"--[a-z-]+", STEPS["Write a baseline"]["run"])) <= flags


def test_it_speaks_of_every_exit_code_that_the_page_beside_it_has_and_of_those_of_the_command() -> None:
    handled = set(re.findall(r"^ *(\d)\) echo", STEPS["Compare with the baseline"]["run"], re.MULTILINE))
    listed = set(re.findall(r"^ *\| (\d) \|", (EXAMPLE / "README.md").read_text(), re.MULTILINE))
    told = set(re.findall(r"^  (\d)  ", EXITS, re.MULTILINE))
    assert handled == listed == told - {"2", "3", "5"}  # interrupted, within pytest, and -k selected nothing
    assert {str(NOTHING_COMPARED), str(CHANGED), str(NO_VERDICT)} <= handled


def test_what_it_installs_draws_the_report_that_it_asks_for() -> None:
    assert "--report" in STEPS["Compare with the baseline"]["run"]
    assert "figures" in WORKFLOW["env"]["PACKAGE"].rstrip("]").partition("[")[2].split(",")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    """Somebody's repository, with a checkpoint and a place for the baseline."""
    shutil.copytree(STORED, tmp_path / "checkpoint")
    (tmp_path / "ci").mkdir()
    yield tmp_path
    assert not (tmp_path / "GITHUB_OUTPUT").exists()


def step(repository: Path, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one step as its host does: its shell, its environment, the repository as the folder."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ACE_", "PYTEST_"))}
    settings = {**WORKFLOW["env"], "GITHUB_STEP_SUMMARY": str(repository / "summary.md"), "OMP_NUM_THREADS": "1"}
    shell = STEPS[name].get("shell", "bash")
    file = repository / f".step.{shell}"
    file.write_text(STEPS[name]["run"])
    calls = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)], "python": ["python", str(file)]}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    done = subprocess.run(
        calls[shell],
        cwd=repository,
        # One claim is enough, and what else there is would take a minute.
        env={**clean, **settings, "PATH": path, "PYTEST_ADDOPTS": "-k behaviour -p no:cacheprovider", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    sys.stdout.write(done.stdout + done.stderr)
    return done


def spoil(checkpoint: Path) -> None:
    path, generator = checkpoint / "model.safetensors", torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(value.shape, generator=generator) * 0.02 if ".h.1." in name and value.ndim > 1 else value
        for name, value in load_file(path).items()
    }
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.slow
def test_its_steps_write_a_baseline_pass_the_same_model_and_fail_a_spoiled_one(repository: Path) -> None:
    assert step(repository, "Write a baseline").returncode == 0
    assert "commit it as ci/baseline.json" in (repository / "summary.md").read_text()
    (repository / "baseline.json").rename(repository / "ci" / "baseline.json")

    (repository / "summary.md").unlink()
    same = step(repository, "Compare with the baseline")
    assert (same.returncode, "::notice::no claim regressed" in same.stdout) == (0, True)
    assert step(repository, "Summarise").returncode == 0
    assert "No change." in (repository / "summary.md").read_text()
    assert {"verdicts.json", "junit.xml", "report"} <= {path.name for path in repository.iterdir()}

    (repository / "summary.md").unlink()
    spoil(repository / "checkpoint")
    lost = step(repository, "Compare with the baseline")
    assert (lost.returncode, "::error::a claim regressed" in lost.stdout) == (1, True)
    assert step(repository, "Summarise").returncode == 0
    assert "| agreement.behaviour | regressed | HOLDS -> " in (repository / "summary.md").read_text()

    other = step(repository, "Compare with the baseline", NAME="weekly")
    assert (other.returncode, "has no model of the name weekly" in other.stdout) == (NOTHING_COMPARED, True)
    missing = step(repository, "Compare with the baseline", BASELINE="ci/none.json")
    assert (missing.returncode, "::error::the call cannot be used" in missing.stdout) == (4, True)


def test_a_run_that_came_to_nothing_has_no_summary_and_no_error_of_its_own(repository: Path) -> None:
    assert step(repository, "Summarise").returncode == 0
    assert not (repository / "summary.md").exists()
