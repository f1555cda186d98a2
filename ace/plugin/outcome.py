"""From a verdict to a test's outcome, and from many tests to the results of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ace.report.documented import Expectation

if TYPE_CHECKING:
    from ace.report.comparison import Row

Result = dict[str, Any]
# Of a test, by claim and subject: a result, and what a JUnit file says of it.
RESULTS = pytest.StashKey[dict[tuple[str, str], tuple[Result, dict[str, str]]]]()
CARRIED = "ace_results"  # attribute of a test's report: its results travel with it, from a worker process too
PREFIX = "ace_"  # of the properties in a JUnit file


def record(node: pytest.Item, result: Result, row: Row | None = None) -> None:
    """Attach a result to a test, and its properties for a JUnit file.

    A later result of the same claim on the same subject takes the place of an earlier one.

    Args:
        row: the result beside the baseline, where there is one.
    """
    found = node.stash.setdefault(RESULTS, {})
    found[key(result)] = result, properties(result, row)
    _show_properties(node)


def results(node: pytest.Item) -> list[Result]:
    """The results of a test."""
    return [result for result, _ in node.stash.get(RESULTS, {}).values()]


def _show_properties(node: pytest.Item) -> None:
    """Give a test the properties of its results, and of no others."""
    told = [pair for _, entries in node.stash[RESULTS].values() for pair in entries.items()]
    others = [(name, value) for name, value in node.user_properties if not name.startswith(PREFIX)]
    node.user_properties[:] = [*others, *((PREFIX + name, value) for name, value in told)]


def properties(result: Mapping[str, Any], row: Row | None = None) -> dict[str, str]:
    """What a JUnit file says of a result, as texts: claim, subject, verdict, estimate, interval, bound and the like."""
    found = {name: str(result[name]) for name in ("claim", "subject", "verdict", "reason")}
    if result["estimate"] is not None:
        found["estimate"] = repr(result["estimate"])
        found["interval"] = f"[{result['low']}, {result['high']}]".replace("None", "unbounded")
        found["bound"] = result["bound_rule"]
    if result["documented"]:
        found["documented"] = result["documented"]
    if row is not None:
        found["compared"] = f"{row.outcome}: {row.text}" if row.text else str(row.outcome)
    return found


def forget(node: pytest.Item) -> None:
    """Remove the results of an earlier run of the same test."""
    node.stash[RESULTS] = {}
    _show_properties(node)


def key(result: Mapping[str, Any] | Any) -> tuple[str, str]:
    """What a result is matched by: the claim, and the subject as it was asked for."""
    return result["claim"], result["subject"]


def settle(
    result: Mapping[str, Any], expected: Expectation | None, row: Row | None = None, *, accepting: bool = False
) -> None:
    """HOLDS and VACUOUS pass, FAILS and UNDECIDED fail, INAPPLICABLE skips; a documented verdict must come so.

    Beside a baseline, what fails is a claim that regressed, and no other.

    Args:
        row: the result beside the baseline, where there is one.
        accepting: whether verdicts are being documented, so that any is accepted.

    Raises:
        The outcome exceptions of pytest: failed, skipped, xfailed.
    """
    from ace.report.comparison import Outcome
    from ace.report.table import explain

    verdict = result["verdict"]
    if expected is not None and verdict not in expected.verdicts and not accepting:
        documented = " or ".join(expected.verdicts)
        pytest.fail(f"documented as {documented} ({expected.reason}), but:\n{explain(result)}", pytrace=False)
    if row is not None and row.outcome is Outcome.REGRESSED:
        pytest.fail(f"regressed since the baseline: {row.text}\n{explain(result)}", pytrace=False)
    if verdict == "INAPPLICABLE":
        pytest.skip(result["reason"])
    if verdict in ("FAILS", "UNDECIDED"):
        excuse = _excuse(expected, row, accepting)
        if excuse:
            # No traceback: pytest would parse the sources of forty frames for each, to show them nowhere.
            raise pytest.xfail.Exception(f"{verdict}{excuse}", pytrace=False)
        pytest.fail(explain(result), pytrace=False)


def _excuse(expected: Expectation | None, row: Row | None, accepting: bool) -> str:
    """Why a verdict that is none to be glad of does not fail its test; "" where it does."""
    if row is not None:
        return f", beside the baseline: {row.outcome}"
    if accepting:
        return " accepted: its reason is yet to be written"
    return f" as documented: {expected.reason}" if expected is not None else ""


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

    @property
    def measured(self) -> set[str]:
        """Ids of the tests that gave results."""
        return set(self._by_test)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test's report carries; setting a test up again drops what it had."""
        if report.when == "setup":
            self._by_test.pop(report.nodeid, None)
        elif report.when == "call" and getattr(report, CARRIED, None):
            self._by_test[report.nodeid] = getattr(report, CARRIED)
