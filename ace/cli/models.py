"""What the actions that load a language model share: its arguments, and the prompts that its core is found with."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ace.tasks.prompt import PromptTask
    from ace.zoo.named import ModelSource


MODEL_NAMES = "a folder, a .gguf file, a short name of `ace zoo list`, or a hub name"
TASK_NAMES = "agreement-english, agreement, agreement-published, agreement-simple or agreement-story"


def add_model_arguments(parser: argparse._ActionsContainer) -> None:
    """How a model is loaded; None where nothing is said."""
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--dtype", help="auto (default), float32, bfloat16 or float16")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="hub name or folder, where it does not lie with the model"
    )


def asked_model(name: str, chosen: argparse.Namespace, task: str, option: str = "task") -> ModelSource:
    """The model of that name and its prompts, as the arguments say; nothing is loaded, but a file of prompts is read.

    Args:
        option: what the task was given by, for messages.

    Raises:
        InputError: neither a known task nor a readable file.
    """
    from ace.zoo.named import ModelSource

    asked = ModelSource(name, chosen.revision, chosen.dtype or "auto", tokenizer=chosen.tokenizer, task=task)
    asked.prompts(option)
    return asked


def in_lower_case(source: PromptTask) -> PromptTask:
    """Prompts without a capital letter at their beginning.

    Raises:
        InputError: prompts that are given as they are.
    """
    from ace.errors import InputError
    from ace.tasks.agreement import AgreementTask

    if not isinstance(source, AgreementTask):
        raise InputError(
            f"--lower-case: expected with prompts of agreement, got {source.name}, whose prompts are given"
        )
    return replace(source, capital=False)
