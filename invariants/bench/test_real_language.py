"""A language model of real size: edits at every site and steered text, beside plain forward passes and nnsight.

By processor time of one thread, so that nothing else that runs counts. `python -m invariants.bench.ratios language`
prints the ratios.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ace.threads import one_thread
from invariants.bench import language as cases

pytestmark = [pytest.mark.bench, pytest.mark.benchmark(timer=time.process_time)]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(params=[cases.REAL, cases.RANDOM])
def name(request: pytest.FixtureRequest) -> str:
    if reason := cases.missing(request.param):
        pytest.skip(reason)
    return str(request.param)


def test_all_sweeps_give_the_same_contrasts(name: str) -> None:
    fast, *others = (way() for way in cases.sweep(cases.language(name, blocks=3), prompts=4).values())
    assert fast.shape[1:] == (3, 4)
    for other in others:
        torch.testing.assert_close(fast, other, atol=1e-3, rtol=0.0)  # of float32, through up to 30 blocks
        assert float((other - other.mean(dim=1, keepdim=True)).abs().max()) > 1e-2  # otherwise they could not differ


def test_both_write_the_same_tokens(name: str) -> None:
    fast, slow = (way() for way in cases.writing(cases.language(name, blocks=3), steps=12).values())
    assert torch.equal(fast, slow)


@pytest.mark.parametrize("way", cases.SWEEP_WAYS)
def test_sweep(benchmark: BenchmarkFixture, name: str, way: str) -> None:
    if reason := cases.missing(name, way):
        pytest.skip(reason)
    benchmark.group = f"edits at every site, {name}"
    fast = way == cases.SWEEP_WAYS[0]
    benchmark.pedantic(cases.sweep(cases.language(name))[way], rounds=3 if fast else 1, warmup_rounds=int(fast))


@pytest.mark.parametrize("way", cases.WRITING_WAYS)
def test_writing(benchmark: BenchmarkFixture, name: str, way: str) -> None:
    benchmark.group = f"50 steered tokens, {name}"
    benchmark.pedantic(cases.writing(cases.language(name))[way], rounds=3 if way == cases.WRITING_WAYS[0] else 1)
