"""Fifty steered tokens from stored keys and values, against two passes over the whole text for every token."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from invariants.bench import cases

pytestmark = pytest.mark.bench


def test_both_write_the_same_tokens() -> None:
    fast, slow = (way() for way in cases.writing(blocks=2, width=64, vocabulary=997, steps=12).values())
    assert torch.equal(fast, slow)


@pytest.mark.parametrize("way", cases.WRITING_WAYS)
def test_writing(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "50 steered tokens, 12 blocks, d768"
    benchmark.pedantic(cases.writing()[way], rounds=3 if way == cases.WRITING_WAYS[0] else 1)
