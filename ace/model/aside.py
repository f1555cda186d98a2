"""Weights that make room on a GPU for those of another model, and come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

MAIN_MEMORY = ("cpu", "meta", "mps")  # devices without memory of their own: a Mac's GPU has the main one


def takes_room(tensor: Tensor) -> bool:
    """Whether a tensor lies in an accelerator's own memory, of which there is little."""
    return tensor.device.type not in MAIN_MEMORY


@contextmanager
def weights_aside(model: nn.Module) -> Iterator[bool]:
    """For the time of a `with` the weights and buffers that lie on accelerators wait in main memory; gives if any do.

    Whatever runs the model meanwhile meets empty weights, and fails. Afterwards they are bit for bit as before and
    where they were, and those that shared memory, as tied ones do, share it again.
    """
    held = [tensor for tensor in chain(model.parameters(), model.buffers()) if takes_room(tensor)]
    places = [_Place(tensor) for tensor in held]
    waiting: dict[tuple[torch.device, int], Tensor] = {}
    for tensor, place in zip(held, places, strict=True):
        if place.memory not in waiting:
            waiting[place.memory] = _bytes_of(tensor).to("cpu", copy=True)
    for tensor in held:  # all of them are copied by now: what shares memory with another one is let go of with it
        tensor.data = tensor.new_empty(0)
    try:
        yield bool(held)
    finally:
        back = {key: content.to(key[0]) for key, content in waiting.items()}
        for tensor, place in zip(held, places, strict=True):
            place.take_again(tensor, back[place.memory])


class _Place:
    """Which memory a tensor lies in, and how it lies there."""

    def __init__(self, tensor: Tensor) -> None:
        self.memory = tensor.device, tensor.untyped_storage().data_ptr()
        self.offset, self.shape, self.strides = tensor.storage_offset(), tensor.shape, tensor.stride()

    def take_again(self, tensor: Tensor, content: Tensor) -> None:
        """Let a tensor lie in other memory as it lay here."""
        tensor.data = tensor.new_empty(0).set_(content.untyped_storage(), self.offset, self.shape, self.strides)


def _bytes_of(tensor: Tensor) -> Tensor:
    """(bytes) uint8, all of the memory that a tensor is a part of."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
