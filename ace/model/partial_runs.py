"""Runs that leave out what is not needed: blocks below a site, and rows of the head.

Each is a context manager that replaces modules or their forwards, and puts them back whatever happens in its body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from ace.model.language import LanguageModel
from ace.model.sites import Anatomy, state_place


class HeadRows(nn.Module):
    """Some rows of a linear head, or all, applied in float32 whatever the model's dtype."""

    def __init__(self, head: nn.Linear, tokens: Tensor | None) -> None:
        super().__init__()
        rows = slice(None) if tokens is None else tokens.to(head.weight.device)
        self.weight = head.weight[rows].detach().float()
        self.bias = None if head.bias is None else head.bias[rows].detach().float()

    def forward(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., rows) float32."""
        return nn.functional.linear(states.to(self.weight.device).float(), self.weight, self.bias)


@contextmanager
def restricted_head(language: LanguageModel, tokens: Tensor | None) -> Iterator[None]:
    """Inside, the model's head gives float32 logits, of the token ids `tokens` only or of all; the rest stays."""
    path = language.anatomy.head
    owner, _, name = path.rpartition(".")
    parent = language.model.get_submodule(owner)
    head = getattr(parent, name)
    setattr(parent, name, HeadRows(head, tokens))
    try:
        yield
    finally:
        setattr(parent, name, head)


@contextmanager
def replaced_forwards(
    model: nn.Module, paths: Sequence[str], make: Callable[[int, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Inside, the k-th of some modules runs `make(k, its own forward)` in its forward's place."""
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


@contextmanager
def skipped_blocks(model: nn.Module, anatomy: Anatomy, count: int, tuples: Sequence[bool]) -> Iterator[None]:
    """Inside, the first `count` blocks hand on what they get, unchanged.

    Args:
        tuples: for every block, whether it returns a tuple that begins with the state, or the state itself.
    """
    with passing_on(model, anatomy.blocks[:count], tuples):
        yield


@contextmanager
def passing_on(model: nn.Module, blocks: Sequence[str], tuples: Sequence[bool]) -> Iterator[None]:
    """Inside, the modules of these names hand on what they get, unchanged.

    Args:
        tuples: for each, whether it returns a tuple that begins with the state, or the state itself.
    """

    def passing(block: int, real: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*arguments: Any, **named: Any) -> Any:
            place = state_place(arguments, named)
            state = arguments[0] if place is None else named[place]
            return (state,) if tuples[block] else state

        return forward

    with replaced_forwards(model, blocks, passing):
        yield


def returned_tuples(model: nn.Module, anatomy: Anatomy, tuples: list[bool]) -> ExitStack:
    """Hooks that add to `tuples`, for every block that is run, whether it returns a tuple."""
    stack = ExitStack()
    for path in anatomy.blocks:

        def after(module: nn.Module, arguments: Any, output: Any) -> None:
            tuples.append(isinstance(output, tuple))

        stack.callback(model.get_submodule(path).register_forward_hook(after).remove)
    return stack
