"""The worked examples of other contrasts: their files are what the script writes, give three splits, and are run."""

from __future__ import annotations

import re
import runpy
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from ace.model.language import wrap_model
from ace.report.record import read_document
from ace.study.checks import require_different_prompts
from ace.study.fingerprint import _digest_of as digest_of
from ace.study.fingerprint import _prompts as parts_of
from ace.study.language_subjects import AGREEMENT, TWIN_SIZES, fresh_twin
from ace.study.memory import Memory
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import SIZES, PromptStudy
from ace.tasks.base import HELD_OUT
from ace.tasks.pairs import MinimalPairs, read_pairs
from ace.training.language.tokenizer import word_tokenizer
from ace.verify import Status, verify_claim
from invariants.bench.random_models import OwnLabels, as_if_it_agreed

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "contrasts"
FILES = sorted(FOLDER.glob("*.csv"))
EACH, HEADS = 120, 60  # rows of a class in a split, and heads, as are asked for real models


def test_there_are_three() -> None:
    assert [file.stem for file in FILES] == ["negative_polarity", "pronoun_gender", "reflexive_number"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_split_has_enough_rows_of_heads_of_its_own(file: Path) -> None:
    task = read_pairs(file)
    require_different_prompts(task, SIZES)
    assert task.contrast is not None  # the same two words in every row
    assert task.note == f"{file.name}: columns not read: frame; grouped by head"
    found = [task.prompts(split, 10_000) for split in HELD_OUT]
    heads = [set(prompts.groups) for prompts in found]
    assert sum(map(len, heads)) == len(set.union(*heads))
    for prompts, own in zip(found, heads, strict=True):
        assert np.bincount(prompts.labels, minlength=2).min() >= EACH
        assert len(own) >= HEADS
        assert len({text.split()[-1] for text in prompts.texts}) >= 3  # embeddings that differ


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_page_says_how_many_heads_a_file_has_and_what_was_measured_on_it(file: Path) -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    task = read_pairs(file)
    heads = {head for split in HELD_OUT for head in task.prompts(split, 10_000).groups}
    row = next(line for line in page.splitlines() if line.startswith(f"| `{file.name}` |"))
    assert re.search(r"(\d+) (?:given names|nouns)", row)[1] == str(len(heads))  # type: ignore[index]
    measured = read_document(ROOT / "fixtures" / "models" / "contrasts.json")["subjects"]
    found = measured[f"smollm2-135m, {file.stem}"]
    prompts = [task.prompts(split, SIZES[split]) for split in HELD_OUT]
    assert found["task_digest"] == digest_of(part for each in prompts for part in parts_of(each))


def random_subject(source: MinimalPairs) -> PromptSubject:
    """A small random model with a token for every word of a file, which is judged by its own contrast's labels."""
    every = [source.prompts(split, 10_000) for split in HELD_OUT]
    assert source.contrast is not None
    texts = [text for prompts in every for text in prompts.texts]
    texts += [*source.contrast.wanted, *source.contrast.other]
    words = sorted({word for text in texts for word in re.findall(r"[A-Za-z]+|[^\sA-Za-z]", text)})
    tokenizer = word_tokenizer(words, 32)
    torch.manual_seed(0)
    size = {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 32,
        "vocab_size": len(tokenizer),
        "bos_token_id": 1,
        "eos_token_id": 1,
    }
    language = wrap_model(GPT2LMHeadModel(GPT2Config(**size)), tokenizer, "random")  # type: ignore[arg-type]
    memory = Memory()
    after = OwnLabels(language, source, memory, PromptStudy)
    before = PromptStudies(
        partial(fresh_twin, language), 1, source, memory=memory, sizes=TWIN_SIZES, in_place_of=language
    )
    return PromptSubject("random", AGREEMENT, after, before, memory=memory)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_claims_run_on_every_file(file: Path) -> None:
    subject = random_subject(read_pairs(file))
    with as_if_it_agreed(all_draws=False):
        behaviour, mirror = (verify_claim(f"agreement.{name}", subject) for name in ("behaviour", "mirror"))
    assert behaviour.seeds[0].value > 0.9  # by its own labels
    assert behaviour.status is not Status.INAPPLICABLE, behaviour.reason
    assert mirror.status is not Status.INAPPLICABLE, mirror.reason
    assert np.isfinite([seed.value for seed in mirror.seeds]).all()
    assert mirror.site


def test_the_script_writes_the_same_files(tmp_path: Path) -> None:
    script = shutil.copy(FOLDER / "make.py", tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert [file.name for file in sorted(tmp_path.glob("*.csv"))] == [file.name for file in FILES]
    for file in FILES:
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
