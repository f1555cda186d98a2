"""What the actions that load a language model share: its arguments, and the prompts that its core is found with."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ace.model.language import LanguageModel
    from ace.tasks.prompt import PromptTask

ACTS_ON = "agreement"  # the task by default


def add_model_arguments(parser: argparse._ActionsContainer) -> None:
    """How a model is loaded; None where nothing is said."""
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--dtype", help="auto (default), float32, bfloat16 or float16")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="hub name or folder, where it does not lie with the model"
    )


def load_model(name: str, chosen: argparse.Namespace) -> LanguageModel:
    """The model of that name, as the arguments say.

    Raises:
        AceError: there is none, or it cannot be used.
    """
    from ace.model.language import load_language_model

    return load_language_model(name, revision=chosen.revision, dtype=chosen.dtype or "auto", tokenizer=chosen.tokenizer)


def prompts_of(task: str, *, lower_case: bool = False) -> PromptTask:
    """The prompts of a task by name or in a file; those of agreement in lower case on demand.

    Raises:
        InputError: neither a known task nor a readable file, or lower case for prompts that are given as they are.
    """
    from ace.errors import InputError
    from ace.tasks.agreement import AgreementTask
    from ace.zoo.named import ModelSource

    source = ModelSource("", task=task).prompts()
    if not lower_case:
        return source
    if not isinstance(source, AgreementTask):
        raise InputError(f"lower_case: expected with prompts of agreement, got {task}, whose prompts are given")
    return replace(source, capital=False)


def is_agreement(task: str) -> bool:
    """Whether a task's prompts are generated ones of agreement, which can be had in lower case."""
    from ace.tasks.agreement import TASKS

    return task in TASKS
