"""A run whose rows join late: the rows of a higher site wait until the run reaches it.

Edits at all sites of a model so share one run, in which every block's weights are read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, cat, nn

from ace.errors import SiteError
from ace.model.partial_runs import BlockRun, replaced_forwards
from ace.model.sites import Anatomy, state_place
from ace.model.stored_keys import KeyMemory, layer_for_rows


class Unforeseen(SiteError):
    """A block is handed a tensor of which nothing tells whether it has rows: it was not there in the run before."""


def leading_rows(value: Any, count: int, total: int, sizes: Any, before: int) -> Any:
    """What belongs to the first `count` of `total` rows: of tensors, and of tuples, lists and dictionaries of them.

    A tensor has rows, a fixed number of entries for each, where its first size grows with them; masks, positions and
    biases that are the same for all rows keep theirs, whatever it is.

    Args:
        sizes: the first sizes, nested in the same way, in a run of `before` rows, another number.

    Raises:
        Unforeseen: a tensor that was not there before.
    """
    if isinstance(value, Tensor) and value.ndim:
        if not isinstance(sizes, int) or before == total:
            raise Unforeseen(f"block: expected what it was handed before, got a tensor {tuple(value.shape)} besides")
        rows = value.shape[0] != sizes and value.shape[0] * before == sizes * total
        return value[: value.shape[0] // total * count] if rows else value
    if type(value) in (tuple, list):
        nested = sizes if isinstance(sizes, list) and len(sizes) == len(value) else [None] * len(value)
        return type(value)(
            leading_rows(each, count, total, its, before) for each, its in zip(value, nested, strict=True)
        )
    if type(value) is dict:
        named = sizes if isinstance(sizes, dict) else {}
        return {name: leading_rows(each, count, total, named.get(name), before) for name, each in value.items()}
    return value


@contextmanager
def rows_joining_late(
    model: nn.Module,
    anatomy: Anatomy,
    counts: Sequence[int],
    total: int,
    runs: Sequence[BlockRun],
    cache: Any,
    kept: int = 0,
) -> Iterator[None]:
    """Inside, block l works on the first counts[l] of `total` rows and hands on the others unchanged.

    Raises `Unforeseen` in a pass whose arguments are not those of `runs`; some layers of the cache may then have grown.

    Args:
        counts: for every block, never falling, each a multiple of the rows that the cache has.
        runs: of every block, in a pass of another number of rows.
        cache: what the model is run with, or None; the rows of its layers, fewer than a block's, are repeated for it.
        kept: afterwards the cache also has the new keys and values of that many rows, the first: all that it has rows
            for, or none.
    """
    memory = KeyMemory(total)

    def late(block: int, real: Callable[..., Any]) -> Callable[..., Any]:
        count, seen = counts[block], runs[block]

        def forward(*arguments: Any, **named: Any) -> Any:
            place = state_place(arguments, named)
            state = arguments[0] if place is None else named[place]
            if count == 0:
                return (state,) if seen.in_tuple else state
            if count < total:
                arguments, named = leading_rows((arguments, named), count, total, seen.sizes, seen.rows)
            with nullcontext() if cache is None else layer_for_rows(cache, block, count, memory, kept):
                output = real(*arguments, **named)
            if count == total:
                return output
            done = output[0] if seen.in_tuple else output
            joined = cat([done, state[count:].to(done.device)])
            return (joined, *output[1:]) if seen.in_tuple else joined

        return forward

    with replaced_forwards(model, anatomy.blocks, late):
        yield
