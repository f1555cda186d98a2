"""Checks of what the methods of a user's task return; messages name the method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.check import check_count, check_instance
from ace.errors import AceError, InputError, SplitError
from ace.tasks.base import HELD_OUT, Batch, Numbers, Split, Task
from ace.tasks.prompt import PromptTask

SIZES = {Split.EXTRACTION: 1000, Split.SELECTION: 1000, Split.EVALUATION: 3000}  # 3,000 as published

Value = TypeVar("Value")


def _asked(name: str, ask: Callable[[], Value]) -> Value:
    """What a task's method gives; any error of its own becomes an InputError that names the method."""
    try:
        return ask()
    except (AceError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(f"{name} raised {type(error).__name__}: {error}") from error


def split_sizes(task: Task, given: Mapping[Split, int]) -> dict[Split, int]:
    """How many sequences of each split: as given, or as by default, or all that a finite task has.

    Raises:
        InputError: something else than splits, fewer than two sequences of one, or a `size` that is no number.
    """
    for split, size in given.items():
        if split not in tuple(Split):
            raise InputError(f"sizes: expected splits out of {', '.join(Split)}, got {split!r}")
        check_count(f"sizes[{split}]", size, smallest=2)
    sizes = {}
    for split, default in SIZES.items():
        name = f"{type(task).__name__}.size"
        most = _asked(name, lambda: task.size(split))  # noqa: B023
        wanted = given.get(split, default if most is None else most)
        sizes[split] = wanted if most is None else min(wanted, check_count(name, most, smallest=2))
    return sizes


def as_tensor(array: Numbers) -> Tensor:
    """The array's values as a tensor: a view that torch can write into, or else a copy."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def drawn_batch(task: Task, split: Split, sequences: int, seed: int) -> Batch:
    """The batch of a split.

    Raises:
        InputError: `draw` raises, or gives something else than so many sequences of this split.
    """
    name = f"{type(task).__name__}.draw"
    batch = _asked(name, lambda: task.draw(split, sequences, seed))
    check_instance(name, batch, Batch)
    if batch.split != split or len(batch.inputs) != sequences:
        raise InputError(
            f"{name}: expected {sequences} sequences of {split}, got {len(batch.inputs)} of {batch.split};"
            " a task with fewer says so in `size`"
        )
    return batch


def checked_scores(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """(n) float64 scores of outputs (n, s, v); half precision is handed over as float32.

    Raises:
        InputError: `score` raises, or gives something else than one finite number a sequence.
    """
    name = f"{type(task).__name__}.score"
    working = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    scores = _asked(name, lambda: task.score(working, targets))
    if not isinstance(scores, Tensor) or scores.shape != (len(outputs),) or scores.is_complex():
        came = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InputError(
            f"{name}: expected a tensor of one number a sequence ({len(outputs)},) for outputs {tuple(outputs.shape)}"
            f" and targets {tuple(targets.shape)}, got {came}"
        )
    values = scores.detach().cpu().double()
    if not torch.isfinite(values.sum()):
        raise InputError(f"{name}: expected finite scores, got NaN or infinity")
    return values


def checked_chance(task: Task, batch: Batch) -> Array:
    """(n) score of the best guess that does not look at the input.

    Raises:
        InputError: `chance` raises, or gives something else than finite numbers, one or one a sequence.
    """
    name, count = f"{type(task).__name__}.chance", len(batch.inputs)
    given = _asked(name, lambda: np.asarray(task.chance(batch), dtype=np.float64))
    if given.shape not in ((), (count,)) or not np.isfinite(given).all():
        raise InputError(f"{name}: expected one finite number, or one a sequence ({count},), got {given.shape}")
    return np.full(count, given)


def require_different_prompts(source: PromptTask, sizes: Mapping[Split, int]) -> None:
    """Refuse prompts that are extracted from and evaluated on, or that count as several independent ones.

    Raises:
        SplitError: two splits share a text.
        InputError: a text belongs to two groups of one split, which are resampled as if they had nothing in common.
    """
    seen: dict[str, Split] = {}
    for split in HELD_OUT:
        prompts = source.prompts(split, sizes[split])
        groups: dict[str, str] = {}
        for text, group in zip(prompts.texts, prompts.groups, strict=True):
            if seen.setdefault(text, split) != split:
                raise SplitError(
                    f"split: expected prompts of {split} that are not in {seen[text]}, got {text!r} in both"
                )
            if groups.setdefault(text, group) != group:
                raise InputError(f"groups: expected one for each text, got {groups[text]!r} and {group!r} for {text!r}")


def scored_classes(batch: Batch) -> Ints | None:
    """(n s) the target of every scored position; None where targets are no classes, or all the same one."""
    targets = batch.targets
    if targets.ndim != 2 or targets.dtype != np.int64 or len(np.unique(targets)) < 2:
        return None
    return targets.reshape(-1)
