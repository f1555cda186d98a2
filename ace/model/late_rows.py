"""A run whose rows join late: the rows of a higher site wait until the run reaches it.

Edits at all sites of a model so share one run, in which every block's weights are read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, cat, nn

from ace.model.partial_runs import replaced_forwards
from ace.model.sites import Anatomy, state_place
from ace.model.stored_keys import KeyMemory, layer_for_rows


def leading_rows(value: Any, count: int, total: int) -> Any:
    """What belongs to the first `count` of `total` rows: of tensors, and of tuples, lists and dictionaries of them.

    Masks and positions that are the same for all rows have one leading entry and stay; some have a fixed number for
    each row.
    """
    if isinstance(value, Tensor):
        rows = value.ndim > 1 and value.shape[0] > 0 and value.shape[0] % total == 0
        return value[: value.shape[0] // total * count] if rows else value
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return type(value)(leading_rows(each, count, total) for each in value)
    if type(value) is dict:
        return {name: leading_rows(each, count, total) for name, each in value.items()}
    return value


@contextmanager
def rows_joining_late(
    model: nn.Module,
    anatomy: Anatomy,
    counts: Sequence[int],
    total: int,
    tuples: Sequence[bool],
    cache: Any,
    kept: int = 0,
) -> Iterator[None]:
    """Inside, block l works on the first counts[l] of `total` rows and hands on the others unchanged.

    Args:
        counts: for every block, never falling, each a multiple of the rows that the cache has.
        tuples: for every block, whether it returns a tuple that begins with the state, or the state itself.
        cache: what the model is run with, or None; the rows of its layers, fewer than a block's, are repeated for it.
        kept: afterwards the cache also has the new keys and values of that many rows, the first: all that it has rows
            for, or none.
    """
    memory = KeyMemory(total)

    def late(block: int, real: Callable[..., Any]) -> Callable[..., Any]:
        count, as_tuple = counts[block], tuples[block]

        def forward(*arguments: Any, **named: Any) -> Any:
            place = state_place(arguments, named)
            state = arguments[0] if place is None else named[place]
            if count == 0:
                return (state,) if as_tuple else state
            if count < total:
                arguments, named = leading_rows((arguments, named), count, total)
            with nullcontext() if cache is None else layer_for_rows(cache, block, count, memory, kept):
                output = real(*arguments, **named)
            if count == total:
                return output
            done = output[0] if as_tuple else output
            joined = cat([done, state[count:].to(done.device)])
            return (joined, *output[1:]) if as_tuple else joined

        return forward

    with replaced_forwards(model, anatomy.blocks, late):
        yield
