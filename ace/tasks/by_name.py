"""Prompts by the name that they are asked for with."""

from __future__ import annotations

from collections.abc import Mapping

from ace.tasks.agreement import AgreementTask
from ace.tasks.english.published import PublishedTask
from ace.tasks.english.task import EnglishTask
from ace.tasks.prompt import PromptTask

ENGLISH, FRAGMENT = "agreement-english", "agreement"  # what a model is asked by default, if it has the words
TASKS: Mapping[str, PromptTask] = {
    ENGLISH: EnglishTask(),
    FRAGMENT: AgreementTask(capital=True),
    "agreement-published": PublishedTask(),
    "agreement-simple": AgreementTask(attractors=False, capital=True),
    "agreement-story": AgreementTask(
        attractors=False, capital=True, opening="Once upon a time, there was a little boy. "
    ),
}
