"""Every claim on something where it must fail: its own controls, and subjects with a planted fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from ace.families.family import find_claim, registry
from ace.plugin import options
from ace.study.subject import LazySubject
from ace.verify import Status, verify_claim
from invariants.controls.planted import with_complements, with_permuted_seeds, with_random_axes, with_random_cores

FAULTS = {
    with_random_cores: (
        "hidden_markov.inner_transplant",
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
    with_permuted_seeds: (
        "hidden_markov.inner_belief",
        "hidden_markov.inner_alignment",
        "hidden_markov.inner_transplant",
        "markov.alignment",
        "markov.transplant",
        "modadd.universality",
    ),
}
CASES = [pytest.param(fault, claim, id=f"{fault.__name__}-{claim}") for fault, ids in FAULTS.items() for claim in ids]


SMALLEST = {
    "markov": "markov-{scale}",
    "low_rank": "low-rank",
    "hidden_markov": "hidden-markov",
    "hidden_markov_inner": "hidden-markov-deep-2",
    "modadd": "modadd-{scale}",
    "agreement": "agreement-small",
    "agreement_family": "agreement-family",
}
CLAIMS = [claim.id for claim in registry().values() if claim.about in SMALLEST]  # those of the project's own subjects


def subject_of(request: pytest.FixtureRequest, claim: str) -> LazySubject:
    """The subject of a claim that costs least."""
    name = SMALLEST[find_claim(claim).about].format(scale=options(request.config).scale or "compact")
    subjects: Mapping[str, LazySubject] = request.getfixturevalue("subjects")
    return subjects[name]


@cache
def faulty(fault: Callable[[Any], Any], subject: LazySubject) -> Any:
    return fault(subject.subject())


@pytest.mark.parametrize("claim", CLAIMS)
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
    subject = subject_of(request, "markov.sufficiency").subject()
    verdict = verify_claim("markov.sufficiency", replace(subject, name="untrained", trained=subject.twins()))
    assert verdict.status is Status.INAPPLICABLE
    assert "not above chance" in verdict.reason
