"""Stacked weights of an ensemble in one buffer, a row a model, with their gradients beside them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

LINE = 16  # padding unit in values: a multiple of the vector length of every processor


class WeightBuffer:
    """Weights of e models in one padded buffer.

    A fused optimiser treats the last few values of a tensor by other code than the rest, with other rounding. Padding
    keeps weights out of that place, so a model's weights do not depend on how many other models train beside it.
    Because a row is a model, neighbouring models can have optimiser settings of their own.

    Attributes:
        rows: (e, L) all weights.
        gradients: (e, L) all gradients.
        weights: name -> (e, ...) views of `rows`.
    """

    def __init__(self, start: Mapping[str, Tensor]) -> None:
        first = next(iter(start.values()))
        lengths = _padded_lengths(start)
        self.rows = torch.zeros(len(first), sum(lengths), dtype=first.dtype, device=first.device)
        self.gradients = torch.zeros_like(self.rows)
        self.weights, self._slopes = (
            {
                name: part[:, : value[0].numel()].view(value.shape)
                for (name, value), part in zip(start.items(), buffer.split(lengths, dim=1), strict=True)
            }
            for buffer in (self.rows, self.gradients)
        )
        for name, value in self.weights.items():
            value.copy_(start[name]).requires_grad_()

    def differentiate(self, loss: Tensor) -> None:
        """Put the gradients of a scalar loss in `gradients`."""
        torch._foreach_copy_(tuple(self._slopes.values()), torch.autograd.grad(loss, tuple(self.weights.values())))

    def copies(self, device: str | torch.device | None = None) -> dict[str, Tensor]:
        """Copies of the weights as they are, apart from the buffer."""
        return {
            name: value.detach().to(device or value.device, copy=True).contiguous()
            for name, value in self.weights.items()
        }


def row_length(weights: Mapping[str, Tensor]) -> int:
    """L: how many values a row of a buffer of these weights (e, ...) has, with padding."""
    return sum(_padded_lengths(weights))


def _padded_lengths(weights: Mapping[str, Tensor]) -> list[int]:
    return [-(-value[0].numel() // LINE) * LINE for value in weights.values()]
