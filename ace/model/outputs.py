"""What a model is asked for in a run: its logits and what it stores, in an object, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

# Gathered from every block: a block that is left out gives none, and the model fails.
GATHERED = ("output_attentions", "output_hidden_states", "output_router_logits")
AS_OBJECT = "return_dict"  # and not as a tuple


def configs_of(model: nn.Module) -> tuple[Any, ...]:
    """The configurations that a model and its modules look at, each once."""
    found = {
        id(config): config for module in model.modules() if (config := getattr(module, "config", None)) is not None
    }
    for config in list(found.values()):
        for value in list(getattr(config, "__dict__", {}).values()):
            if any(name in getattr(value, "__dict__", {}) for name in _places()):
                found[id(value)] = value
    return tuple(config for config in found.values() if hasattr(config, "__dict__"))


def _places() -> tuple[str, ...]:
    return tuple(sign + name for name in (*GATHERED, AS_OBJECT) for sign in ("", "_"))


@contextmanager
def logits_alone(configs: Sequence[Any]) -> Iterator[None]:
    """Inside, the configurations ask for an object without what blocks are gathered for; then they are as before."""
    saved = []
    for config in configs:
        own = vars(config)
        for name in _places():
            wanted = name.lstrip("_") == AS_OBJECT
            if isinstance(own.get(name), bool) and own[name] is not wanted:
                saved.append((own, name))
                own[name] = wanted  # past a property that looks at other settings
    try:
        yield
    finally:
        for own, name in saved:
            own[name] = not own[name]


def advice(dtype: torch.dtype) -> str:
    """What helps where a model's numbers in a dtype overflow."""
    return "; load the model in bfloat16 or float32" if dtype == torch.float16 else ""
