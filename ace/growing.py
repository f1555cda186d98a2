"""A run whose batch grows from block to block: rows that belong to a higher site wait until it is reached.

Edits at all sites of a model so share one run: every block's weights are read once, for as many rows as are there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, cat, nn

from ace.sites import Anatomy, state_place


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
def growing_batch(
    model: nn.Module,
    anatomy: Anatomy,
    counts: Sequence[int],
    total: int,
    tuples: Sequence[bool],
    cache: Any,
    tile: Callable[[Tensor, int], Tensor],
) -> Iterator[None]:
    """Inside, block l works on the first counts[l] of `total` rows and hands on the others unchanged.

    Args:
        counts: for every block, never falling.
        tuples: for every block, whether it returns a tuple that begins with the state, or the state itself.
        cache: what the model is run with, or None; its layers hold the keys and values of the prefix once.
        tile: (stored, count) -> those keys or values for `count` rows.
    """
    saved = []
    try:
        for layer, (path, count, as_tuple) in enumerate(zip(anatomy.blocks, counts, tuples, strict=True)):
            block = model.get_submodule(path)
            saved.append((block, block.__dict__.get("forward")))
            block.forward = _partly(block.forward, count, total, as_tuple, cache, layer, tile)
        yield
    finally:
        for block, own in saved:
            if own is None:
                del block.forward
            else:
                block.forward = own


def _partly(
    real: Callable[..., Any],
    count: int,
    total: int,
    as_tuple: bool,
    cache: Any,
    layer: int,
    tile: Callable[[Tensor, int], Tensor],
) -> Callable[..., Any]:
    def forward(*arguments: Any, **named: Any) -> Any:
        place = state_place(arguments, named)
        state = arguments[0] if place is None else named[place]
        if count == 0:
            return (state,) if as_tuple else state
        stored = None if cache is None else cache.layers[layer]
        if stored is not None and stored.is_initialized:
            # For this block only: all layers at once would take far more memory.
            cache.layers[layer] = copy.copy(stored)
            cache.layers[layer].keys, cache.layers[layer].values = tile(stored.keys, count), tile(stored.values, count)
        if count < total:
            arguments, named = leading_rows((arguments, named), count, total)
        output = real(*arguments, **named)
        if stored is not None and layer > 0:  # the first tells the length, and is the smallest
            cache.layers[layer] = stored
        if count == total:
            return output
        done = output[0] if as_tuple else output
        joined = cat([done, state[count:].to(done.device)])
        return (joined, *output[1:]) if as_tuple else joined

    return forward
