"""Distributed alignment search: a subspace trained by gradient descent on what exchanging it does.

Geiger et al. 2023, arXiv 2303.02536: of two inputs, base and source, the base's component in a subspace is replaced by
the source's, h_b + Q Q^T (h_s - h_b), and Q is trained so that the model then answers as for the source. Unlike all
other alternatives it is trained on the effect of the very edits that claims are about.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ace.check import check_rank
from ace.progress import told

EPOCHS = 20
PATIENCE = 3  # epochs without a held-out loss that is lower by a hundredth
RATE = 0.5  # of Adam, over the root of the width: against the entries of a unit vector

Step = Callable[[Tensor], None]  # takes a loss, and moves the subspace down its gradient
Epoch = Callable[[Callable[[], Tensor], Step, torch.Generator], float]


def trained_basis(width: int, rank: int, epoch: Epoch, *, epochs: int = EPOCHS, patience: int = PATIENCE) -> Tensor:
    """(d, r) orthonormal columns, float64: the subspace after the epoch with the lowest held-out loss.

    Args:
        width: d, of the states.
        epoch: called with a function that gives the basis (d, r) float32 as it is, one that moves it, and a generator
            of what is drawn; trains for an epoch, and gives its mean held-out loss. The loss should be near 0 where
            nothing is left to learn: what is waited for is that it falls by a hundredth.
        epochs: at most. patience: how many may come without such a fall.

    Raises:
        InputError: a rank that is no count, or larger than the width.
    """
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(width, check_rank("rank", rank, width), generator=generator) / width**0.5
    raw.requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=RATE / width**0.5)

    def basis() -> Tensor:
        return torch.linalg.qr(raw).Q

    def step(loss: Tensor) -> None:
        (raw.grad,) = torch.autograd.grad(loss, raw)  # of the subspace alone: the model's weights keep theirs
        optimiser.step()

    best, found, waited = math.inf, basis().detach(), 0
    for _ in told(range(epochs), "epochs of a search for a subspace"):
        with torch.enable_grad():
            held = epoch(basis, step, generator)
        waited = 0 if held < 0.99 * best else waited + 1
        if held < best:
            best, found = held, basis().detach()
        if waited == patience:
            break
    return found.double()


def exchanged(base: Tensor, source: Tensor, basis: Tensor) -> Tensor:
    """States (..., d) whose component in the span of a basis (d, r) is that of others (..., d)."""
    return base + (source - base) @ basis @ basis.T
