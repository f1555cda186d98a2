"""Fifty steered tokens from stored keys and values, against passes over the whole text for every token and strength."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from invariants.bench import cases

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("strengths", list(cases.STRENGTHS))
def test_both_write_the_same_tokens(strengths: str) -> None:
    fast, slow = (way() for way in cases.writing(strengths, blocks=2, width=64, vocabulary=997, steps=12).values())
    assert torch.equal(fast, slow)


@pytest.mark.parametrize("way", cases.WRITING_WAYS)
@pytest.mark.parametrize("strengths", list(cases.STRENGTHS))
def test_writing(benchmark: BenchmarkFixture, strengths: str, way: str) -> None:
    benchmark.group = f"50 steered tokens, {strengths}, 12 blocks, d768"
    benchmark.pedantic(cases.writing(strengths)[way], rounds=3 if way == cases.WRITING_WAYS[0] else 1)
