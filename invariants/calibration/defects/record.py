"""The record of a planted defect, and the ways in which one is caught: by a verdict, by a property, by a refusal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, settings

from ace.errors import AceError
from ace.families.family import find_claim
from ace.study.language_subjects import AGREEMENT
from ace.verify import Status, verify_claim
from invariants.controls import synthetic

Check = Callable[[bool], str]  # with the defect or without -> what is amiss, or ""
Subject = Callable[[], Any]  # makes a subject anew
Patch = tuple[object, str, object]  # where, which attribute, what stands in its place


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong, and what of the project's own tells.

    Attributes:
        kind: what sort of thing.
        name: what is wrong.
        caught_by: the claim whose verdict tells, or the property, or the call that is refused.
        check: gives what is amiss with the defect or without it: something with it, and nothing without.
    """

    kind: str
    name: str
    caught_by: str
    check: Check


EXAMPLES = 25
SETTINGS = "_hypothesis_internal_use_settings"  # of a test; where Hypothesis names it otherwise it only takes longer


def quick_settings(given: settings) -> settings:
    """A test's settings, the same whoever runs it: 25 examples at most, drawn alike each time, none made smaller."""
    return settings(
        given,
        phases=(Phase.explicit, Phase.generate),
        max_examples=min(given.max_examples, EXAMPLES),
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
    )


def outcome(test: Callable[..., object], **arguments: object) -> str:
    """How a test fails, or "".

    Raises:
        Whatever ends it but a failed assertion: a defect that does not even run is none.
    """
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(test, SETTINGS):
            patch.setattr(test, SETTINGS, quick_settings(getattr(test, SETTINGS)))
        try:
            test(**arguments)
        except (AssertionError, pytest.fail.Exception):
            return "fails"
    return ""


def status_of(identifier: str, subject: Any) -> Status:
    """The verdict on a subject: of a synthetic one without the published protocol, for which it has no words."""
    if find_claim(identifier).about == AGREEMENT:
        return synthetic.verdict(identifier, subject).status
    return verify_claim(identifier, subject).status


def by_claim(
    kind: str,
    name: str,
    identifier: str,
    planted: Subject,
    sound: Subject,
    *,
    patches: tuple[Patch, ...] = (),
    passes: Status = Status.HOLDS,
) -> Defect:
    """A defect that a verdict tells: it is not what it is without.

    Args:
        planted, sound: make the subject with the defect, and without.
        patches: the defect, where it is in the code and not in the subject.
        passes: the verdict without the defect, where that is not HOLDS: VACUOUS lies inside the bound too.
    """

    def check(faulty: bool) -> str:
        with patched(patches if faulty else ()):
            status = status_of(identifier, (planted if faulty else sound)())
        return "" if status is passes else str(status)

    return Defect(kind, name, identifier, check)


def by_property(
    kind: str,
    name: str,
    test: Callable[..., object],
    *,
    planted: dict[str, object] | None = None,
    sound: dict[str, object] | None = None,
    patches: tuple[Patch, ...] = (),
) -> Defect:
    """A defect that a test tells: it fails with it, and passes without.

    Args:
        planted, sound: arguments of the test with the defect and without, such as the extractor under test.
        patches: the defect, where it is in the code.
    """

    def check(faulty: bool) -> str:
        with patched(patches if faulty else ()):
            return outcome(test, **((planted if faulty else sound) or {}))

    module = test.__module__.rpartition(".")[2]
    return Defect(kind, name, f"{module}: {test.__name__.removeprefix('test_').replace('_', ' ')}", check)


def by_refusal(kind: str, name: str, call: str, planted: Subject, sound: Subject) -> Defect:
    """A defect that is refused by a named error, before anything is judged.

    Args:
        call: what refuses.
    """

    def check(faulty: bool) -> str:
        try:
            (planted if faulty else sound)()
        except AceError as error:
            return type(error).__name__
        return ""

    return Defect(kind, name, call, check)


@contextmanager
def patched(patches: tuple[Patch, ...]) -> Any:
    """With other things in the place of some attributes."""
    with pytest.MonkeyPatch.context() as patch:
        for where, attribute, value in patches:
            patch.setattr(where, attribute, value)
        yield
