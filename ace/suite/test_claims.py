"""Every claim on every subject of the run that it speaks of."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ace.study.subject import LazySubject
from ace.study.threads import fair_share, threads
from ace.suite.parametrize import ARGUMENTS, parameters_of
from ace.verify import Verdict, verify_claim

NOTHING = (
    "nothing to verify: give a causal language model, --ace-model=NAME_OR_FOLDER, or a function of your own that makes"
    " a subject, --ace-subject=package.module:function"
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parameters from what the run was asked to verify."""
    from ace.plugin import refuse, subjects_of_run

    subjects = subjects_of_run(metafunc.config)
    if not subjects:
        refuse(metafunc.config, NOTHING)
    metafunc.parametrize(ARGUMENTS, parameters_of(subjects))


def test_claim(ace_claim: str, ace_subject: LazySubject, ace_settle: Callable[[Verdict], None]) -> None:
    """The claim is measured on the subject and its controls, judged, and held against what is documented."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    with threads(1 if ace_subject.single_thread else fair_share(workers)):
        verdict = verify_claim(ace_claim, ace_subject)
    ace_settle(verdict)
