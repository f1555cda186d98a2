"""From a verdict to a test's outcome, and from many tests to the results of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ace.plugin.expected import Expectation

Result = dict[str, Any]
PROPERTY = "ace_result"  # a test's results travel with its report, from a worker process too


def record(node: pytest.Item, result: Result) -> None:
    """Attach a result to a test; a later one of the same claim on the same subject takes its place."""
    others = [(name, value) for name, value in node.user_properties if name != PROPERTY or key(value) != key(result)]
    node.user_properties[:] = [*others, (PROPERTY, result)]


def forget(node: pytest.Item) -> None:
    """Remove the results of an earlier run of the same test."""
    node.user_properties[:] = [(name, value) for name, value in node.user_properties if name != PROPERTY]


def key(result: Mapping[str, Any] | Any) -> tuple[str, str]:
    """What a result is matched by: the claim, and the subject as it was asked for."""
    return result["claim"], result["subject"]


def settle(result: Mapping[str, Any], expected: Expectation | None) -> None:
    """HOLDS and VACUOUS pass, FAILS and UNDECIDED fail, INAPPLICABLE skips; a documented verdict must come so.

    Raises:
        The outcome exceptions of pytest: failed, skipped, xfailed.
    """
    from ace.report.table import explain

    verdict = result["verdict"]
    if expected is not None and verdict not in expected.verdicts:
        documented = " or ".join(expected.verdicts)
        pytest.fail(f"documented as {documented} ({expected.reason}), but:\n{explain(result)}", pytrace=False)
    if verdict == "INAPPLICABLE":
        pytest.skip(result["reason"])
    if verdict in ("FAILS", "UNDECIDED"):
        if expected is not None:
            # No traceback: pytest would parse the sources of forty frames for each, to show them nowhere.
            raise pytest.xfail.Exception(f"{verdict} as documented: {expected.reason}", pytrace=False)
        pytest.fail(explain(result), pytrace=False)


class Gatherer:
    """Gathers the results of a run from the tests' reports, which come from worker processes too.

    A test that runs again, or is reported twice, counts once: as it came out last.
    """

    def __init__(self) -> None:
        self._by_test: dict[str, list[Result]] = {}

    @property
    def results(self) -> list[Result]:
        """All results, in the order of claims and subjects."""
        return sorted((result for results in self._by_test.values() for result in results), key=key)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test's report carries; setting a test up again drops what it had."""
        if report.when == "setup":
            self._by_test.pop(report.nodeid, None)
        elif report.when == "call":
            results = [value for name, value in report.user_properties if name == PROPERTY]
            if results:
                self._by_test[report.nodeid] = results  # type: ignore[assignment]
