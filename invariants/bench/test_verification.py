"""Verification end to end on stored weights."""

from __future__ import annotations

from typing import Any

import pytest
from ace.claims import REGISTRY
from pytest_benchmark.fixture import BenchmarkFixture

from ace.verify import verify_claim

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("family", ["markov", "modadd"])
def test_verification_of_a_family_at_compact_scale(benchmark: BenchmarkFixture, subjects: Any, family: str) -> None:
    benchmark.group = f"verification, {family}"
    if family == "markov":
        subject = subjects.subject("markov", "compact", **{"low-rank chain": "low-rank"})
    else:
        subject = subjects.grokking("modadd", "compact")
    claims = [name for name in REGISTRY if name.startswith(f"{family}.") and name != "markov.low_rank"]
    verdicts = benchmark.pedantic(lambda: [verify_claim(name, subject) for name in claims], rounds=1)
    assert [verdict.claim.id for verdict in verdicts] == claims
