"""Sampling from a model token by token, with keys and values cached, under an edit of the current state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ace.check import check_count
from ace.errors import InputError
from ace.observe import check_inputs
from ace.sites import Site, hooked


class CachedModel(Protocol):
    """A causal model that can be run one position at a time."""

    def new_cache(self) -> Sequence[Any]:
        """Empty stored keys and values, one entry a block."""
        ...

    def __call__(self, inputs: Tensor, past: Sequence[Any] | None = None) -> Tensor:
        """Logits (n, t, v); with `past`, `inputs` (n, 1) is the next position."""
        ...


def sample_tokens(
    model: CachedModel,
    start: Tensor,
    steps: int,
    generator: torch.Generator,
    site: Site | None = None,
    edit: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Token ids (n, 1 + steps): `start` (n, 1) and `steps` tokens sampled at temperature 1.

    Args:
        site, edit: replace the state (n, 1, d) of the current position at a site on every step. Where the site lies
            below the last block, later positions read the edited keys and values.

    Raises:
        InputError: a start that is not one token a row, a model without a cache, or only one of `site` and `edit`.
    """
    check_inputs(start)
    check_count("steps", steps)
    if start.shape[1] != 1:
        raise InputError(f"start: expected one token a row, got {start.shape[1]}")
    if (site is None) != (edit is None):
        raise InputError("edit: expected with a site and only there")
    if not isinstance(model, nn.Module) or not hasattr(model, "new_cache"):
        raise InputError(f"model: expected a module with new_cache(), got {type(model).__name__}")
    past = model.new_cache()
    tokens = [start]
    with torch.no_grad(), hooked(model, site, edit) if site is not None and edit is not None else nullcontext():
        for _ in range(steps):
            logits = model(tokens[-1], past)[:, -1]
            tokens.append(torch.multinomial(logits.softmax(dim=-1), 1, generator=generator))
    return torch.cat(tokens, dim=1)
