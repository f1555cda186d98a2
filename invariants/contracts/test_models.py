"""Other people's models on the command line: `--ace-model`, each call in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

import ace
from ace.exits import NO_VERDICT
from ace.model.language import load_language_model
from ace.zoo.named import ModelSource
from invariants.contracts import families

ROOT = Path(__file__).parents[2]
STORED = sorted((ROOT / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"
STORIES = ROOT.parent / "shared" / "models" / "stories260k"
needs_stories = pytest.mark.skipif(not STORIES.is_dir(), reason="no externally trained model beside the repository")


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ACE_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"HF_HUB_OFFLINE": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


AGREEMENT_CLAIMS = [claim.id for claim in ace.registry().values() if claim.family == "agreement"]


def verify(tmp_path: Path, *arguments: str | Path) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    record = tmp_path / "verdicts.json"
    done = call("pytest", "invariants/test_claims.py", "-q", "-p", "no:cacheprovider", "--ace-json", record, *arguments)
    return done, json.loads(record.read_text())["results"] if record.exists() else []


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_folder_without_a_tokenizer_is_a_usage_error(tmp_path: Path, workers: tuple[str, ...]) -> None:
    families.gpt2().save_pretrained(tmp_path / "bare")
    done, results = verify(tmp_path, f"--ace-model={tmp_path / 'bare'}", *workers)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "ERROR: --ace-model: " in done.stderr
    assert "name one with --ace-tokenizer" in done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert not results


def test_an_untrained_model_is_inapplicable_with_its_auc(tmp_path: Path) -> None:
    config = hf.AutoConfig.from_pretrained(STORED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "fresh")
    done, results = verify(tmp_path, "--ace-model", tmp_path / "fresh", "--ace-tokenizer", STORED)
    assert done.returncode == NO_VERDICT, done.stdout
    assert len(results) == len(AGREEMENT_CLAIMS)
    assert {found["verdict"] for found in results} == {"INAPPLICABLE"}
    behaviour = next(found for found in results if found["claim"] == "agreement.behaviour")
    assert "AUC" in behaviour["reason"]
    assert "[" in behaviour["reason"]


def test_a_trained_model_is_verified_and_its_baseline_guards_it(tmp_path: Path) -> None:
    claims = ("-k", "behaviour or attractor")
    done, results = verify(tmp_path, "--ace-model", STORED, *claims, "--ace-save-baseline", tmp_path / "base.json")
    assert done.returncode == 0, done.stdout
    assert {found["verdict"] for found in results} == {"HOLDS"}
    done, _ = verify(tmp_path, "--ace-model", STORED, *claims, "--ace-compare", tmp_path / "base.json")
    assert "no change" in done.stdout


def test_a_model_is_asked_natural_english_where_its_tokenizer_has_the_words() -> None:
    source, known = ModelSource(str(STORED)), load_language_model(str(STORED))
    assert source.prompts().name == "agreement-english"
    assert source.prompts_for(known).name == "agreement"  # words of the fragment are all it has
    assert replace(source, task="agreement-english").prompts_for(known).name == "agreement-english"
    # A tokenizer without a token for the unknown has some for everything.
    speaking = replace(known, tokenizer=SpellingTokenizer())
    assert source.prompts_for(speaking).name == "agreement-english"


class SpellingTokenizer:
    """A token a character."""

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(letter) % 60 for letter in text] for text in texts]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ace-model", "./no/such/folder"), "--ace-model: model: expected a folder"),
        (("--ace-model", STORED, "--ace-task", "no-such-file.csv"), "--ace-task"),
        (("--ace-task", "agreement"), "--ace-task: expected with --ace-model"),
        (("--ace-model", STORED, "--ace-dtype", "float12"), "float12"),
    ],
)
def test_what_cannot_be_read_ends_the_run_with_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done, results = verify(tmp_path, *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not results


@needs_stories
def test_a_real_model_agrees_in_its_own_kind_of_text_and_not_across_attractors(tmp_path: Path) -> None:
    _, own = verify(tmp_path, "--ace-model", STORIES, "--ace-task", "agreement-story", "-k", "behaviour")
    assert own[0]["low"] > own[0]["bound"]
    assert own[0]["verdict"] == "VACUOUS"  # three random models in ten reach .7 on these few prompts
    done, foreign = verify(tmp_path, "--ace-model", STORIES)
    assert done.returncode == NO_VERDICT
    assert {found["verdict"] for found in foreign} == {"INAPPLICABLE"}
    assert len(foreign) == len(AGREEMENT_CLAIMS)
    # What is to be tried next stands where the reader is, and leads on: the very words are words of the command.
    tried = re.findall(r"--task (agreement-\S+)", foreign[0]["reason"])
    assert tried == ["agreement-simple", "agreement-story"]
    for name in tried:
        _, found = verify(tmp_path, "--ace-model", STORIES, "--ace-task", name, "-k", "behaviour")
        assert found[0]["verdict"] != "INAPPLICABLE"
        assert f"--task={name} " in (ROOT / "docs" / "start.md").read_text()
