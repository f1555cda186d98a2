"""Bootstrap replicates of a core, from resampled extraction sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCKS = 100
REPLICATES = 200


@dataclass(frozen=True)
class CoreReplicates:
    """Bootstrap replicates of a core.

    Attributes:
        sigma: (b, k) Hankel singular values.
        bases: (b, d, r) orthonormal bases of the core's own rank, so that subspaces compare.
    """

    sigma: Tensor
    bases: Tensor


def resampled_cores(
    states: Tensor, sensitivities: Tensor, rank: int, rng: np.random.Generator, draws: int = REPLICATES
) -> CoreReplicates:
    """Cores of sequences drawn with replacement, in blocks: states (n, t, d) float64, sensitivities (m, d).

    Gramians square the condition number; that is of no account in replicates, and turns all draws into products.
    """
    if len(sensitivities) > sensitivities.shape[1]:  # a triangle has the same Gramian J^T J / m, with far fewer rows
        triangle = torch.linalg.qr(sensitivities, mode="r").R
        sensitivities = triangle * (len(triangle) / len(sensitivities)) ** 0.5
    blocks = [part.flatten(0, 1) for part in states.tensor_split(min(BLOCKS, len(states)))]
    rows = torch.tensor([float(len(block)) for block in blocks], dtype=torch.float64)
    sums = torch.stack([block.sum(dim=0) for block in blocks])
    grams = torch.stack([block.T @ block for block in blocks])
    counts = torch.from_numpy(rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), draws)).double()
    total = counts @ rows  # (b)
    mean = counts @ sums / total[:, None]
    gram = torch.tensordot(counts, grams, dims=1) - total[:, None, None] * mean[:, :, None] * mean[:, None, :]
    # A B^T = U S V^T gives B C B^T = V S^2 V^T, and A^T U is C B^T V but for lengths: only (m, m) is decomposed.
    reach = gram @ sensitivities.T  # (b, d, m)
    values, vectors = torch.linalg.eigh(sensitivities @ reach)
    sigma = values.flip(1).clamp_min(0.0).sqrt()
    directions = reach @ vectors.flip(2)[:, :, :rank]
    bases = torch.linalg.qr(directions / directions.norm(dim=1, keepdim=True)).Q
    return CoreReplicates(sigma / ((total[:, None] - 1) * len(sensitivities)).sqrt(), bases)
