"""The subjects of a run, made from what was asked for; heavy imports happen here, when tests are collected."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ace.plugin.options import Options
from ace.plugin.progress import uncaptured
from ace.plugin.session import SESSION, load_function, refuse, see_working_folder

if TYPE_CHECKING:
    from ace.study.subject import LazySubject
    from ace.zoo.named import ModelSource


def subjects_of_run(config: pytest.Config) -> tuple[LazySubject, ...]:
    """What the run verifies: models and factories that were asked for, or else the project's own trained models."""
    session = config.stash[SESSION]
    if session.subjects is None:
        session.subjects = _make(config, session.options)
    return session.subjects


def _make(config: pytest.Config, chosen: Options) -> tuple[LazySubject, ...]:
    from ace.errors import AceError
    from ace.extract import checked, extract_core
    from ace.suite.subjects import Asked, asked_subjects

    extractor = chosen.extractor
    asked = Asked(
        models=_sources(chosen),
        factories=chosen.subjects,
        fixtures=chosen.fixtures,
        scale=chosen.scale,
        retrain=chosen.retrain,
        seed=chosen.seed,
        device=chosen.device,
        cache=chosen.cache,
        since=config.stash[SESSION].started,
        progress=not hasattr(config, "workerinput"),
        showing=lambda: _to_itself(config),
        extractor=checked(load_function(extractor, chosen.given["extractor"])) if extractor else extract_core,
        rerun=lambda subject: chosen.rerun("{claim}", subject),
    )
    if asked.models:  # all have the same prompts: a file that cannot be read is told before a model is loaded
        try:
            _tell(config, asked.models[0].prompts().note)
        except AceError as error:
            refuse(config, f"{chosen.given.get('task', '--ace-task')}: {error}")
    see_working_folder()  # a worker process has loaded no function yet
    try:
        subjects = asked_subjects(asked)
    except AceError as error:
        refuse(config, f"{chosen.given.get('subjects', '--ace-subject')}: {error}")
    return tuple(_refusing(config, one) for one in subjects) if chosen.models else subjects


def _sources(chosen: Options) -> list[ModelSource]:
    from ace.zoo.named import ModelSource

    labels = chosen.names or ("",) * len(chosen.models)
    return [  # as many labels as models, or the run is refused
        ModelSource(
            name,
            chosen.revision,
            chosen.dtype or "auto",
            chosen.device,
            chosen.tokenizer,
            chosen.task or "",
            label,
        )
        for name, label in zip(chosen.models, labels, strict=False)
    ]


def _tell(config: pytest.Config, note: str) -> None:
    """One line on stderr, from one process: what of a file of prompts is not used."""
    worker = getattr(config, "workerinput", {"workerid": "gw0"})["workerid"]
    if note and worker == "gw0":
        with uncaptured(config):
            sys.stderr.write(f"ace: {note}\n")


def _refusing(config: pytest.Config, subject: LazySubject) -> LazySubject:
    """The subject of a model that cannot be loaded ends the run: a mistake in set-up is no verdict."""

    def make() -> Any:
        from ace.errors import AceError, Inapplicable, TokenizerError

        try:
            return subject.make()
        except Inapplicable:
            raise
        except AceError as error:
            hint = "; name one with --ace-tokenizer" if isinstance(error, TokenizerError) else ""
            refuse(config, f"--ace-model: {error}{hint}")

    return replace(subject, make=make)


@contextmanager
def _to_itself(config: pytest.Config) -> Iterator[None]:
    """Progress bars of a training have the terminal to themselves."""
    from ace.progress import aside

    with aside(), uncaptured(config):
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of `ace_claim` and `ace_subject` that has no parameters of its own gets those of the run."""
    own = {name for mark in metafunc.definition.iter_markers("parametrize") for name in _names(mark)}
    if {"ace_claim", "ace_subject"} <= set(metafunc.fixturenames) - own:
        from ace.suite.parametrize import ARGUMENTS, parameters_of

        subjects = subjects_of_run(metafunc.config)
        if not subjects:  # a run that verifies nothing would pass
            refuse(
                metafunc.config,
                "nothing to verify: expected --ace-model, --ace-subject or, in the ini file, ace_fixtures; got none",
            )
        metafunc.parametrize(ARGUMENTS, parameters_of(subjects))


def _names(mark: pytest.Mark) -> list[str]:
    """The arguments that a mark of `parametrize` gives."""
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let go of what was measured of a group of subjects when the next test is about another one."""
    subject, following = (_subject(each) for each in (item, nextitem))
    if subject is not None and (following is None or following.group != subject.group):
        subject.memory.clear()


def _subject(item: pytest.Item | None) -> Any:
    subject = getattr(item, "callspec", None) and item.callspec.params.get("ace_subject")  # type: ignore[union-attr]
    return subject if hasattr(subject, "group") and hasattr(subject, "memory") else None
