"""Benchmarks: `pytest invariants/bench -m bench`. Fast and naive in one group, on the same inputs, same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

from ace.claims import REGISTRY
from ace.compare import overlap
from ace.core import Fixed
from ace.extract import extract_core, extract_stream
from ace.intervene import rank_scan
from ace.stats import bootstrap_mean
from ace.training.trainer import EnsembleTrainer
from ace.verify import verify_claim
from invariants.bench import cases, naive

pytestmark = pytest.mark.bench

RANK = 3
CORES: dict[str, Callable[..., Any]] = {
    "factors": lambda h, j: extract_core(h, j, rank=Fixed(RANK)),
    "stream": lambda h, j: extract_stream(h.split(512), j.split(512), rank=Fixed(RANK)),
    "gramians": lambda h, j: naive.gramian_core(h, j, RANK),
    "product": lambda h, j: naive.product_core(h, j, RANK),
}


@pytest.mark.parametrize("size", list(cases.EXTRACTIONS))
def test_the_ways_to_extract_agree(size: str) -> None:
    inputs = cases.factors(*cases.EXTRACTIONS[size])
    core = CORES["factors"](*inputs)
    streamed = CORES["stream"](*inputs)
    assert overlap(core.basis, streamed.basis) == pytest.approx(1.0, abs=1e-8)
    for name in ("gramians", "product"):
        sigma, basis = CORES[name](*inputs)
        torch.testing.assert_close(sigma[:RANK], core.sigma[:RANK], rtol=1e-6, atol=0.0)
        assert overlap(core.basis, torch.linalg.qr(basis).Q) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("way", list(CORES))
@pytest.mark.parametrize("size", list(cases.EXTRACTIONS))
def test_extraction(benchmark: BenchmarkFixture, size: str, way: str) -> None:
    benchmark.group = f"extraction {size}"
    inputs = cases.factors(*cases.EXTRACTIONS[size])
    slow = size == "d1280" and way == "product"
    benchmark.pedantic(CORES[way], args=inputs, rounds=1 if slow else 5, warmup_rounds=0 if slow else 1)


def fast_scan() -> Any:
    case = cases.scan()
    head = case.model.head
    return rank_scan(case.states, case.targets, head.weight, head.bias, case.core)


def slow_scan() -> Any:
    case = cases.scan()
    return naive.rank_scan_by_evaluation(case.model, case.inputs, case.targets, case.site, case.core)


def test_both_rank_scans_agree() -> None:
    kept, removed = slow_scan()
    scan = fast_scan()
    # float32 logits of the model against float64 ones of the scan: a tie may fall otherwise for one pair in a thousand.
    np.testing.assert_allclose(scan.keep.numpy(), kept, atol=1e-3)
    np.testing.assert_allclose(scan.remove.numpy(), removed, atol=1e-3)


@pytest.mark.parametrize("way", ["closed form", "one evaluation a rank"])
def test_rank_scan(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "rank scan d128"
    cases.scan()
    if way == "closed form":
        benchmark.pedantic(fast_scan, rounds=5, warmup_rounds=1)
    else:
        benchmark.pedantic(slow_scan, rounds=1)


@pytest.mark.parametrize("models", [3, 5])
@pytest.mark.parametrize("way", ["ensemble", "separate loops"])
def test_training_epoch(benchmark: BenchmarkFixture, models: int, way: str) -> None:
    benchmark.group = f"training, {models} models, one epoch"
    recipe = cases.training(models)
    trainer = EnsembleTrainer(recipe)
    if way == "ensemble":
        benchmark.pedantic(trainer.advance, rounds=3)
    else:
        benchmark.pedantic(naive.train_separately, args=(recipe, *trainer.training_data), rounds=3)


@pytest.mark.parametrize("way", ["multinomial counts", "scipy.stats.bootstrap"])
def test_bootstrap_of_a_mean(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "bootstrap of a mean, 999 resamples of 3,000"
    values = np.random.default_rng(0).normal(size=3000)
    if way == "multinomial counts":
        benchmark(bootstrap_mean, "mean", values)
    else:
        benchmark(stats.bootstrap, (values,), np.mean, n_resamples=999, method="percentile", rng=0)


def test_verification_end_to_end(benchmark: BenchmarkFixture, subjects: Any) -> None:
    benchmark.group = "verification of markov.* at compact scale, stored weights"
    markov = subjects.subject("markov", "compact", **{"low-rank chain": "low-rank"})
    claims = [name for name in REGISTRY if name.startswith("markov.") and name != "markov.low_rank"]
    verdicts = benchmark.pedantic(lambda: [verify_claim(name, markov) for name in claims], rounds=1)
    assert len(verdicts) == len(claims)
