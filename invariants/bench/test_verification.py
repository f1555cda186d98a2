"""Verification end to end on stored weights."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ace.study.subject import LazySubject
from ace.suite.parametrize import claims_of
from ace.verify import Verdict, verify_claim

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("name", ["markov-compact", "modadd-compact"])
def test_verification_of_a_subject_at_compact_scale(
    benchmark: BenchmarkFixture, subjects: Mapping[str, LazySubject], name: str
) -> None:
    benchmark.group = f"verification, {name}"
    claims = [claim for claim, _ in claims_of([subjects[name]])]

    def verify() -> list[Verdict]:
        subjects[name].memory.clear()
        return [verify_claim(claim, subjects[name]) for claim in claims]

    verdicts = benchmark.pedantic(verify, rounds=1)
    assert [verdict.claim.id for verdict in verdicts] == claims
