"""Prompts that are drawn by rules of their own: any number of them, the same for the same arguments."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache

from ace.check import check_choice, check_count
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.prompt import Prompts, PromptTask


class DrawnPrompts(PromptTask):
    """Drawn once for all that ask for them: models of a task and their untrained twins ask for the same.

    A kind of task defines `_drawn`. Two tasks that are equal share their prompts, so that a frozen dataclass is meant.
    """

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """`count` prompts of a split, or as many as there are, as evenly as can be over all that the task varies.

        Raises:
            InputError: the training split, or no prompts.
        """
        check_choice("split", split, HELD_OUT)
        check_count("count", count)
        return _remembered(self, split, count, seed)

    @abstractmethod
    def _drawn(self, split: Split, count: int, seed: int) -> Prompts:
        """The same, of arguments that are right."""


@lru_cache(maxsize=64)
def _remembered(task: DrawnPrompts, split: Split, count: int, seed: int) -> Prompts:
    return task._drawn(split, count, seed)
