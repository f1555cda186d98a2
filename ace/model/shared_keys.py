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

    Stands in a model for the tensor that `join` gives: `scaled_dot_product_attention` of one position reads the parts,
    and any other operation gets the tensor itself, which is formed when the first of them comes.

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
    """(m * n, heads, 1, d) attention of one position to shared keys; None where it is anything but plain."""
    plain = attn_mask is None and dropout_p == 0 and not is_causal and not enable_gqa
    if not (plain and isinstance(key, SharedKeys) and isinstance(value, SharedKeys)):
        return None
    rows, heads, length, width = query.shape
    fits = key.fresh.shape == query.shape and value.fresh.shape[:3] == query.shape[:3]
    stored = key.stored.shape[:3] == value.stored.shape[:3] and key.stored.shape[2] > 0
    # Softmax in half precision is rounded otherwise; several positions need a mask among themselves.
    if length != 1 or not fits or not stored or query.dtype != torch.float32:
        return None
    count = len(key.stored)
    asked = _by_row(query, count) * (width**-0.5 if scale is None else scale)  # (n, heads, m, d)
    own = (asked * _by_row(key.fresh, count)).sum(dim=-1, keepdim=True)
    shared = asked @ key.stored.mT  # (n, heads, m, t)
    # Softmax of the two together, written out: that of torch takes twice as long on so few entries.
    highest = torch.maximum(shared.amax(dim=-1, keepdim=True), own)
    shared, own = (shared - highest).exp_(), (own - highest).exp_()
    found = (shared @ value.stored + own * _by_row(value.fresh, count)) / (shared.sum(dim=-1, keepdim=True) + own)
    return found.permute(2, 0, 1, 3).reshape(rows, heads, 1, -1)


def _by_row(fresh: Tensor, count: int) -> Tensor:
    """(n, heads, m, d) of (m * n, heads, 1, d): a stored row's edits side by side."""
    return fresh.view(-1, count, *fresh.shape[1::2]).permute(1, 2, 0, 3)
