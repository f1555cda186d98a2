"""The worked examples of other contrasts: their files are what the script writes, and give three splits."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from ace.study.checks import require_different_prompts
from ace.study.prompts import SIZES
from ace.tasks.base import HELD_OUT
from ace.tasks.pairs import read_pairs

FOLDER = Path(__file__).parents[2] / "examples" / "contrasts"
FILES = sorted(FOLDER.glob("*.csv"))
EACH = 40  # rows of a class in a split, and half as many heads


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
        assert len(own) >= EACH // 2
        assert len({text.split()[-1] for text in prompts.texts}) >= 3  # embeddings that differ


def test_the_script_writes_the_same_files(tmp_path: Path) -> None:
    script = shutil.copy(FOLDER / "make.py", tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert [file.name for file in sorted(tmp_path.glob("*.csv"))] == [file.name for file in FILES]
    for file in FILES:
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
