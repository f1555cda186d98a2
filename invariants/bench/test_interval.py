"""Bootstrap intervals by multinomial counts against scipy's resampling."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from invariants.bench import cases

pytestmark = pytest.mark.bench


def test_both_intervals_agree() -> None:
    ours, theirs = (way() for way in cases.interval().values())
    # Each end has a Monte-Carlo error of 3% of the width with 999 resamples, and blocks of clusters another 2%.
    assert ours == pytest.approx(theirs, abs=0.15 * (theirs[1] - theirs[0]))


@pytest.mark.parametrize("way", cases.INTERVAL_WAYS)
def test_interval(benchmark: BenchmarkFixture, way: str) -> None:
    benchmark.group = "bootstrap interval over 3,000 clusters"
    benchmark.pedantic(cases.interval()[way], rounds=5, warmup_rounds=1)
