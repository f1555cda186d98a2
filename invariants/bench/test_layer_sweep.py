"""Keep, remove and flip at every site: behind a cached prefix against a full forward pass for each site and mode."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from invariants.bench import cases

pytestmark = pytest.mark.bench


def test_both_sweeps_give_the_same_contrasts() -> None:
    fast, slow = (way() for way in cases.sweep(blocks=2, width=64, vocabulary=997).values())
    assert fast.shape == slow.shape == (3, 3, 8)
    torch.testing.assert_close(fast, slow, atol=1e-4, rtol=0.0)
    assert float((slow - slow.mean(dim=1, keepdim=True)).abs().max()) > 1e-2  # otherwise they could not differ


@pytest.mark.parametrize("way", cases.SWEEP_WAYS)
def test_layer_sweep(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "layer sweep, 12 blocks, d768"
    fast = way == cases.SWEEP_WAYS[0]
    benchmark.pedantic(cases.sweep()[way], rounds=5 if fast else 1, warmup_rounds=int(fast))
