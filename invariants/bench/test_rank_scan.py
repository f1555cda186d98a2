"""Accuracy at every rank from one pass against one evaluation of the model for each rank and mode."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from invariants.bench import cases

pytestmark = pytest.mark.bench


def test_both_rank_scans_give_the_same_accuracies() -> None:
    fast, slow = (way() for way in cases.scan().values())
    kept, removed = slow
    # float32 logits of the model against float64 ones of the scan: a tie may fall otherwise for one pair in a thousand.
    np.testing.assert_allclose(fast.keep.numpy(), kept, atol=1e-3)
    np.testing.assert_allclose(fast.remove.numpy(), removed, atol=1e-3)


@pytest.mark.parametrize("way", cases.SCAN_WAYS)
def test_rank_scan(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "rank scan d128"
    fast = way == cases.SCAN_WAYS[0]
    benchmark.pedantic(cases.scan()[way], rounds=5 if fast else 1, warmup_rounds=int(fast))
