"""Every claim on every subject of the run that it speaks of; the plugin gives the test its parameters."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ace.errors import NotTrained
from ace.study.subject import LazySubject
from ace.threads import fair_share, threads
from ace.verify import Verdict, verify_claim


def test_claim(ace_claim: str, ace_subject: LazySubject, ace_settle: Callable[[Verdict], None]) -> None:
    """The claim is measured on the subject and its controls, judged, and held against what is documented.

    A claim about weights that nobody has trained, and that take hours, is skipped with the command that trains them.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    try:
        with threads(1 if ace_subject.single_thread else fair_share(workers)):
            verdict = verify_claim(ace_claim, ace_subject)
    except NotTrained as reason:
        pytest.skip(str(reason))
    ace_settle(verdict)
