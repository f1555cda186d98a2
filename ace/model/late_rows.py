"""A run whose batch grows from block to block: rows that belong to a higher site wait until it is reached.

Edits at all sites of a model so share one run: every block's weights are read once, for as many rows as are there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, cat, nn

from ace.model.sites import Anatomy, state_place


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
    kept: int = 0,
) -> Iterator[None]:
    """Inside, block l works on the first counts[l] of `total` rows and hands on the others unchanged.

    Args:
        counts: for every block, never falling.
        tuples: for every block, whether it returns a tuple that begins with the state, or the state itself.
        cache: what the model is run with, or None; its layers hold the keys and values of the prefix for fewer rows,
            which are repeated.
        kept: of that many rows, the first, the cache also stores the new keys and values, as if they were run alone.
    """
    rooms = _Rooms(total)

    def partly(layer: int, real: Callable[..., Any]) -> Callable[..., Any]:
        return _partly(real, counts[layer], total, tuples[layer], cache, layer, rooms, kept)

    with replaced_forwards(model, anatomy.blocks, partly):
        yield


@contextmanager
def replaced_forwards(
    model: nn.Module, paths: Sequence[str], make: Callable[[int, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Inside, modules run what `make` gives for their place and their own forward; afterwards they are as they were."""
    saved = []
    try:
        for place, path in enumerate(paths):
            module = model.get_submodule(path)
            saved.append((module, module.__dict__.get("forward")))  # accelerate puts one of its own on the instance
            module.forward = make(place, module.forward)
        yield
    finally:
        for module, own in saved:
            if own is None:
                del module.forward
            else:
                module.forward = own


class _Rooms:
    """Memory for keys and values that one block after another uses: fresh memory costs more than what is put there."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._found: dict[object, Tensor] = {}

    def joined(self, name: str, stored: Tensor, fresh: Tensor) -> Tensor:
        """Stored keys or values (rows, heads, t, d), repeated, with fresh ones (times * rows, heads, s, d) after."""
        count, heads, length, width = fresh.shape
        before = stored.shape[2]
        shape = (self._total, heads, before + length, width)
        key = (name, shape, fresh.dtype, fresh.device)
        if key not in self._found:
            self._found[key] = fresh.new_empty(shape)
        room = self._found[key][:count]
        room.unflatten(0, (-1, len(stored)))[:, :, :, :before] = stored
        room[:, :, before:] = fresh
        return room


def _repeated(stored: Any, count: int, rooms: _Rooms | None, kept: int) -> Any:
    """A layer of a cache for `count` rows; with `rooms`, for one call of `update`.

    The stored one stays as it is, but for what it gains with `rooms` of the first `kept` rows.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    found = copy.copy(stored)
    if rooms is not None and type(stored) in (DynamicLayer, DynamicSlidingWindowLayer):

        def update(keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            joined = rooms.joined("keys", stored.keys, keys), rooms.joined("values", stored.values, values)
            if kept:
                stored.update(keys[:kept], values[:kept])
            return joined

        found.update = update
        return found
    times = count // len(stored.keys)
    found.keys, found.values = (part.repeat(times, 1, 1, 1) for part in (stored.keys, stored.values))
    return found


def _afterwards(stored: Any, used: Any, kept: int, *, first: bool) -> Any:
    """The layer that a cache goes on with, after a block was run with another in its place."""
    if used is stored or "update" in vars(used):  # what is kept was stored meanwhile
        return stored
    if not kept:
        return used if first else stored  # the first tells the length, and is the smallest
    used.keys, used.values = used.keys[:kept], used.values[:kept]
    return used


def _partly(
    real: Callable[..., Any],
    count: int,
    total: int,
    as_tuple: bool,
    cache: Any,
    layer: int,
    rooms: _Rooms,
    kept: int,
) -> Callable[..., Any]:
    def forward(*arguments: Any, **named: Any) -> Any:
        place = state_place(arguments, named)
        state = arguments[0] if place is None else named[place]
        if count == 0:
            return (state,) if as_tuple else state
        stored = None if cache is None else cache.layers[layer]
        if stored is not None and stored.is_initialized:
            # For this block only: all layers at once would take far more memory.
            cache.layers[layer] = _repeated(stored, count, None if layer == 0 else rooms, kept)
        if count < total:
            arguments, named = leading_rows((arguments, named), count, total)
        output = real(*arguments, **named)
        if stored is not None:
            cache.layers[layer] = _afterwards(stored, cache.layers[layer], kept, first=layer == 0)
        if count == total:
            return output
        done = output[0] if as_tuple else output
        joined = cat([done, state[count:].to(done.device)])
        return (joined, *output[1:]) if as_tuple else joined

    return forward
