"""Which module reads what the last block returns, told by running the model on two tokens."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def read_after(model: nn.Module, block: str, candidates: Sequence[str]) -> tuple[str, ...] | None:
    """Of some modules those that run after a block, in the order in which they do, or None if the model does not run.

    One whose input is what the block returned comes before all others.
    """
    returned: list[Any] = []
    read: list[tuple[bool, str]] = []

    def after(module: nn.Module, arguments: Any, output: Any) -> None:
        returned[:], read[:] = [output[0] if isinstance(output, tuple | list) and output else output], []

    with ExitStack() as stack:
        stack.callback(model.get_submodule(block).register_forward_hook(after).remove)
        for name in candidates:

            def before(module: nn.Module, arguments: Any, named: dict[str, Any], name: str = name) -> None:
                if returned:
                    given = [*arguments, *named.values()]
                    read.append((any(_is_same(each, returned[0]) for each in given), name))

            hook = model.get_submodule(name).register_forward_pre_hook(before, with_kwargs=True)
            stack.callback(hook.remove)
        with _as_for_use(model):
            try:
                model(torch.ones(1, 2, dtype=torch.long, device=_device(model)))
            except Exception:  # a model of other inputs, or without its weights: nothing is told
                return None
    if not returned:
        return None
    return tuple(dict.fromkeys(name for _, name in sorted(read, key=lambda each: not each[0])))


def _is_same(given: Any, returned: Any) -> bool:
    if given is returned:
        return True
    tensors = isinstance(given, Tensor) and isinstance(returned, Tensor) and given.shape == returned.shape
    return tensors and torch.equal(given.to(returned.device), returned)


def _device(model: nn.Module) -> torch.device:
    weight = next((weight for weight in model.parameters() if not weight.is_meta), None)
    return torch.device("cpu") if weight is None else weight.device


@contextmanager
def _as_for_use(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode, without gradients and warnings; then it is as it was."""
    training = [module for module in model.modules() if module.training]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True
