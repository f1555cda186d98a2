"""Extraction from factors against extraction from formed Gramians."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ace.compare import overlap
from invariants.bench import cases

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("size", list(cases.SIZES))
def test_all_ways_to_extract_give_the_same_core(size: str) -> None:
    ways = cases.extraction(size)
    core = ways.pop("factors")()
    streamed = ways.pop("stream")()
    torch.testing.assert_close(streamed.sigma[: core.dimension], core.sigma[: core.dimension], rtol=1e-10, atol=0.0)
    assert overlap(core.basis, streamed.basis) == pytest.approx(1.0, abs=1e-10)
    for way in ways.values():
        sigma, basis, readers = way()
        torch.testing.assert_close(sigma[: core.dimension], core.sigma[: core.dimension], rtol=1e-8, atol=0.0)
        assert overlap(core.basis, basis) == pytest.approx(1.0, abs=1e-8)
        found, wanted = (torch.nn.functional.normalize(x, dim=1) for x in (readers, core.readers))
        torch.testing.assert_close((found * wanted).sum(dim=1).abs(), torch.ones(core.dimension, dtype=torch.float64))


@pytest.mark.parametrize("way", cases.EXTRACTION_WAYS)
@pytest.mark.parametrize("size", list(cases.SIZES))
def test_extraction(benchmark: BenchmarkFixture, size: str, way: str) -> None:
    benchmark.group = f"extraction {size}"
    slow = size in ("d512", "d1280") and way == "eigenvectors of C O"
    benchmark.pedantic(cases.extraction(size)[way], rounds=1 if slow else 5, warmup_rounds=0 if slow else 1)
