"""A sweep in stacks beside one run after another; `contracts/test_sweeps.py` shows that both find the same steps."""

from __future__ import annotations

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ace.threads import one_thread
from invariants.bench import sweeps

pytestmark = [pytest.mark.bench, pytest.mark.benchmark(timer=time.process_time)]


@pytest.mark.parametrize("way", sweeps.WAYS)
@pytest.mark.benchmark(group="sweep of weight decays, published width, one thread")
def test_sweep(benchmark: BenchmarkFixture, way: str) -> None:
    work = sweeps.ways()[way]
    with one_thread():
        benchmark.pedantic(work, rounds=3, warmup_rounds=1)
