"""How much of what a run was to measure it did measure, and why it measured less: a baseline must say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

EXTENT = "ace_extent"  # entry of a worker's output
SETTLING = "ace_settle"
NAMED = 8  # of claims without a result


@dataclass
class Extent:
    """What was selected of the tests that settle verdicts.

    Attributes:
        selected: their ids.
        deselected: ids of those that -k, -m and the like left out.
        chosen: how tests were chosen, in words of the command line.
        stopped: what ended the run before its end, in words.
    """

    selected: set[str] = field(default_factory=set)
    deselected: set[str] = field(default_factory=set)
    chosen: str = ""
    stopped: str = ""

    def collected(self, config: pytest.Config, items: Iterable[pytest.Item]) -> None:
        """Note what was selected, and in a worker process tell the controlling one."""
        self.selected = _settling(items)
        self.chosen = _chosen(config)
        output: dict[str, Any] | None = getattr(config, "workeroutput", None)
        if output is not None:
            output[EXTENT] = [sorted(self.selected), sorted(self.deselected), self.chosen]

    def left_out(self, items: Sequence[pytest.Item]) -> None:
        """Note what was deselected."""
        self.deselected |= _settling(items)

    def told(self, output: Mapping[str, Any]) -> None:
        """Take over what a worker process noted; all of them collect the same."""
        if EXTENT in output:
            selected, deselected, self.chosen = output[EXTENT]
            self.selected |= set(selected)
            self.deselected |= set(deselected)

    @property
    def narrowed(self) -> str:
        """How the run was narrowed before it began, in words; "" where it was not."""
        by = f" ({self.chosen})" if self.chosen else ""
        if self.deselected:
            return f"{len(self.deselected)} of {len(self.deselected | self.selected)} claims were deselected{by}"
        return f"single tests were chosen{by}" if self.chosen and "::" in self.chosen else ""

    def record(self, measured: Iterable[str]) -> dict[str, Any]:
        """As plain values: whether all was measured, and why not.

        Args:
            measured: ids of the tests that gave results.
        """
        done = set(measured)
        because = [reason for reason in (self.narrowed, self.stopped) if reason]
        lacking = sorted(_short(test) for test in self.selected - done)
        if lacking:
            named = ", ".join([*lacking[:NAMED], *([f"{len(lacking) - NAMED} more"] if len(lacking) > NAMED else [])])
            because.append(f"{len(lacking)} of {len(self.selected)} claims gave no result: {named}")
        return {"complete": not because, "because": because}

    def ended(self, session: pytest.Session, exit_status: int) -> None:
        """Note what ended the run before its end."""
        if exit_status in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
            self.stopped = "it was interrupted"
        for reason in (session.shouldfail, session.shouldstop):
            if reason:
                self.stopped = str(reason)


def _settling(items: Iterable[pytest.Item]) -> set[str]:
    return {item.nodeid for item in items if SETTLING in getattr(item, "fixturenames", ())}


def _short(test: str) -> str:
    """What a test's id says of its claim and subject: its parameters, or its name where it has none."""
    name, _, parameters = test.partition("[")
    return parameters.removesuffix("]") or name.rpartition("::")[2]


def _chosen(config: pytest.Config) -> str:
    """The expressions of -k and -m and the single tests, in a worker process as the controlling one had them."""
    given = (("-k", config.getoption("keyword", "")), ("-m", config.getoption("markexpr", "")))
    words = [f"{flag} {expression!r}" for flag, expression in given if expression]
    return ", ".join([*words, *(argument for argument in config.args if "::" in argument)])
