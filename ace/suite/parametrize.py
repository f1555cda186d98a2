"""Claims times subjects as parameters of a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from ace.errors import ClaimError
from ace.families.family import registry
from ace.study.subject import LazySubject, Subject
from ace.zoo.named import ModelSource, lazy_model

ARGUMENTS = ("ace_claim", "ace_subject")
Expected = Mapping[str, str | Sequence[str]]


def parametrize_with_claims(
    subjects: Iterable[Subject[Any] | LazySubject | str],
    *,
    select: str | Sequence[str] = "*",
    expected: Expected | None = None,
) -> pytest.MarkDecorator:
    """Decorator: the test runs once for every claim that speaks of a subject, with `ace_claim` and `ace_subject`.

        @ace.parametrize_with_claims(["./checkpoint"], select="agreement.*", expected={"agreement.flip": "VACUOUS"})
        def test_claims(ace_claim, ace_subject, ace_settle):
            ace_settle(ace.verify_claim(ace_claim, ace_subject))

    Args:
        subjects: subjects, or folders or hub names of causal language models, which are loaded when their first claim
            is verified.
        select: patterns of claim ids; `*` stands for anything.
        expected: claim id -> the verdict, or verdicts, that are known for it and accepted; any other is a failure.

    Raises:
        ClaimError: a pattern or an expected id that fits no claim of these subjects.
    """
    patterns = (select,) if isinstance(select, str) else tuple(select)
    lazy = [lazy_model(ModelSource(one)) if isinstance(one, str) else one for one in subjects]
    chosen = claims_of(lazy, patterns)
    known = {identifier for identifier, _ in chosen}
    for name in (*patterns, *(expected or {})):
        if not any(fnmatchcase(identifier, name) for identifier in known):
            shown = ", ".join(sorted({one.about for one in lazy})) or "no subject"
            raise ClaimError(f"expected ids of claims about {shown}, got {name!r}")
    return pytest.mark.parametrize(ARGUMENTS, [_parameter(*pair, expected or {}) for pair in chosen])


def claims_of(
    subjects: Sequence[Subject[Any] | LazySubject], patterns: Sequence[str] = ("*",)
) -> list[tuple[str, Subject[Any] | LazySubject]]:
    """(claim id, subject) of every claim that speaks of a subject and fits a pattern, subject by subject."""
    return [
        (claim.id, subject)
        for subject in subjects
        for claim in registry().values()
        if claim.about == subject.about and any(fnmatchcase(claim.id, pattern) for pattern in patterns)
    ]


def _parameter(identifier: str, subject: Subject[Any] | LazySubject, expected: Expected) -> Any:
    accepted = expected.get(identifier, ())
    verdicts = (accepted,) if isinstance(accepted, str) else tuple(accepted)
    mark = pytest.mark.ace_claim(identifier, expected=verdicts) if verdicts else pytest.mark.ace_claim(identifier)
    return pytest.param(identifier, subject, id=f"{identifier}-{subject.name}", marks=mark)


def parameters_of(subjects: Sequence[Subject[Any] | LazySubject]) -> list[Any]:
    """Parameters of the suite's test: every claim of every subject."""
    return [_parameter(*pair, {}) for pair in claims_of(subjects)]
