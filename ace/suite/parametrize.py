"""Claims times subjects as parameters of a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from ace.check import check_choice
from ace.errors import ClaimError, InputError
from ace.families.family import registry
from ace.study.subject import LazySubject, Subject
from ace.verify import Status
from ace.zoo.named import lazy_subject

ARGUMENTS = ("ace_claim", "ace_subject")
Expected = Mapping[str, str | Sequence[str]]


def parametrize_with_claims(
    subjects: Iterable[Subject[Any] | LazySubject | str],
    *,
    select: str | Sequence[str] = "*",
    expected: Expected | None = None,
) -> pytest.MarkDecorator:
    """Decorator: the test runs once for every claim that speaks of a subject, with `ace_claim` and `ace_subject`.

    For example::

        @ace.parametrize_with_claims(["./checkpoint"], select="agreement.*", expected={"agreement.flip": "VACUOUS"})
        def test_claims(ace_claim, ace_subject, ace_settle):
            ace_settle(ace.verify_claim(ace_claim, ace_subject))

    Args:
        subjects: subjects; "package.module:function" that gives one, which is called now; or folders, GGUF files,
            short names or hub names of causal language models, which are loaded when their first claim is verified.
        select: patterns of claim ids; `*` stands for anything.
        expected: claim id -> the verdict, or verdicts, that are known for it on every subject given here, and accepted;
            any other is a failure.

    Raises:
        ClaimError: a pattern or an expected id that fits no claim of these subjects.
        InputError: something that is no subject, two subjects of one name, or verdicts that are none.
    """
    patterns = (select,) if isinstance(select, str) else tuple(select)
    each = _subjects(subjects)
    chosen = claims_of(each, patterns)
    known = {identifier for identifier, _ in chosen}
    idle = [("select", name) for name in patterns if not any(fnmatchcase(identifier, name) for identifier in known)]
    idle += [("expected", name) for name in expected or {} if name not in known]
    for argument, name in idle:
        shown = ", ".join(sorted({one.about for one in each})) or "no subject"
        raise ClaimError(f"{argument}: expected ids of claims about {shown}, got {name!r}")
    return pytest.mark.parametrize(ARGUMENTS, [_parameter(*pair, expected or {}) for pair in chosen])


def _subjects(given: Iterable[Subject[Any] | LazySubject | str]) -> list[Subject[Any] | LazySubject]:
    """What the test is run for; names become subjects."""
    if isinstance(given, str | Subject | LazySubject):
        raise InputError(f"subjects: expected a list of subjects or names, got one {type(given).__name__}")
    each = [lazy_subject(one) if isinstance(one, str) else one for one in given]
    for one in each:
        if not isinstance(one, Subject | LazySubject):
            raise InputError(f"subjects: expected subjects or names of them, got {type(one).__name__}")
    require_different_names(each)
    return each


def require_different_names(subjects: Iterable[Subject[Any] | LazySubject]) -> None:
    """Refuse two subjects of one name: results are told apart by it.

    Raises:
        InputError: there are two.
    """
    counts = Counter(subject.name for subject in subjects)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise InputError(f"subjects: expected different names, got {', '.join(twice)} more than once")


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
    for verdict in verdicts:
        check_choice(f"expected[{identifier!r}]", verdict, tuple(Status))
    mark = pytest.mark.ace_claim(identifier, expected=verdicts) if verdicts else pytest.mark.ace_claim(identifier)
    return pytest.param(identifier, subject, id=f"{identifier}-{subject.name}", marks=mark)


def parameters_of(subjects: Sequence[Subject[Any] | LazySubject]) -> list[Any]:
    """Parameters of the suite's test: every claim of every subject."""
    return [_parameter(*pair, {}) for pair in claims_of(subjects)]
