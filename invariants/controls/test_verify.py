"""What `verify_claim` asks of a subject and what it adds to the judge's verdict, on numbers in the place of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, count
from types import SimpleNamespace
from typing import Any, cast

import pytest

import ace.verify
from ace.errors import ClaimError, Inapplicable
from ace.stats import exact
from ace.study.claim import PAPER, Bound, Claim, Replication
from ace.study.measurement import Measurement, measures
from ace.study.memory import Memory
from ace.study.run_history import RunHistory
from ace.study.subject import LazySubject, Subject
from ace.verify import Status, verify_claim


@dataclass(eq=False)
class Number:
    """A number in the place of models."""

    value: float
    behaves: bool = True
    site: str = "nowhere"
    measured: int = 0

    def require_behaviour(self, name: str) -> None:
        """Refuse, where it has no task to perform."""
        if not self.behaves:
            raise Inapplicable(f"{name} cannot count")


@measures("negated")
def number(subject: Subject[Number]) -> Measurement:
    """The number, and its negative."""
    subject.trained.measured += 1
    value = subject.trained.value
    return Measurement((exact("0", value),), {"negated": (exact("0", -value),)}, details={"digits": 1})


POSITIVE = Claim("t.positive", "A.", "ours", "a number", Bound(">=", 0.0), "null", "why", ("negated",), measure=number)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts claims where `verify_claim` looks for them."""

    def put(*sentences: Claim) -> None:
        monkeypatch.setattr(ace.verify, "find_claim", {each.id: each for each in sentences}.__getitem__)

    put(POSITIVE)
    return put


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is read at 100 s, two seconds later, three after that and so on: no two spans are alike."""
    times: Iterator[float] = accumulate(count(2), initial=100.0)
    monkeypatch.setattr(ace.verify, "time", SimpleNamespace(perf_counter=lambda: next(times)))


def subject(value: float = 1.0, name: str = "one", **more: Any) -> Subject[Number]:
    return Subject(name, "t", Number(value), rerun=f"ace verify {{claim}} --subject {name}", **more)


@pytest.mark.parametrize(("value", "status"), [(1.0, Status.HOLDS), (-1.0, Status.FAILS)])
@pytest.mark.usefixtures("claims", "ticking")
def test_a_verdict_says_of_what_where_by_which_command_and_how_long_it_took(value: float, status: Status) -> None:
    verdict = verify_claim("t.positive", subject(value))
    assert verdict.status is status
    assert verdict.claim is POSITIVE
    assert (verdict.subject, verdict.site) == ("one", "nowhere")
    assert verdict.command == "ace verify t.positive --subject one"
    assert verdict.seconds == 2.0
    assert verdict.details == {"digits": 1}
    assert verdict.replication == ()  # of a sentence of ours


def test_a_claim_is_measured_once_a_subject_and_remembered_for_it_alone(
    claims: Callable[..., None], ticking: None
) -> None:
    claims(POSITIVE, replace(POSITIVE, id="t.small", bound=Bound("<=", 0.0)))
    memory = Memory()
    one, two = subject(1.0, "one", memory=memory), subject(-1.0, "two", memory=memory)
    first, again = verify_claim("t.positive", one), verify_claim("t.positive", one)
    assert one.trained.measured == 1
    assert first == again  # the seconds that it took, not those of looking it up
    assert verify_claim("t.positive", two).status is Status.FAILS
    other = verify_claim("t.small", one)
    assert (other.status, other.claim.id) == (Status.FAILS, "t.small")
    assert one.trained.measured == 2


@pytest.mark.usefixtures("claims")
def test_a_claim_is_not_put_to_a_subject_of_another_kind() -> None:
    other = replace(subject(), about="fish")
    with pytest.raises(ClaimError, match=r"^t\.positive: expected a subject about t, got one: fish$"):
        verify_claim("t.positive", other)
    assert other.trained.measured == 0


# --- what does not apply ----------------------------------------------------------------------------------------------
def test_behaviour_is_asked_of_models_only_where_the_claim_needs_it(claims: Callable[..., None], ticking: None) -> None:
    claims(POSITIVE, replace(POSITIVE, id="t.anyway", needs_behaviour=False))
    idle = subject()
    idle.trained.behaves = False
    refused = verify_claim("t.positive", idle)
    assert (refused.status, refused.reason) == (Status.INAPPLICABLE, "one cannot count")
    assert (refused.claim, refused.subject, refused.seconds) == (POSITIVE, "one", 2.0)
    assert refused.command == "ace verify t.positive --subject one"
    assert idle.trained.measured == 0
    assert verify_claim("t.anyway", idle).status is Status.HOLDS


def test_what_cannot_be_measured_is_inapplicable_and_every_other_error_is_an_error(claims: Callable[..., None]) -> None:
    @measures()
    def absent(subject: Subject[Number]) -> Measurement:
        """Nothing."""
        raise Inapplicable("there is no number") if subject.name == "one" else ZeroDivisionError

    claims(replace(POSITIVE, controls=(), measure=absent))
    verdict = verify_claim("t.positive", subject())
    assert (verdict.status, verdict.reason) == (Status.INAPPLICABLE, "there is no number")
    with pytest.raises(ZeroDivisionError):
        verify_claim("t.positive", subject(name="two"))


@pytest.mark.usefixtures("claims")
def test_a_subject_to_come_is_made_when_it_is_asked_and_is_inapplicable_where_it_cannot_be() -> None:
    made = subject(name="later")
    assert verify_claim("t.positive", LazySubject("later", "t", lambda: made)) == verify_claim("t.positive", made)
    assert made.trained.measured == 1

    def absent() -> Subject[Number]:
        raise Inapplicable("no such file")

    lazy = LazySubject("later", "t", absent, rerun="ace verify {claim}")
    verdict = verify_claim("t.positive", lazy)
    assert (verdict.status, verdict.reason) == (Status.INAPPLICABLE, "no such file")
    assert (verdict.claim, verdict.subject) == (POSITIVE, "later")
    assert (verdict.command, verdict.seconds) == ("ace verify t.positive", 0.0)


# --- what is added ----------------------------------------------------------------------------------------------------
def test_the_site_is_that_of_the_measurement_where_it_names_one(claims: Callable[..., None]) -> None:
    elsewhere = measures("negated")(lambda subject: replace(number.compute(subject), site="elsewhere"))
    claims(replace(POSITIVE, measure=elsewhere))
    assert verify_claim("t.positive", subject()).site == "elsewhere"


@pytest.mark.usefixtures("claims")
def test_how_far_models_were_trained_stands_beside_what_was_measured() -> None:
    history = SimpleNamespace(progress={"epochs": 3, "of": 9}, require_generalised=lambda: None)
    verdict = verify_claim("t.positive", subject(history=cast(RunHistory, history)))
    assert verdict.details == {"digits": 1, "trained": {"epochs": 3, "of": 9}}


def test_a_sentence_of_the_paper_has_what_its_protocol_gives_or_why_it_gives_nothing(
    claims: Callable[..., None],
) -> None:
    def protocol(asked: Subject[Number]) -> tuple[float, ...]:
        if asked.name == "one":
            return (asked.trained.value, 2.0)
        raise Inapplicable("the paper asks for two")

    claims(replace(POSITIVE, kind="P", source=f"{PAPER}, somewhere", replication=Replication("2", protocol, "")))
    assert verify_claim("t.positive", subject(1.5)).replication == (1.5, 2.0)
    without = verify_claim("t.positive", subject(name="two"))
    assert (without.status, without.replication) == (Status.HOLDS, "the paper asks for two")


@pytest.mark.parametrize("behaves", [True, False])
@pytest.mark.usefixtures("claims")
def test_every_verdict_says_which_models_it_is_not_about(behaves: bool) -> None:
    alone, others = subject(), subject(left_out={"two": "two cannot count", "three": "no such file"})
    for one in (alone, others):
        one.trained.behaves = behaves
    plain, verdict = verify_claim("t.positive", alone), verify_claim("t.positive", others)
    assert plain.status is verdict.status is (Status.HOLDS if behaves else Status.INAPPLICABLE)
    assert verdict.reason == f"{plain.reason}; left out: two cannot count; no such file"
    assert verdict.details == {**plain.details, "left out": {"two": "two cannot count", "three": "no such file"}}
    assert "left out" not in plain.details


def test_a_verdict_has_the_fingerprint_of_what_it_is_about(
    claims: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = subject()
    monkeypatch.setattr(ace.verify, "fingerprint", lambda made: {"weights": made.name})
    assert verify_claim("t.positive", asked).fingerprint == {"weights": "one"}
