"""Tasks with known optimal predictors, and the table that builds one from a recipe's entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ace.errors import InputError, RecipeError
from ace.tasks.base import Batch, Split, Task
from ace.tasks.hidden_markov import HiddenMarkov, mess3
from ace.tasks.hidden_permutation import HiddenPermutation, hidden_permutation
from ace.tasks.markov import MarkovChain, circulant_chain, low_rank_chain
from ace.tasks.modular_addition import ModularAddition
from ace.tasks.prompt import Contrast, Prompts, PromptTask

BUILDERS: dict[str, Callable[..., Task]] = {
    "circulant": circulant_chain,
    "hidden_permutation": hidden_permutation,
    "low_rank": low_rank_chain,
    "mess3": mess3,
    "modular_addition": ModularAddition,
}

__all__ = [
    "Batch",
    "Contrast",
    "HiddenMarkov",
    "HiddenPermutation",
    "MarkovChain",
    "ModularAddition",
    "PromptTask",
    "Prompts",
    "Split",
    "Task",
    "build_task",
    "circulant_chain",
    "hidden_permutation",
    "low_rank_chain",
    "mess3",
]


def build_task(entries: Mapping[str, object]) -> Task:
    """Task from a recipe's `[task]` table: `kind` and the builder's arguments.

    Raises:
        RecipeError: unknown kind, arguments that the builder does not take, or values out of range.
    """
    if not isinstance(entries, Mapping):
        raise RecipeError(f"task: expected a table, got {type(entries).__name__}")
    arguments = dict(entries)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in BUILDERS:
        raise RecipeError(f"task.kind: expected one of {', '.join(BUILDERS)}, got {kind!r}")
    try:
        return BUILDERS[kind](**arguments)
    except TypeError as error:
        raise RecipeError(f"task: {kind} does not take these arguments: {error}") from error
    except InputError as error:
        raise RecipeError(f"task.{error}") from error
