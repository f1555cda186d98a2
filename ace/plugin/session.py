"""The state of a run: what was asked for, what is documented, what to compare with, and how a run is refused."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ace.errors import InputError
from ace.imports import load_attribute
from ace.plugin.expected import read_expectations
from ace.plugin.extent import Extent
from ace.plugin.options import Options, read_options
from ace.plugin.outcome import Gatherer
from ace.plugin.problems import find_problems
from ace.report.documented import Expectation, real_model_expectations

if TYPE_CHECKING:
    from ace.report.comparison import Comparison
    from ace.study.subject import LazySubject

FIXTURES = frozenset({"ace_claim", "ace_settle", "ace_extractor"})
REFUSED = "ace_refused"  # entry of a worker's output


@dataclass
class Session:
    """The state of a run in one process.

    Attributes:
        started: when the run began; one worker's retraining since then serves all.
        deferred: what is wrong with the environment or the ini file. It stops a run only where there is something of
            this plugin to run, for they may be meant for others.
        groups: folder for the groups of tests that stay on one worker, where there are subjects to share out.
        refused: why a test or a fixture ended the run.
        extent: what was selected of the claims.
        unwritten: what could not be written at the end, and why.
        notes: what to tell of what was written.
        compared: the run beside its baseline, once it has ended.
        subjects: what is verified; None until the first test is made.
    """

    started: datetime
    options: Options
    expectations: tuple[Expectation, ...] = ()
    baseline: Mapping[str, Any] | None = None
    deferred: str = ""
    groups: Path | None = None
    refused: str = ""
    gatherer: Gatherer = field(default_factory=Gatherer)
    extent: Extent = field(default_factory=Extent)
    unwritten: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: Comparison | None = None
    subjects: tuple[LazySubject, ...] | None = None


SESSION = pytest.StashKey[Session]()


def options(config: pytest.Config) -> Options:
    """What was asked for in this run."""
    return config.stash[SESSION].options


def open_session(config: pytest.Config) -> Session:
    """Read what was asked for and refuse what cannot be used, before anything is collected or measured.

    Raises:
        pytest.UsageError: for values of the command line; those of the environment and the ini file are deferred.
    """
    chosen = read_options(config)
    session = Session(datetime.now(UTC), chosen)
    problems = find_problems(chosen)
    for problem in problems:
        if problem.explicit:
            raise pytest.UsageError(problem.text)
    session.deferred = next((problem.text for problem in problems), "")
    load_functions(chosen, explicit=True)
    session.expectations = documented_of_models(chosen)
    for name, read in (("expected", _read_expectations), ("accept", _read_accepted), ("compare", _read_baseline)):
        if name in chosen.given:
            try:
                read(session)
            except pytest.UsageError as error:
                if chosen.explicit(name):
                    raise
                session.deferred = session.deferred or str(error)
    dealt_singly = getattr(config.option, "dist", "no") in ("load", "loadgroup")  # "load" is pytest-xdist's default
    if dealt_singly and (chosen.models or chosen.subjects or chosen.fixtures):
        folder = tempfile.TemporaryDirectory(prefix="ace-groups-")
        config.add_cleanup(folder.cleanup)
        session.groups = Path(folder.name)
    return session


def _read_expectations(session: Session) -> None:
    # What the ini file documents is of the project's own extractor.
    if session.options.expected and (session.options.explicit("expected") or not session.options.extractor):
        own = read_expectations(session.options.expected, session.options.given["expected"])
        session.expectations = (*own, *session.expectations)  # what is found first counts


def _read_accepted(session: Session) -> None:
    """See at the start that the file which is to be brought up to date can be."""
    path = session.options.accept
    if path and path.exists():
        from ace.errors import ArtifactError
        from ace.plugin.accept import blocks

        option = session.options.given["accept"]
        read_expectations(path, option)
        try:
            blocks(path)
        except ArtifactError as error:
            raise pytest.UsageError(f"{option}: {error}") from error


def documented_of_models(chosen: Options) -> tuple[Expectation, ...]:
    """What is documented of real models by their short names, as long as nothing is asked for otherwise."""
    if not chosen.models or {"task", "dtype", "tokenizer", "revision", "extractor", "names"} & set(chosen.given):
        return ()
    from ace.zoo.real_models import family_name

    subjects = {*chosen.models, family_name(chosen.models)}
    return tuple(each for each in real_model_expectations() if each.subject in subjects)


def _read_baseline(session: Session) -> None:
    """Read it at the start: the run may replace it at its end."""
    from ace.errors import ArtifactError
    from ace.report.baseline import read_baseline

    if session.options.compare:
        try:
            session.baseline = read_baseline(session.options.compare)
        except ArtifactError as error:
            raise pytest.UsageError(f"{session.options.given['compare']}: {error}") from error


def load_functions(chosen: Options, *, explicit: bool) -> None:
    """Import the functions that options name, to see that they are there.

    Args:
        explicit: those of the command line; otherwise those of the environment, which may be meant for others.

    Raises:
        pytest.UsageError: no such module or function.
    """
    extractors = (chosen.extractor,) if chosen.extractor else ()
    for attribute, functions in (("extractor", extractors), ("subjects", chosen.subjects)):
        if chosen.explicit(attribute) == explicit:
            for function in functions:
                load_function(function, chosen.given[attribute])


def see_working_folder() -> None:
    """Let functions that options name be of modules in the folder that pytest runs in, as `python -m pytest` does."""
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)


def load_function(name: str, option: str) -> Any:
    """Function from "package.module:function"; the module may lie in the folder that pytest runs in.

    Args:
        option: the option that names it, for the message.

    Raises:
        pytest.UsageError: no such module or function, or a module that cannot be imported.
    """
    see_working_folder()
    try:
        function = load_attribute(name)
    except InputError as error:
        raise pytest.UsageError(f"{option}: {error}") from error
    if not callable(function):
        raise pytest.UsageError(f"{option}: expected a function, got {type(function).__name__}")
    return function


def refuse(config: pytest.Config, text: str) -> NoReturn:
    """End the run with a usage error (exit code 4, the text on stderr), from a test, a fixture or the collection.

    A worker process hands the text to the process that controls it, which ends the run.

    Args:
        text: names the option, what was expected and what came.
    """
    config.stash[SESSION].refused = text
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output[REFUSED] = text
    pytest.exit(text, pytest.ExitCode.USAGE_ERROR)


def is_ours(item: pytest.Item) -> bool:
    """Whether a test is about a claim, or uses this plugin's fixtures."""
    return item.get_closest_marker("ace_claim") is not None or bool(
        FIXTURES.intersection(getattr(item, "fixturenames", ()))
    )
