"""Under pytest-xdist: what worker processes are told, what they report back, and who runs which test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ace.plugin.options import read_options
from ace.plugin.session import REFUSED, SESSION, Session
from ace.report.documented import Expectation

INPUT = "ace"  # entry of a worker's input


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker what the controlling process has read and checked, so that no worker checks it again."""
    session = node.config.stash[SESSION]
    node.workerinput[INPUT] = {
        "started": session.started.isoformat(),
        "expectations": [(each.claim, each.subject, each.verdicts, each.reason) for each in session.expectations],
        "deferred": session.deferred,
        "groups": str(session.groups or ""),
        "baseline": session.baseline,
    }


def worker_session(config: pytest.Config) -> Session:
    """The state of a run in a worker process."""
    told = config.workerinput[INPUT]  # type: ignore[attr-defined]
    return Session(
        datetime.fromisoformat(told["started"]),
        read_options(config),
        tuple(Expectation(*each) for each in told["expectations"]),
        told["baseline"],
        deferred=told["deferred"],
        groups=Path(told["groups"]) if told["groups"] else None,
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Hear what a worker selected, and end the run where it refused it; xdist would report an internal error.

    Raises:
        pytest.UsageError: with the worker's text.
    """
    output = getattr(node, "workeroutput", {})
    node.config.stash[SESSION].extent.told(output)
    text = output.get(REFUSED)
    if text:
        raise pytest.UsageError(text)


@pytest.hookimpl(trylast=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where there are subjects, deal their tests out by group, and those of others singly."""
    folder = config.stash[SESSION].groups
    return None if folder is None else _scheduling()(config, log, folder)


def _scheduling() -> Any:
    """A class of xdist's scheduling, which is imported only where it is used."""
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

    class SubjectScheduling(LoadGroupScheduling):  # type: ignore[misc]
        """Scheduling by group, with the groups that workers have written to a folder.

        xdist itself passes a group on as a part of the test's id, which pytest 9.2 no longer lets it change.
        """

        def __init__(self, config: pytest.Config, log: Any, folder: Path) -> None:
            super().__init__(config, log)
            self._folder = folder
            self._groups: dict[str, str] = {}

        def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
            written = self._folder / f"{node.gateway.id}.json"
            if written.exists():  # a worker on another machine writes there: its tests are dealt out singly
                self._groups.update(json.loads(written.read_text(encoding="utf-8")))
            super().add_node_collection(node, collection)

        def _split_scope(self, nodeid: str) -> str:
            return self._groups.get(nodeid) or str(super()._split_scope(nodeid))

    return SubjectScheduling


def write_groups(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """In a worker: write down the group of every test that has one, for the controlling process to read."""
    folder = config.stash[SESSION].groups
    if folder is not None and hasattr(config, "workerinput"):
        written = folder / f"{config.workerinput['workerid']}.json"
        written.write_text(json.dumps(groups_of(items)), encoding="utf-8")


def groups_of(items: Iterable[pytest.Item]) -> dict[str, str]:
    """Test id -> group: the attribute `group` of the parameter `ace_subject`, of tests that have one.

    A subject's trained models and measured states are kept in memory, once in each process that needs them.
    """
    groups = {}
    for item in items:
        callspec = getattr(item, "callspec", None)
        subject = callspec.params.get("ace_subject") if callspec else None
        group = getattr(subject, "group", None)
        if group:
            groups[item.nodeid] = str(group)
    return groups
