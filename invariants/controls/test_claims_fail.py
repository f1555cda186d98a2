"""Every claim on something where it must fail: its own controls, and subjects with a planted fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from ace.claims import REGISTRY
from ace.plugin import options
from ace.verify import Status, verify_claim
from invariants.controls.planted import with_complements, with_permuted_seeds, with_random_axes, with_random_cores

FAULTS = {
    with_random_cores: (
        "markov.sufficiency",
        "markov.sufficiency_loss",
        "markov.necessity",
        "markov.alignment",
        "markov.spectrum",
        "markov.oracle_r2",
        "markov.transplant",
        "markov.generation",
        "modadd.sufficiency",
        "modadd.necessity",
        "modadd.rotation",
    ),
    with_complements: (
        "markov.sufficiency",
        "markov.sufficiency_loss",
        "markov.necessity",
        "modadd.sufficiency",
        "modadd.necessity",
    ),
    with_random_axes: (
        "agreement.necessity",
        "agreement.flip",
        "agreement.dose",
        "agreement.transfer",
        "agreement.generation",
    ),
    with_permuted_seeds: ("markov.alignment", "markov.transplant", "modadd.universality"),
}
CASES = [pytest.param(fault, claim, id=f"{fault.__name__}-{claim}") for fault, ids in FAULTS.items() for claim in ids]


def subject_of(request: pytest.FixtureRequest, claim: str) -> Any:
    if claim.startswith("agreement."):
        languages = request.getfixturevalue("languages")
        sizes = ("small", "medium", "large")
        return languages.family(sizes) if claim == "agreement.scales" else languages.subject("small")
    subjects = request.getfixturevalue("subjects")
    if claim == "markov.low_rank":
        return subjects.subject("low-rank", None)
    if claim.startswith("hidden_markov."):
        return subjects.subject("hidden-markov", None)
    scale = options(request.config).scale or "compact"
    if claim.startswith("modadd."):
        return subjects.grokking("modadd", scale)
    return subjects.subject("markov", scale, **{"low-rank chain": "low-rank"})


@cache
def faulty(fault: Callable[[Any], Any], subject: Any) -> Any:
    return fault(subject)


@pytest.mark.parametrize("claim", list(REGISTRY))
def test_each_claim_is_outside_its_bound_on_one_of_its_controls(claim: str, request: pytest.FixtureRequest) -> None:
    verdict = verify_claim(claim, subject_of(request, claim))
    required = {name: control.place for name, control in verdict.controls.items() if control.required}
    assert "outside" in required.values(), f"{claim} fails on none of its controls: {required}"


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "claim"), CASES)
def test_each_planted_fault_fails_the_claims_it_breaks(
    fault: Callable[[Any], Any], claim: str, request: pytest.FixtureRequest
) -> None:
    verdict = verify_claim(claim, faulty(fault, subject_of(request, claim)))
    assert verdict.status is Status.FAILS, f"{claim} came out {verdict.status} on {verdict.subject}: {verdict.reason}"


def test_untrained_models_lack_the_behaviour(request: pytest.FixtureRequest) -> None:
    subject = subject_of(request, "markov.sufficiency")
    verdict = verify_claim("markov.sufficiency", replace(subject, name="untrained", trained=subject.untrained))
    assert verdict.status is Status.INAPPLICABLE
    assert "not above chance" in verdict.reason
