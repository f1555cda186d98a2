"""The head of a language model: its weight where that is all it is, wherever the weight lies until the head is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ace.errors import SiteError, first_line


@contextmanager
def weights_at_hand(module: nn.Module) -> Iterator[None]:
    """Inside, the weights of a module lie where it runs, also those that accelerate keeps elsewhere until then.

    Raises:
        SiteError: weights on the meta device that nothing brings.
    """
    if not _is_elsewhere(module):
        yield
        return
    hook = getattr(module, "_hf_hook", None)  # accelerate's, which reads the weights before the module's own pass
    if hook is None:
        raise SiteError(
            f"model: expected a {type(module).__name__} with its weights, got some on the meta device, without values;"
            " load them, or place the model with device_map"
        )
    hook.pre_forward(module)
    try:
        yield
    finally:
        hook.post_forward(module, None)


def _is_elsewhere(module: nn.Module) -> bool:
    return any(parameter.is_meta for parameter in module.parameters(recurse=False))


def running_device(module: nn.Module) -> torch.device:
    """Where a module takes its inputs: at its weights, or where accelerate runs it."""
    weight = next(module.parameters(), None)
    if weight is not None and not weight.is_meta:
        return weight.device
    return torch.device(getattr(getattr(module, "_hf_hook", None), "execution_device", None) or "cpu")


@torch.no_grad()
def check_head(model: nn.Module, path: str) -> None:
    """Contrasts are computed with some rows of the head's weight: it must give what the head gives.

    Raises:
        SiteError: a head that does more than multiply by its weight and add its bias, or one without values.
    """
    head = model.get_submodule(path)
    assert isinstance(head, nn.Linear)
    expected = f"{type(model).__name__}.{path}: expected a head that multiplies by its weight and adds its bias"
    # In eight bits there are factors beside the weight.
    if not head.weight.is_floating_point() or head.weight.dtype.itemsize < 2:
        raise SiteError(f"{expected}, got {type(head).__name__} with a weight in {head.weight.dtype}")
    states = torch.randn(1, head.in_features, generator=torch.Generator().manual_seed(0))
    with weights_at_hand(head):
        states = states.to(running_device(head), head.weight.dtype)
    try:
        came = head(states)
        with weights_at_hand(head):
            wanted = nn.functional.linear(states, head.weight, head.bias)
            rows = HeadRows(head, torch.tensor([0]))(states)  # quantised weights may refuse to be taken by rows
    except (SiteError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise SiteError(f"{expected}, got {type(head).__name__} in {head.weight.dtype}: {first_line(error)}") from error
    wanted, rows = wanted.float(), rows.to(wanted.device)
    if not torch.isfinite(wanted).all():  # no matter of structure; contrasts name it
        return
    tolerance = 64 * torch.finfo(came.dtype).eps * float(wanted.abs().max())
    fits = came.shape == wanted.shape and float((came.float() - wanted.to(came.device)).abs().max()) <= tolerance
    if not fits or float((rows - wanted[:, :1]).abs().max()) > tolerance:
        raise SiteError(f"{expected}, got {type(head).__name__} that gives something else")


class HeadRows(nn.Module):
    """Some rows of a linear head, or all, applied in float32 whatever the model's dtype."""

    def __init__(self, head: nn.Linear, tokens: Tensor | None) -> None:
        super().__init__()
        with weights_at_hand(head):
            rows = slice(None) if tokens is None else tokens.to(head.weight.device)
            self.weight = head.weight[rows].detach().float()
            self.bias = None if head.bias is None else head.bias[rows].detach().float()

    def forward(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., rows) float32."""
        return nn.functional.linear(states.to(self.weight.device).float(), self.weight, self.bias)


class WholeHead(nn.Module):
    """Some columns of what a head gives, or all, in float32: for one that hooks may change, whatever they do."""

    def __init__(self, head: nn.Linear, tokens: Tensor | None) -> None:
        super().__init__()
        self.whole, self._tokens = head, tokens

    def forward(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., columns) float32."""
        logits = self.whole(states).float()
        return logits if self._tokens is None else logits[..., self._tokens.to(logits.device)]


def some_rows(head: nn.Linear, tokens: Tensor | None) -> nn.Module:
    """A head for the token ids `tokens` only, or all, in float32."""
    hooked = head._forward_hooks or head._forward_pre_hooks
    return WholeHead(head, tokens) if hooked else HeadRows(head, tokens)
