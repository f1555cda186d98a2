"""Under pytest-xdist: what worker processes are told, what they report back, and who runs which test."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest

from ace.plugin.expected import Expectation
from ace.plugin.options import read_options
from ace.plugin.session import REFUSED, SESSION, Session

INPUT = "ace"  # entry of a worker's input


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker what the controlling process has read and checked, so that no worker checks it again."""
    session = node.config.stash[SESSION]
    node.workerinput[INPUT] = {
        "started": session.started.isoformat(),
        "expectations": [(each.claim, each.subject, each.verdicts, each.reason) for each in session.expectations],
        "deferred": session.deferred,
        "grouped": session.grouped,
    }


def worker_session(config: pytest.Config) -> Session:
    """The state of a run in a worker process."""
    told = config.workerinput[INPUT]  # type: ignore[attr-defined]
    if told["grouped"]:
        config.option.loadgroup = True  # the worker's part of xdist then adds a test's group to its id
    return Session(
        datetime.fromisoformat(told["started"]),
        read_options(config),
        tuple(Expectation(*each) for each in told["expectations"]),
        deferred=told["deferred"],
        grouped=told["grouped"],
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """End the run where a worker refused it; xdist would report an internal error.

    Raises:
        pytest.UsageError: with the worker's text.
    """
    text = getattr(node, "workeroutput", {}).get(REFUSED)
    if text:
        raise pytest.UsageError(text)


@pytest.hookimpl(trylast=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal tests out by group where there are groups; tests without one are dealt out singly."""
    if not config.stash[SESSION].grouped:
        return None
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

    return LoadGroupScheduling(config, log)


def group_items(items: Iterable[pytest.Item]) -> None:
    """Mark tests with the parameter `ace_subject` by their subject's `group`: xdist keeps a group on one worker.

    A subject's trained models and measured states are kept in memory, once in each process that needs them.
    """
    for item in items:
        subject = getattr(item, "callspec", None) and item.callspec.params.get("ace_subject")  # type: ignore[attr-defined]
        group = getattr(subject, "group", None)
        if group:
            item.add_marker(pytest.mark.xdist_group(str(group)))
