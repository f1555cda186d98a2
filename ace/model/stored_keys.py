"""What a model stores of earlier positions, keys and values block by block, and the name it is handed in under."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

CACHE_NAMES = ("cache", "past_key_values")  # since transformers 5.24, and before


def cache_keyword(model: nn.Module) -> str:
    """The name under which a model's forward takes what is stored.

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
    """What a model's output holds of stored keys and values, under either name; None where it holds none."""
    return next((getattr(output, name) for name in CACHE_NAMES if hasattr(output, name)), None)
