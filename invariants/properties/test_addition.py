"""Properties of modular addition as a task: all pairs are dealt, none twice, and every split has every sum."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ace.errors import InputError
from ace.tasks import ModularAddition, Split, build_task
from ace.tasks.base import HELD_OUT
from invariants.properties.strategies import predicted, seeds


@st.composite
def additions(draw: st.DrawFn) -> ModularAddition:
    modulus, share, seed = draw(st.integers(5, 17)), draw(st.floats(0.05, 0.5)), draw(st.integers(0, 1000))
    try:
        return ModularAddition(modulus, share, seed)
    except InputError:  # too few pairs of some sum are left
        assume(False)
        raise


def pairs(task: ModularAddition, split: Split) -> set[tuple[int, int]]:
    inputs = task.draw(split, task.size(split)).inputs
    assert len(inputs) == task.size(split)
    return {(int(a), int(b)) for a, b in inputs}


@given(task=additions())
def test_all_pairs_are_dealt_to_the_splits_and_none_to_two(task: ModularAddition) -> None:
    dealt = {split: pairs(task, split) for split in Split}
    assert all(not dealt[one] & dealt[two] for one, two in combinations(Split, 2))
    assert sum(map(len, dealt.values())) == task.modulus**2 == len(set().union(*dealt.values()))
    sizes = [len(dealt[split]) for split in HELD_OUT]
    assert max(sizes) - min(sizes) <= 1
    assert len(dealt[Split.TRAINING]) == round(task.share * task.modulus**2)


@given(task=additions())
def test_every_held_out_split_has_every_sum(task: ModularAddition) -> None:
    for split in HELD_OUT:
        sums = np.bincount(task.draw(split, task.size(split)).targets[:, 0], minlength=task.modulus)
        assert (sums > 0).all()


@given(task=additions(), seed=seeds)
def test_the_one_scored_position_holds_the_sum(task: ModularAddition, seed: int) -> None:
    batch = task.draw(Split.EVALUATION, min(10, task.size(Split.EVALUATION)), seed)
    assert batch.scored == 1
    assert (batch.targets[:, 0] == (batch.inputs[:, 0] + batch.inputs[:, 1]) % task.modulus).all()
    assert batch.oracle_hits.all()
    assert (batch.oracle_loss == 0).all()
    assert (predicted(batch).sum(axis=-1) == 1).all()


@given(task=additions(), seed=seeds)
def test_a_seed_chooses_among_the_splits_own_pairs(task: ModularAddition, seed: int) -> None:
    count = task.size(Split.SELECTION) // 2
    assume(count)
    first, again = (task.draw(Split.SELECTION, count, seed) for _ in range(2))
    assert np.array_equal(first.inputs, again.inputs)
    drawn = {(int(a), int(b)) for a, b in first.inputs}
    assert len(drawn) == count
    assert drawn <= pairs(task, Split.SELECTION)


@pytest.mark.parametrize("split", Split)
def test_the_published_deal(split: Split) -> None:
    task = build_task({"kind": "modular_addition", "modulus": 53, "share": 0.5})
    wanted = {Split.TRAINING: 1404, Split.EXTRACTION: 469, Split.SELECTION: 468, Split.EVALUATION: 468}
    assert task.size(split) == wanted[split]
