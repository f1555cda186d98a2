"""Keys and values of many rows that share all but their last position: attended to without repeating what they share.

Several edits of one prompt have the same keys and values before the edited position. A model wants them as one tensor,
a copy of what is stored for every edit; here that copy is made only where something other than plain attention of one
new position asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map_only


class SharedKeys(Tensor):
    """(m * n, heads, t + s, d): stored keys or values (n, heads, t, d), m times over, each before fresh ones.

    Stands in a model for the tensor that `join` gives: plain `scaled_dot_product_attention` reads the parts where one
    position is fresh, and any other operation gets the tensor itself, which is formed when the first of them comes.

    Attributes:
        stored: (n, heads, t, d). fresh: (m * n, heads, s, d).
    """

    stored: Tensor
    fresh: Tensor
    _join: Callable[[], Tensor]
    _joined: Tensor | None

    @staticmethod
    def __new__(cls, stored: Tensor, fresh: Tensor, join: Callable[[], Tensor]) -> SharedKeys:
        """`join` gives the tensor, when it is asked for."""
        rows, heads, length, width = fresh.shape
        shape = (rows, heads, stored.shape[2] + length, width)
        shared: SharedKeys = Tensor._make_wrapper_subclass(cls, shape, dtype=fresh.dtype, device=fresh.device)
        shared.stored, shared.fresh, shared._join, shared._joined = stored, fresh, join, None
        return shared

    def joined(self) -> Tensor:
        """The tensor that this one stands for."""
        if self._joined is None:
            self._joined = self._join()
        return self._joined

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            found = _attended(*args, **(kwargs or {}))
            if found is not None:
                return found
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        args, kwargs = tree_map_only(SharedKeys, SharedKeys.joined, (tuple(args), dict(kwargs or {})))
        return func(*args, **kwargs)


def _attended(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor | None:
    """(m * n, heads, l, d) attention to shared keys of one further position; None where it is anything but plain.

    Queries are several (l) where heads share keys and a model packs those of one position so; with `enable_gqa` they
    are packed here.
    """
    plain = attn_mask is None and dropout_p == 0 and not is_causal
    if not (plain and isinstance(key, SharedKeys) and isinstance(value, SharedKeys)):
        return None
    total, heads, length, width = query.shape
    rows, groups = len(key.stored), key.fresh.shape[1]
    packed = heads // groups if enable_gqa else 1
    fits = key.fresh.shape == (total, heads // packed, 1, width) and value.fresh.shape == key.fresh.shape
    stored = key.stored.shape == value.stored.shape and key.stored.shape[2] > 0
    # Softmax in half precision is rounded otherwise.
    if not fits or not stored or heads % groups or query.dtype != torch.float32:
        return None
    scale = width**-0.5 if scale is None else scale
    asked = _by_row(query.reshape(total, groups, packed * length, width), rows) * scale  # (n, groups, m, q, d)
    own = (asked * _by_row(key.fresh, rows)).sum(dim=-1, keepdim=True)
    shared = (asked.flatten(2, 3) @ key.stored.mT).unflatten(2, asked.shape[2:4])  # (n, groups, m, q, t)
    # Softmax of the two together, written out: that of torch takes twice as long on so few entries.
    highest = torch.maximum(shared.amax(dim=-1, keepdim=True), own)
    shared, own = (shared - highest).exp_(), (own - highest).exp_()
    weighed = (shared.flatten(2, 3) @ value.stored).unflatten(2, asked.shape[2:4])
    found = (weighed + own * _by_row(value.fresh, rows)) / (shared.sum(dim=-1, keepdim=True) + own)
    return found.permute(2, 0, 1, 3, 4).reshape(total, heads, length, width)


def _by_row(fresh: Tensor, count: int) -> Tensor:
    """(n, heads, m, l, d) of (m * n, heads, l, d): a stored row's edits side by side."""
    return fresh.view(-1, count, *fresh.shape[1:]).permute(1, 2, 0, 3, 4)
