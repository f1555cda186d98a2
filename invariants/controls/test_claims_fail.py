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
from ace.study.subspaces import REST
from ace.verify import Status, verify_claim
from invariants.controls.planted import with_permuted_seeds, with_random_axes, with_random_cores, with_the_rest
from invariants.controls.planted_addition import fragile_at_the_branch, nothing_grows, quiet_cores
from invariants.controls.planted_chains import with_large_cores

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
    with_the_rest: (
        "markov.sufficiency",
        "markov.sufficiency_loss",
        "markov.necessity",
    ),
    with_large_cores: ("markov.consensus",),
    quiet_cores: ("modadd.sufficiency", "modadd.necessity"),
    fragile_at_the_branch: ("modadd.no_inflation",),
    nothing_grows: ("modadd.inflation", "modadd.redundancy"),
    with_random_axes: (
        "agreement.advantage",
        "agreement.necessity",
        "agreement.flip",
        "agreement.dose",
        "agreement.transfer",
        "agreement.generation",
        "agreement.final_norm",
    ),
    with_permuted_seeds: (
        "hidden_markov.alignment",
        "hidden_markov.inner_belief",
        "hidden_markov.inner_alignment",
        "hidden_markov.inner_transplant",
        "markov.alignment",
        "markov.transplant",
        "modadd.universality",
    ),
}
# On the smallest subject their one control straddles the bound, or is inside: a planted fault shows that they can fail.
STRADDLING = (
    "agreement.final_norm",
    "hidden_markov.alignment",
    "markov.consensus",
    "modadd.no_inflation",
    "modadd.redundancy",
)
# The rest does as well, or in some seed better, on the smallest subject; that they can fail, models of ours show.
FAILING = {"agreement.attractor": "agreement-small", "agreement.knob_within": "agreement-medium"}
CASES = [pytest.param(fault, claim, id=f"{fault.__name__}-{claim}") for fault, ids in FAULTS.items() for claim in ids]


SMALLEST = {
    "markov": "markov-{scale}",
    "low_rank": "low-rank",
    "hidden_markov": "hidden-markov",
    "hidden_markov_inner": "hidden-markov-deep-2",
    "modadd": "modadd-{scale}",
    "agreement": "agreement-medium",
    "agreement_family": "agreement-family",
}
# Those of the project's own subjects; one without controls has a planted fault, see `test_registry`.
CLAIMS = [claim.id for claim in registry().values() if claim.about in SMALLEST and claim.controls]


def subject_of(request: pytest.FixtureRequest, claim: str) -> LazySubject:
    """The subject of a claim that costs least."""
    name = SMALLEST[find_claim(claim).about].format(scale=options(request.config).scale or "compact")
    subjects: Mapping[str, LazySubject] = request.getfixturevalue("subjects")
    return subjects[name]


@cache
def faulty(fault: Callable[[Any], Any], subject: LazySubject) -> Any:
    return fault(subject.subject())


def test_what_straddles_its_control_fails_on_a_planted_fault() -> None:
    assert set(STRADDLING) <= {claim for ids in FAULTS.values() for claim in ids}


@pytest.mark.parametrize(("claim", "name"), FAILING.items())
def test_what_the_rest_does_as_well_fails_on_a_model_of_ours(
    claim: str, name: str, subjects: Mapping[str, LazySubject]
) -> None:
    assert verify_claim(claim, subjects[name]).status is Status.FAILS


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim not in (*STRADDLING, *FAILING)])
def test_each_claim_is_outside_its_bound_on_one_of_its_controls(claim: str, request: pytest.FixtureRequest) -> None:
    verdict = verify_claim(claim, subject_of(request, claim))
    required = verdict.controls
    # A core that fails may well rank among the rest; the best draw of it must then be outside the bound itself.
    outside = [
        control.place == "outside"
        or (name == REST and verdict.claim.bound.margin(control.value, verdict.threshold) < 0)
        for name, control in required.items()
    ]
    assert any(outside), f"{claim} fails on none of its controls: {required}"


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
