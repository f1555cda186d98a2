"""What pytest calls. Wiring only; heavy imports happen on use, and a run without claims is left as it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pytest

from ace.plugin.expected import unknown_claims
from ace.plugin.options import OPTIONS, add_options
from ace.plugin.outcome import CARRIED, forget, key, record, results, settle
from ace.plugin.session import SESSION, is_ours, load_function, load_functions, open_session, options, refuse
from ace.plugin.settings import find_settings, settings
from ace.plugin.workers import worker_session, write_groups

if TYPE_CHECKING:
    from ace.extract import Extractor
    from ace.report.comparison import Row
    from ace.verify import Verdict

MARKER = (
    "ace_claim(id): a test of the registered claim `id`, run once for each subject; the keyword `expected` names"
    " verdicts that are known for it"
)
FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the --ace options; each has a twin in the environment, ACE_SCALE and so on."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Find the project's settings where a path on the command line hides them from pytest."""
    find_settings(early_config, parser, args, [option.flag for option in OPTIONS if option.kind != "switch"])


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and read and check what was asked for before anything is measured."""
    config.addinivalue_line("markers", MARKER)
    session = worker_session(config) if hasattr(config, "workerinput") else open_session(config)
    config.stash[SESSION] = session
    config.pluginmanager.register(session.gatherer, "ace-gatherer")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What was asked for, where something was."""
    return _header(config) if _asked(config) else []


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """The same, where claims turned up unasked."""
    return _header(config) if not _asked(config) and any(map(is_ours, items)) else []


def _asked(config: pytest.Config) -> bool:
    """Whether the command line or the project's ini file speaks to this plugin."""
    return any(not name.startswith("ACE_") for name in options(config).given.values())


def _header(config: pytest.Config) -> list[str]:
    from importlib.metadata import version

    chosen, note = options(config), settings(config).note
    named = zip_longest(
        (f"model {model}" for model in chosen.models), (f" as {name}" for name in chosen.names), fillvalue=""
    )
    targets = [*map("".join, named), *(f"subject {subject}" for subject in chosen.subjects)]
    if chosen.models:
        targets.append(f"task {chosen.task or 'agreement-english, or agreement for want of its words'}")
    scale = f"scale {chosen.scale or 'compact and paper'}"
    weights = f"weights {'trained anew' if chosen.retrain else 'stored'}"
    rest = f"device {chosen.device or 'cpu'}, extractor {chosen.extractor or 'ace.extract:extract_core'}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy"))
    return [
        f"ace: {', '.join(targets) or scale}, {weights}, {rest}",
        f"ace: {versions}",
        *([f"ace: {note}"] if note else []),
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """End a run that was refused while its tests were made."""
    session = config.stash[SESSION]
    if session.refused:  # while tests were made: pytest takes that for an error of one module
        _stop(config, session.refused)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """What is wrong with the environment or the ini file ends a run that has something of this plugin in it."""
    state = session.config.stash[SESSION]
    if not any(map(is_ours, session.items)):
        return
    if state.deferred:
        _stop(session.config, state.deferred)
    state.extent.collected(session.config, session.items)
    _keep_complete_baseline(session.config)
    unknown = unknown_claims(state.expectations)
    if unknown:
        _stop(session.config, f"{state.options.given['expected']}: no claim {', '.join(unknown)}")
    try:
        load_functions(state.options, explicit=False)
    except pytest.UsageError as error:
        _stop(session.config, str(error))
    write_groups(session.config, session.items)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Remember which claims -k and the like left out: a baseline must say so."""
    if items:
        items[0].config.stash[SESSION].extent.left_out(items)


def _keep_complete_baseline(config: pytest.Config) -> None:
    """Refuse to begin a run that would replace a complete baseline by a part of one."""
    state = config.stash[SESSION]
    path = state.options.save_baseline
    if path is None or not state.extent.narrowed:
        return
    from ace.plugin.finish import is_complete

    if is_complete(path):
        _stop(
            config,
            f"{state.options.given['save_baseline']}: {path} has a complete run, and this one would be partial:"
            f" {state.extent.narrowed}; write another file, or remove that one",
        )


def _stop(config: pytest.Config, text: str) -> None:
    """End the run during collection; outside of workers by pytest's own usage error."""
    if hasattr(config, "workeroutput"):
        refuse(config, text)
    config.stash[SESSION].refused = ""  # pytest prints it
    raise pytest.UsageError(text)


@pytest.fixture
def ace_claim(request: pytest.FixtureRequest) -> str:
    """Id of the claim that the test is marked with."""
    (identifier,) = request.node.get_closest_marker("ace_claim").args
    return str(identifier)


@pytest.fixture(scope="session")
def ace_extractor(request: pytest.FixtureRequest) -> Extractor:
    """The extraction function under test: the project's own, or the one `--ace-extractor` names."""
    from ace.extract import checked, extract_core

    chosen = options(request.config)
    if chosen.extractor is None:
        return extract_core
    return checked(load_function(chosen.extractor, chosen.given["extractor"]))


@pytest.fixture
def ace_settle(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Record a verdict and turn it into the test's outcome."""
    forget(request.node)
    expectations = request.config.stash[SESSION].expectations

    def settled(verdict: Verdict) -> None:
        from ace.plugin.expected import find, in_test_file
        from ace.report.record import result

        about = (verdict.claim.id, verdict.subject)
        marked = in_test_file(request.node, *about)
        expectation = marked or find(expectations, *about)
        as_documented = expectation.reason if expectation and verdict.status.value in expectation.verdicts else ""
        plain = result(verdict, as_documented)
        row = _beside_baseline(request.config, plain)
        record(request.node, plain, row)
        # What a test file marks counts before any file of documented verdicts: none can be written that excuses it.
        settle(plain, expectation, row, accepting=options(request.config).accept is not None and marked is None)

    return settled


def _beside_baseline(config: pytest.Config, plain: dict[str, Any]) -> Row | None:
    """A result beside that of the baseline, None without one; a subject that is asked something else ends the run."""
    state = config.stash[SESSION]
    if state.baseline is None:
        return None
    from ace.report.comparison import compare_results
    from ace.report.fingerprints import other_task

    old = next((each for each in state.baseline["results"] if key(each) == key(plain)), None)
    if old is not None:
        conflict = other_task(
            plain["subject"], plain["fingerprint"], state.baseline.get("subjects", {}).get(plain["subject"], {})
        )
        if conflict:
            refuse(config, f"{state.options.given['compare']}: {state.options.compare}: {conflict}")
    return compare_results(plain, old)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let a test's results travel with its report."""
    report = yield
    found = results(item)
    if call.when == "call" and found:
        setattr(report, CARRIED, found)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Write the documents and compare with the baseline; either may give a run that is well otherwise an exit code."""
    config = session.config
    state = config.stash[SESSION]
    if _has_results(config):
        from ace.plugin.finish import finish

        state.extent.ended(session, session.exitstatus)
        code = finish(state)
        if code and session.exitstatus in FINISHED:
            session.exitstatus = code
    if state.refused and not hasattr(config, "workerinput"):
        sys.stderr.write(f"ERROR: {state.refused}\n")  # beside the line in pytest's summary
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The verdict table."""
    if _has_results(config):
        from ace.plugin.finish import summarise

        summarise(config.stash[SESSION], terminalreporter)


def _has_results(config: pytest.Config) -> bool:
    """Whether this process has results to write, show or compare."""
    state = config.stash[SESSION]
    if hasattr(config, "workerinput") or config.getoption("collectonly"):
        return False
    return bool(state.gatherer.results or state.baseline)
