"""Verification end to end on stored weights."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ace.claims import REGISTRY
from ace.verify import verify_claim

pytestmark = pytest.mark.bench


def test_verification_of_all_markov_claims_at_compact_scale(benchmark: BenchmarkFixture, subjects: Any) -> None:
    benchmark.group = "verification"
    subject = subjects.subject("markov", "compact", **{"low-rank chain": "low-rank"})
    claims = [name for name in REGISTRY if name.startswith("markov.") and name != "markov.low_rank"]
    verdicts = benchmark.pedantic(lambda: [verify_claim(name, subject) for name in claims], rounds=1)
    assert [verdict.claim.id for verdict in verdicts] == claims
