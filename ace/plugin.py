"""The pytest plugin: options, markers, header, outcomes, terminal table. Wiring only; heavy imports happen on use."""

from __future__ import annotations

import importlib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ace.extract import Extractor
    from ace.report.record import Change
    from ace.verify import Verdict

MARKERS = {
    "claim(id)": "a test of the registered claim `id`, run once for each subject",
    "gpu": "needs a CUDA device",
    "slow": "takes more than ten seconds",
    "paper_scale": "uses the published setting",
    "network": "needs a network",
    "bench": "a benchmark; run with -m bench",
}
SCALES = ("compact", "paper")
PROPERTY = "ace_result"
MODEL_CLAIMS = "agreement."  # ids of claims about any causal language model


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the --ace options; each has a twin in the environment, ACE_SCALE and so on."""
    group = parser.getgroup("ace", "verification of algorithmic cores")

    def option(name: str, help_text: str, **settings: Any) -> None:
        variable = "ACE_" + name.removeprefix("--ace-").replace("-", "_").upper()
        default = os.environ.get(variable)
        if settings.get("action") == "store_true":
            default = default not in (None, "", "0")  # type: ignore[assignment]
        group.addoption(name, help=f"{help_text} [{variable}]", default=default, **settings)

    option("--ace-model", "verify agreement in this causal language model: a hub name or a folder", metavar="MODEL")
    option("--ace-revision", "branch, tag or commit of the model on the hub", metavar="REVISION")
    option("--ace-dtype", "dtype of the model's weights: auto (default), float32, bfloat16 or float16", metavar="DTYPE")
    option("--ace-tokenizer", "tokenizer of the model, where it does not lie with it", metavar="TOKENIZER")
    option("--ace-task", "prompts: agreement (default), agreement-simple, agreement-story, or a file", metavar="TASK")
    option("--ace-scale", "verify at one scale only; both by default", choices=SCALES)
    option("--ace-retrain", "train the fixtures anew instead of loading stored weights", action="store_true")
    option("--ace-seed", "base seed of what --ace-retrain trains; the recipes' own by default", metavar="N")
    option("--ace-device", "device that fixtures train on and a model runs on: cpu (default) or cuda")
    option("--ace-cache", "folder for weights trained here; .ace_cache in the repository by default", metavar="DIR")
    option(
        "--ace-extractor", "check this extraction function instead of the project's own", metavar="PKG.MODULE:FUNCTION"
    )
    option("--ace-json", "write all verdicts to this file", metavar="FILE")
    option("--ace-report", "write table, record and figures to this folder", metavar="DIR")
    option("--ace-save-baseline", "write a baseline for --ace-compare", metavar="FILE")
    option("--ace-compare", "fail where a verdict or value is worse than in this baseline", metavar="FILE")
    option("--ace-expected", "verdicts other than HOLDS that are documented, applied strictly", metavar="FILE")
    parser.addini("ace_expected", "file of documented verdicts, relative to the root", default="")


@dataclass(frozen=True)
class Expectation:
    """A documented verdict: which ones are accepted for a claim (on one subject, or all), and why."""

    claim: str
    subject: str
    verdicts: tuple[str, ...]
    reason: str


@dataclass
class Session:
    """What the run has gathered."""

    started: datetime
    expectations: tuple[Expectation, ...]
    baseline: dict[str, Any] | None
    results: list[dict[str, Any]] = field(default_factory=list)

    def expected(self, claim: str, subject: str) -> Expectation | None:
        """The documented verdict of a claim on a subject; an entry for the subject goes before one for all."""
        fitting = [e for e in self.expectations if e.claim == claim and e.subject in ("", subject)]
        return max(fitting, key=lambda e: bool(e.subject), default=None)


SESSION = pytest.StashKey[Session]()


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, read the documented verdicts and refuse unusable options before anything is measured."""
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    scale = config.getoption("--ace-scale")
    if scale not in (None, *SCALES):
        raise pytest.UsageError(f"ACE_SCALE: expected one of {', '.join(SCALES)}, got {scale!r}")
    for option in ("--ace-revision", "--ace-dtype", "--ace-tokenizer", "--ace-task"):
        if config.getoption(option) and not config.getoption("--ace-model"):
            raise pytest.UsageError(f"{option}: expected with --ace-model and only there")
    for option in ("--ace-json", "--ace-save-baseline"):
        path = config.getoption(option)
        if path and not Path(path).absolute().parent.is_dir():
            raise pytest.UsageError(f"{option}: expected an existing folder for {path}")
    seed = config.getoption("--ace-seed")
    if seed is not None and not (seed.isdecimal() and config.getoption("--ace-retrain")):
        raise pytest.UsageError(f"--ace-seed: expected a whole number of at least 0 with --ace-retrain, got {seed!r}")
    extractor = config.getoption("--ace-extractor")
    if extractor:
        load_function(extractor)
    worker = getattr(config, "workerinput", None)
    started = datetime.fromisoformat(worker["ace_started"]) if worker else datetime.now(UTC)
    config.stash[SESSION] = Session(started, _read_expectations(config), _read_baseline(config))
    config.pluginmanager.register(Gatherer(config.stash[SESSION].results))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker when the run began, so that one worker's retraining serves all."""
    node.workerinput["ace_started"] = node.config.stash[SESSION].started.isoformat()


def _read_baseline(config: pytest.Config) -> dict[str, Any] | None:
    """The baseline to compare with, read before the run may replace it."""
    path = config.getoption("--ace-compare")
    if not path:
        return None
    from ace.errors import ArtifactError
    from ace.report.record import read_document

    try:
        return read_document(Path(path))
    except ArtifactError as error:
        raise pytest.UsageError(f"--ace-compare: {error}") from error


def _read_expectations(config: pytest.Config) -> tuple[Expectation, ...]:
    chosen = config.getoption("--ace-expected") or config.getini("ace_expected")
    if not chosen:
        return ()
    from ace.claims import REGISTRY
    from ace.report.record import ORDER

    path = Path(config.rootpath, chosen)

    def refuse(text: str) -> pytest.UsageError:
        return pytest.UsageError(f"--ace-expected: {path}: {text}")

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise refuse(str(error)) from error
    entries = document.pop("expected", [])
    if document or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise refuse(f"expected tables [[expected]] and nothing else, got also {sorted(document)}")
    found = []
    for entry in entries:
        missing = {"claim", "verdicts", "reason"} - set(entry)
        unknown = set(entry) - {"claim", "subject", "verdicts", "reason", "figures"}
        if missing or unknown:
            raise refuse(f"missing {sorted(missing)}, unknown {sorted(unknown)}")
        accepted = entry["verdicts"]
        if entry["claim"] not in REGISTRY:
            raise refuse(f"no claim {entry['claim']!r}")
        if not isinstance(accepted, list) or not accepted or not set(accepted) <= set(ORDER):
            raise refuse(f"expected verdicts out of {ORDER}, got {accepted}")
        if not isinstance(entry["reason"], str) or not entry["reason"].strip():
            raise refuse(f"expected a reason for {entry['claim']}, got {entry['reason']!r}")
        named = entry.get("subject", "")
        subjects = [named] if isinstance(named, str) else named
        if not isinstance(subjects, list) or not subjects or not all(isinstance(name, str) for name in subjects):
            raise refuse(f"expected a subject or a list of them for {entry['claim']}, got {named!r}")
        found += [Expectation(entry["claim"], name, tuple(accepted), entry["reason"]) for name in subjects]
    return tuple(found)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Target, scale, device and versions."""
    from importlib.metadata import version

    scale = config.getoption("--ace-scale") or "compact and paper"
    weights = "trained anew" if config.getoption("--ace-retrain") else "stored"
    device = config.getoption("--ace-device") or "cpu"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy"))
    extractor = config.getoption("--ace-extractor") or "ace.extract:extract_core"
    model = config.getoption("--ace-model")
    target = f"model {model}, task {config.getoption('--ace-task') or 'agreement'}" if model else f"scale {scale}"
    return [f"ace: {target}, weights {weights}, device {device}, extractor {extractor}", f"ace: {versions}"]


def parametrize_claims(metafunc: pytest.Metafunc, subjects: Mapping[str, tuple[str, ...]]) -> None:
    """Run a claim's test once for each scale of the subject fixture it asks for; its id contains the claim's id.

    Args:
        subjects: fixture name -> scales at which it exists; none where one recipe serves every scale.
    """
    marker = metafunc.definition.get_closest_marker("claim")
    if marker is None:
        return
    (identifier,) = marker.args
    (subject,) = [name for name in metafunc.fixturenames if name in subjects]
    if not subjects[subject]:
        metafunc.parametrize(subject, [pytest.param(None, id=identifier)], indirect=True)
        return
    only = metafunc.config.getoption("--ace-scale")
    scales = [scale for scale in subjects[subject] if scale == only or only is None or scale not in SCALES]
    marks = {"paper": [pytest.mark.paper_scale]}
    parameters = [pytest.param(scale, id=f"{identifier}-{scale}", marks=marks.get(scale, [])) for scale in scales]
    metafunc.parametrize(subject, parameters, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --ace-model, only claims about language models are verified: the rest says nothing about that model."""
    if not config.getoption("--ace-model"):
        return
    markers = {item: item.get_closest_marker("claim") for item in items}
    chosen = [item for item, marker in markers.items() if marker and marker.args[0].startswith(MODEL_CLAIMS)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip gpu tests, with the reason, where there is no CUDA device."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device; torch sees none")


@pytest.fixture
def claim(request: pytest.FixtureRequest) -> str:
    """Id of the claim that the test is marked with."""
    (identifier,) = request.node.get_closest_marker("claim").args
    return str(identifier)


@pytest.fixture(scope="session")
def extractor(request: pytest.FixtureRequest) -> Extractor:
    """The extraction function under test: the project's own, or the one `--ace-extractor` names."""
    from ace.extract import checked, extract_core

    chosen = request.config.getoption("--ace-extractor")
    return checked(load_function(chosen)) if chosen else extract_core


def load_function(name: str) -> Any:
    """Function from "package.module:function".

    Raises:
        pytest.UsageError: no such module or function.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"--ace-extractor: expected package.module:function, got {name!r}: {error}") from error
    if not callable(found):
        raise pytest.UsageError(f"--ace-extractor: expected a function, got {type(found).__name__}")
    return found


@pytest.fixture
def settle(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Record a verdict and turn it into the test's outcome."""

    def settled(verdict: Verdict) -> None:
        from ace.report.record import result

        found = result(verdict)
        request.node.user_properties.append((PROPERTY, found))
        outcome(found, request.config.stash[SESSION].expected(found["claim"], found["subject"]))

    return settled


def outcome(found: Mapping[str, Any], expected: Expectation | None) -> None:
    """HOLDS and VACUOUS pass, FAILS and UNDECIDED fail, INAPPLICABLE skips; a documented verdict must come so.

    Raises:
        The outcome exceptions of pytest: failed, skipped, xfailed.
    """
    from ace.report.table import explain

    verdict = found["verdict"]
    if expected is not None and verdict not in expected.verdicts:
        documented = " or ".join(expected.verdicts)
        pytest.fail(f"documented as {documented} ({expected.reason}), but:\n{explain(found)}", pytrace=False)
    if verdict == "INAPPLICABLE":
        pytest.skip(found["reason"])
    if verdict in ("FAILS", "UNDECIDED"):
        if expected is not None:
            # No traceback: pytest would parse the sources of forty frames for each, to show them nowhere.
            raise pytest.xfail.Exception(f"{verdict} as documented: {expected.reason}", pytrace=False)
        pytest.fail(explain(found), pytrace=False)


class Gatherer:
    """Gathers the verdicts of one run; under xdist they arrive from the workers with the reports."""

    def __init__(self, results: list[dict[str, Any]]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what `settle` attached to a test's report."""
        if report.when == "call":
            self._results.extend(value for name, value in report.user_properties if name == PROPERTY)  # type: ignore[misc]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Write the documents, on the controller only, and compare with the baseline."""
    config = session.config
    if hasattr(config, "workerinput") or SESSION not in config.stash:
        return (yield)
    state = config.stash[SESSION]
    if state.results:
        from ace.report.record import document

        found = document(state.results, {"scale": config.getoption("--ace-scale") or "both"})
        state.results[:] = found["results"]
        _write(config, found)
        if any(change.worse for change in _changes(state)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def _write(config: pytest.Config, found: dict[str, Any]) -> None:
    from ace.report.record import write_document

    for option in ("--ace-revision", "--ace-dtype", "--ace-tokenizer", "--ace-task"):
        if config.getoption(option) and not config.getoption("--ace-model"):
            raise pytest.UsageError(f"{option}: expected with --ace-model and only there")
    for option in ("--ace-json", "--ace-save-baseline"):
        if config.getoption(option):
            write_document(Path(config.getoption(option)), found)
    if config.getoption("--ace-report"):
        from ace.report.folder import write_report

        write_report(Path(config.getoption("--ace-report")), found, _documented(config))


def _changes(state: Session) -> list[Change]:
    from ace.report.record import compare

    return compare({"results": state.results}, state.baseline) if state.baseline else []


def _documented(config: pytest.Config) -> dict[tuple[str, str], str]:
    state = config.stash[SESSION]
    found = {}
    for result in state.results:
        expectation = state.expected(result["claim"], result["subject"])
        if expectation is not None and result["verdict"] in expectation.verdicts:
            found[result["claim"], result["subject"]] = expectation.reason
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The verdict table."""
    state = config.stash[SESSION]
    if not state.results:
        return
    from ace.report.table import terminal

    terminalreporter.section("verdicts")
    for line in terminal(state.results, _documented(config)):
        terminalreporter.write_line(line)
    if state.baseline:
        terminalreporter.section("compared with the baseline")
        changes = _changes(state)
        for change in changes:
            label = "WORSE" if change.worse else "changed"
            terminalreporter.write_line(f"{label}: {change.claim} on {change.subject}: {change.text}")
        if not changes:
            terminalreporter.write_line("no change")
