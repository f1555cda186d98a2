"""What a model stores of earlier positions: keys and values, one layer for each block, in an object called its cache.

A cache has `layers`, and a layer that is initialised has `keys` and `values` (rows, heads, t, d / heads), as those of
transformers have. Repeating its rows lets many edits of the same prompts share one run.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

CACHE_NAMES = ("cache", "past_key_values")  # since transformers 5.24, and before


def cache_keyword(model: nn.Module) -> str:
    """The name under which a model's forward takes its cache.

    Told by the signature of its forward, or, where that takes any keyword and hands it on, by that of the outermost
    module within which names one. Where none does, the older name: a model that stores nothing is never given any.
    """
    for module in model.modules():
        parameters = inspect.signature(module.forward).parameters
        for name in CACHE_NAMES:
            if name in parameters:
                return name
    return CACHE_NAMES[-1]


def output_cache(output: Any) -> Any:
    """The cache in a model's output, under either name; None where it holds none."""
    return next((getattr(output, name) for name in CACHE_NAMES if hasattr(output, name)), None)


def repeated_cache(cache: Any, repeat: Callable[[Tensor], Tensor], first: int = 0) -> Any:
    """A copy of a cache in which `repeat` was applied to the keys and to the values of each layer from `first` on.

    The given one stays as it is, and running a model with the copy does not change it. Layers below `first` keep their
    rows: no block reads them, but the first layer tells the model how many positions are stored.
    """
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in copied.layers[first:]:
        if layer.is_initialized:
            layer.keys, layer.values = repeat(layer.keys), repeat(layer.values)
    return copied


def tiled_cache(cache: Any, times: int = 1, first: int = 0) -> Any:
    """A copy of a cache with all its rows `times` times over: rows 0..n-1, then again 0..n-1, and so on."""

    def tile(stored: Tensor) -> Tensor:
        return stored.expand(times, *stored.shape).reshape(-1, *stored.shape[1:])

    return repeated_cache(cache, tile if times > 1 else lambda stored: stored, first)


class KeyMemory:
    """Memory for one block's keys and values that the next block uses again: allocating takes longer than filling it.

    Args:
        rows: the most that any block has.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._tensors: dict[object, Tensor] = {}

    def joined(self, name: str, stored: Tensor, fresh: Tensor) -> Tensor:
        """(m, heads, t + s, d): stored keys or values (n, heads, t, d), tiled, then fresh ones (m, heads, s, d).

        What was joined under the same name before is overwritten.
        """
        count, heads, length, width = fresh.shape
        before = stored.shape[2]
        shape = (self._rows, heads, before + length, width)
        key = (name, shape, fresh.dtype, fresh.device)
        if key not in self._tensors:
            self._tensors[key] = fresh.new_empty(shape)
        memory = self._tensors[key][:count]
        memory.unflatten(0, (-1, len(stored)))[:, :, :, :before] = stored
        memory[:, :, before:] = fresh
        return memory


@contextmanager
def layer_for_rows(cache: Any, index: int, count: int, memory: KeyMemory, kept: int) -> Iterator[None]:
    """While the body runs one block, that block's layer of a cache serves `count` rows, a multiple of those it has.

    Only this block's layer: repeating all of them at once would take far more memory. Afterwards the layer has its own
    rows again, with the new keys and values of the first `kept` rows. A layer that is not initialised stays in place.

    Args:
        kept: as many rows as the layer has, or 0, where what the body stores is not wanted.
    """
    own = cache.layers[index]
    if not own.is_initialized:
        yield
        return
    joins = index > 0 and _joinable(own)
    lent = _joining(own, memory, kept) if joins else _tiled(own, count)
    after = own
    cache.layers[index] = lent
    try:
        yield
        if not joins and kept:
            lent.keys, lent.values = lent.keys[:kept], lent.values[:kept]
            after = lent
        elif index == 0:
            after = lent  # with the new positions: the first layer tells how many are stored
    finally:
        cache.layers[index] = after


def _joinable(layer: Any) -> bool:
    """Whether the layer does nothing but put new keys and values behind those it has."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    return type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)


def _joining(layer: Any, memory: KeyMemory, kept: int) -> Any:
    """A copy of a layer that answers one `update` from shared memory, and stores the first `kept` rows in the layer."""

    def update(keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        joined = memory.joined("keys", layer.keys, keys), memory.joined("values", layer.values, values)
        if kept:
            layer.update(keys[:kept], values[:kept])
        return joined

    copied = copy.copy(layer)
    copied.update = update
    return copied


def _tiled(layer: Any, count: int) -> Any:
    """A copy of a layer with its rows over and over, `count` in all."""
    times = count // len(layer.keys)
    copied = copy.copy(layer)
    copied.keys, copied.values = (part.repeat(times, 1, 1, 1) for part in (layer.keys, layer.values))
    return copied
