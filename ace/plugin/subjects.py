"""The subjects of a run, made from what was asked for; heavy imports happen here, when tests are collected."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ace.plugin.options import Options
from ace.plugin.session import SESSION, load_function, refuse, see_working_folder

if TYPE_CHECKING:
    from ace.study.subject import LazySubject
    from ace.zoo.named import ModelSource


def subjects_of_run(config: pytest.Config) -> tuple[LazySubject, ...]:
    """What the run verifies: models and factories that were asked for, or else the project's own trained models.

    Where there is none of these the run ends with a usage error.
    """
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
        models=[_source(chosen, name) for name in chosen.models],
        factories=chosen.subjects,
        fixtures=chosen.fixtures,
        scale=chosen.scale,
        retrain=chosen.retrain,
        seed=chosen.seed,
        device=chosen.device,
        cache=chosen.cache,
        since=config.stash[SESSION].started,
        progress=not hasattr(config, "workerinput"),
        showing=lambda: _uncaptured(config),
        extractor=checked(load_function(extractor, chosen.given["extractor"])) if extractor else extract_core,
        rerun=lambda subject: chosen.rerun("{claim}", subject),
    )
    see_working_folder()  # a worker process has loaded no function yet
    try:
        subjects = asked_subjects(asked)
    except AceError as error:
        refuse(config, f"{chosen.given.get('subjects', '--ace-subject')}: {error}")
    return tuple(_refusing(config, one) for one in subjects) if chosen.models else subjects


def _source(chosen: Options, name: str) -> ModelSource:
    from ace.zoo.named import ModelSource

    return ModelSource(
        name, chosen.revision, chosen.dtype or "auto", chosen.device, chosen.tokenizer, chosen.task or "agreement"
    )


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


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Progress bars of a training are for the user, not for the captured output."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else nullcontext()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let go of what was measured of a group of subjects when the next test is about another one."""
    subject, following = (_subject(each) for each in (item, nextitem))
    if subject is not None and (following is None or following.group != subject.group):
        subject.memory.clear()


def _subject(item: pytest.Item | None) -> Any:
    subject = getattr(item, "callspec", None) and item.callspec.params.get("ace_subject")  # type: ignore[union-attr]
    return subject if hasattr(subject, "group") else None
