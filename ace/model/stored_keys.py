"""What a model stores of earlier positions: keys and values, one layer for each block, in an object called its cache.

A cache has `layers`, and a layer that is initialised has `keys` and `values` (rows, heads, t, d / heads), as those of
transformers have. Repeating its rows lets many edits of the same prompts share one run.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as cached
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ace.model.shared_keys import SharedKeys

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


def shared_cache(cache: Any, times: int = 1, first: int = 0) -> Any:
    """`tiled_cache` for one run: without gradients, what is stored is not repeated where attention does without."""
    if times == 1 or torch.is_grad_enabled():
        return tiled_cache(cache, times, first)
    copied = tiled_cache(cache)
    for index, layer in enumerate(copied.layers[first:], first):
        if layer.is_initialized:
            joins = _joinable(layer, index, kept=0)
            copied.layers[index] = _joining(layer, None, 0) if joins else _tiled(layer, times * len(layer.keys))
    return copied


def only_grows(cache: Any) -> bool:
    """Whether all that a model stores are keys and values that are put behind those before, and none was dropped."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    kinds = (DynamicLayer, DynamicSlidingWindowLayer, _growing_kind())
    layers: tuple[Any, ...] = tuple(getattr(cache, "layers", ()))
    return bool(layers) and all(
        type(layer) in kinds and layer.is_initialized and layer.keys.shape[2] == layer.get_seq_length()
        for layer in layers
    )


def shortened(cache: Any, rows: Tensor, length: int) -> Any:
    """A copy of a cache with some of its rows (m), as often as they are named, and the first positions only.

    For caches that `only_grows` holds of, and for any that are as long already.
    """
    copied = repeated_cache(cache, lambda stored: stored[rows])
    for layer in copied.layers:
        if layer.is_initialized and layer.get_seq_length() > length:
            layer.keys, layer.values = (part[:, :, :length].contiguous() for part in (layer.keys, layer.values))
            if hasattr(layer, "cumulative_length"):  # a sliding window, which counts for itself
                layer.cumulative_length = length
    return copied


def growing_cache(cache: Any, steps: int) -> None:
    """Give the layers of a cache room for so many more positions, which are then put behind the others in place.

    Concatenating them copies all that is stored at every step. A layer that does more than that stays as it is.
    """
    from transformers.cache_utils import DynamicLayer

    for index, layer in enumerate(getattr(cache, "layers", ())):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[index] = _growing_kind()(layer, steps)


def keep_rows(cache: Any, rows: Tensor) -> None:
    """Drop all rows of a cache but some (m), layer by layer, so that no second copy of all of them takes memory."""
    for layer in cache.layers:
        if type(layer) is _growing_kind():
            layer.keep_rows(rows)
        else:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]


@cached
def _growing_kind() -> Any:
    """The class of such layers; its base is there only where language models are."""
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):
        """A layer whose keys and values are the filled part of memory that was allocated at once.

        A copy of it is a plain layer: two that grow in the same memory would overwrite each other.
        """

        def __init__(self, layer: Any, steps: int) -> None:
            self.__dict__.update(layer.__dict__)
            self._memory = [_with_room(part, steps) for part in (layer.keys, layer.values)]

        def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            """Put them behind the others, in place while there is room."""
            before = self.get_seq_length()
            after = before + key_states.shape[2]
            if after > self._memory[0].shape[2]:
                return super().update(key_states, value_states, *args, **kwargs)
            for memory, part in zip(self._memory, (key_states, value_states), strict=True):
                memory[:, :, before:after] = part
            self.keys, self.values = keys, values = self._memory[0][:, :, :after], self._memory[1][:, :, :after]
            return keys, values

        def keep_rows(self, rows: Tensor) -> None:
            """Drop all rows but these."""
            length = self.get_seq_length()
            self._memory = [memory[rows] for memory in self._memory]
            self.keys, self.values = (memory[:, :, :length] for memory in self._memory)

        def __copy__(self) -> Any:
            plain = DynamicLayer.__new__(DynamicLayer)
            plain.__dict__.update({name: value for name, value in self.__dict__.items() if name != "_memory"})
            return plain

    return GrowingLayer


def _with_room(stored: Tensor, steps: int) -> Tensor:
    """(n, heads, t + steps, d) memory that begins with keys or values (n, heads, t, d)."""
    rows, heads, length, width = stored.shape
    memory = stored.new_empty(rows, heads, length + steps, width)
    memory[:, :, :length] = stored
    return memory


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
    if not own.is_initialized or count == kept:
        yield
        return
    joins = _joinable(own, index, kept)
    lent = _joining(own, memory, kept) if joins else _tiled(own, count)
    after = own
    cache.layers[index] = lent
    try:
        yield
        if not joins and kept:
            lent.keys, lent.values = lent.keys[:kept], lent.values[:kept]
            after = lent
        elif not kept and index == 0:
            after = lent  # with the new positions: the first layer tells how many are stored
    finally:
        cache.layers[index] = after


def _joinable(layer: Any, index: int, kept: int) -> bool:
    """Whether the layer does nothing but put new keys and values behind those it has."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if type(layer) is DynamicSlidingWindowLayer:
        return index > 0 or kept > 0  # it counts positions itself, and the first layer tells how many there are
    return type(layer) in (DynamicLayer, _growing_kind())


def _joining(layer: Any, memory: KeyMemory | None, kept: int) -> Any:
    """A copy of a layer that answers one `update`, and stores the first `kept` rows in the layer.

    What it answers is joined in the given memory, or in some of its own, and only where attention does not do without.
    """
    copied = copy.copy(layer)

    def update(keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        parts = {"keys": (layer.keys, keys), "values": (layer.values, values)}
        answers = []
        for name, (stored, fresh) in parts.items():
            join = partial((memory or KeyMemory(len(fresh))).joined, name, stored, fresh)
            answers.append(join() if fresh.requires_grad else SharedKeys(stored, fresh, join))
        if kept:
            layer.update(keys[:kept], values[:kept])
        copied.keys, copied.values = answers
        return copied.keys, copied.values

    copied.update = update
    return copied


def _tiled(layer: Any, count: int) -> Any:
    """A copy of a layer with its rows over and over, `count` in all."""
    times = count // len(layer.keys)
    copied = copy.copy(layer)
    copied.keys, copied.values = (part.repeat(times, 1, 1, 1) for part in (layer.keys, layer.values))
    return copied
