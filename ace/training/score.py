"""Cross-entropy and accuracy of stacked models."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ace.training.ensemble import Weights, stacked_logits
from ace.training.transformer import Architecture


def mean_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """(e) mean cross-entropy of each model in nats, logits (e, n, t, v), targets (e, n, t)."""
    flat = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return flat.view(len(logits), -1).mean(dim=1)


@torch.no_grad()
def loss_and_accuracy(sizes: Architecture, weights: Weights, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(e) cross-entropy in nats and (e) accuracy, without dropout, on inputs (n, t) with targets (n, s) at the end."""
    logits = stacked_logits(sizes, weights, inputs, scored=targets.shape[-1])
    return mean_losses(logits, targets.expand(len(logits), -1, -1)), _hits(logits, targets)


@torch.no_grad()
def accuracies(sizes: Architecture, weights: Weights, inputs: Tensor, targets: Tensor) -> Tensor:
    """(e) accuracy without dropout on inputs (n, t) or (e, n, t) with targets (n, s) or (e, n, s) at the end."""
    return _hits(stacked_logits(sizes, weights, inputs, scored=targets.shape[-1]), targets)


def _hits(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(dim=-1) == targets).float().mean(dim=(1, 2))
