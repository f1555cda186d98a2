"""Every claim on every subject of the run that it speaks of; the plugin gives the test its parameters."""

from __future__ import annotations

import os
from collections.abc import Callable

from ace.study.subject import LazySubject
from ace.study.threads import fair_share, threads
from ace.verify import Verdict, verify_claim


def test_claim(ace_claim: str, ace_subject: LazySubject, ace_settle: Callable[[Verdict], None]) -> None:
    """The claim is measured on the subject and its controls, judged, and held against what is documented."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    with threads(1 if ace_subject.single_thread else fair_share(workers)):
        verdict = verify_claim(ace_claim, ace_subject)
    ace_settle(verdict)
