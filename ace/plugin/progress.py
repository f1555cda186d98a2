"""How far a claim is, on the terminal: a line for what takes long, which is gone when the test is over.

None where stderr is no terminal, nor in worker processes, nor without pytest's own reports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, TextIO

import pytest


def uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Inside, what is written is for the user, not for the captured output."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else nullcontext()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Show how far the test of a claim is."""
    reporter: Any = item.config.pluginmanager.getplugin("terminalreporter")
    worker = hasattr(item.config, "workerinput")
    if worker or reporter is None or item.get_closest_marker("ace_claim") is None or not _terminal(item.config):
        return (yield)
    from ace.progress import shown

    with ExitStack() as files:  # they are closed when nothing is shown any more

        def opened() -> TextIO:
            """The terminal itself, on a new line, while the test's own output is captured as before."""
            with uncaptured(item.config):
                reporter.ensure_newline()  # pytest then names the test again
                reporter.flush()
                return files.enter_context(os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8"))

        with shown(_title(item), opened=opened):
            return (yield)


def _terminal(config: pytest.Config) -> bool:
    with uncaptured(config):
        return sys.stderr is not None and sys.stderr.isatty()


def _title(item: pytest.Item) -> str:
    """The claim of the test's mark and its subject, where the test has both."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    subject = getattr(parameters.get("ace_subject"), "name", None)
    mark = item.get_closest_marker("ace_claim")
    return f"{mark.args[0]} on {subject}" if mark and mark.args and subject else item.name
