"""Runs that leave out what is not needed: blocks below a site, and rows of the head.

Each is a context manager that replaces modules or their forwards, and puts them back whatever happens in its body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from ace.errors import SiteError
from ace.model.head import some_rows
from ace.model.language import LanguageModel
from ace.model.sites import Anatomy, state_place


@contextmanager
def restricted_head(language: LanguageModel, tokens: Tensor | None) -> Iterator[None]:
    """Inside, the model's head gives float32 logits, of the token ids `tokens` only or of all; the rest stays."""
    path = language.anatomy.head
    owner, _, name = path.rpartition(".")
    parent = language.model.get_submodule(owner)
    head = getattr(parent, name)
    setattr(parent, name, some_rows(head, tokens))
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
            forward = make(place, module.forward)
            saved.append((module, module.__dict__.get("forward")))  # accelerate puts one of its own on the instance
            module.forward = forward
        yield
    finally:
        for module, own in reversed(saved):
            if own is None:
                del module.forward
            else:
                module.forward = own


@dataclass(frozen=True)
class BlockRun:
    """How a block was run in a pass.

    Attributes:
        in_tuple: whether it returned a tuple, or a list, that begins with the state, or the state itself.
        rows: of its state.
        sizes: in place of each tensor that it was handed, its first size; nested as its arguments are.
    """

    in_tuple: bool
    rows: int
    sizes: Any


def observed_blocks(model: nn.Module, anatomy: Anatomy, runs: list[BlockRun]) -> AbstractContextManager[None]:
    """Inside, a pass adds to `runs` how each block was run, in the blocks' order.

    Raises:
        SiteError: at the end of the body, where a block ran more or less often than once.
    """

    @contextmanager
    def observing() -> Iterator[None]:
        seen: dict[str, list[BlockRun]] = {path: [] for path in anatomy.blocks}
        with ExitStack() as stack:
            for path, ends in seen.items():
                hook = partial(_observe, ends)
                stack.callback(model.get_submodule(path).register_forward_hook(hook, with_kwargs=True).remove)
            yield
        for path, ends in seen.items():
            if len(ends) != 1:
                raise SiteError(
                    f"{type(model).__name__}: expected every block to run once a pass, {path} ran {len(ends)} times"
                )
        runs.extend(ends[0] for ends in seen.values())

    return observing()


def _observe(
    ends: list[BlockRun], module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any
) -> None:
    in_tuple = isinstance(output, tuple | list)
    state = output[0] if in_tuple and output else output
    if not isinstance(state, Tensor) or state.ndim == 0:
        raise SiteError(
            f"{type(module).__name__}: expected a block that returns a state, alone or first in a tuple, got"
            f" {type(output).__name__}"
        )
    ends.append(BlockRun(in_tuple, len(state), first_sizes((arguments, named))))


def first_sizes(value: Any) -> Any:
    """The first size of a tensor, and of those in tuples, lists and dictionaries; None in place of anything else."""
    if isinstance(value, Tensor):
        return value.shape[0] if value.ndim else None
    if type(value) in (tuple, list):
        return [first_sizes(each) for each in value]
    return {name: first_sizes(each) for name, each in value.items()} if type(value) is dict else None


@contextmanager
def skipped_blocks(model: nn.Module, anatomy: Anatomy, count: int, runs: Sequence[BlockRun]) -> Iterator[None]:
    """Inside, the first `count` blocks hand on what they get, unchanged.

    Args:
        runs: of every block, in another pass.
    """
    with passing_on(model, anatomy.blocks[:count], [run.in_tuple for run in runs]):
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
            tuples.append(isinstance(output, tuple | list))

        stack.callback(model.get_submodule(path).register_forward_hook(after).remove)
    return stack
