"""A whole checkpoint at every rank from one run of the model against one run for each rank."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from invariants.bench import cases

pytestmark = pytest.mark.bench


def test_both_analyses_of_a_checkpoint_agree_rank_by_rank() -> None:
    fast, slow = (way() for way in cases.checkpoint().values())
    for scan, (kept, removed) in zip(fast, slow, strict=True):
        assert scan.keep.tolist() == pytest.approx(kept, abs=1.5 / scan.count)  # float32 logits may tie otherwise once
        assert scan.remove.tolist() == pytest.approx(removed, abs=1.5 / scan.count)


@pytest.mark.parametrize("way", cases.SCAN_WAYS)
def test_checkpoint(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "whole checkpoint, p = 53, d = 128"
    fast = way == cases.SCAN_WAYS[0]
    benchmark.pedantic(cases.checkpoint()[way], rounds=5 if fast else 1, warmup_rounds=int(fast))
