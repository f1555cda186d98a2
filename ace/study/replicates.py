"""Bootstrap replicates of a core, from resampled extraction sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCKS = 100
REPLICATES = 200
DIRECTIONS = 64  # leading balanced readers that stand for more rows of sensitivities


@dataclass(frozen=True, eq=False)
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

    Gramians square the condition number; that is of no account in replicates, and turns all draws into products. Many
    sensitivities are first brought down to the leading balanced ones of all sequences, twice as many as the rank at
    least: what is left out is below every sigma that counts. Memory O((blocks + draws) d m).
    """
    sensitivities, total_rows = _leading(states, sensitivities, max(DIRECTIONS, 2 * rank)), len(sensitivities)
    blocks = [part.flatten(0, 1) for part in states.tensor_split(min(BLOCKS, len(states)))]
    rows = torch.tensor([float(len(block)) for block in blocks], dtype=torch.float64)
    sums = torch.stack([block.sum(dim=0) for block in blocks])
    read = torch.stack([block.T @ (block @ sensitivities.T) for block in blocks])  # (blocks, d, m)
    counts = torch.from_numpy(rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), draws)).double()
    total = counts @ rows  # (b)
    mean = counts @ sums / total[:, None]
    mean_read = mean @ sensitivities.T  # (b, m)
    # A B^T = U S V^T gives B C B^T = V S^2 V^T, and A^T U is C B^T V but for column lengths: only (m, m) is decomposed.
    reach = torch.tensordot(counts, read, dims=1) - total[:, None, None] * mean[:, :, None] * mean_read[:, None, :]
    values, vectors = torch.linalg.eigh(sensitivities @ reach)
    sigma = values.flip(1).clamp_min(0.0).sqrt()
    directions = reach @ vectors.flip(2)[:, :, :rank]
    bases = torch.linalg.qr(directions / directions.norm(dim=1, keepdim=True)).Q
    return CoreReplicates(sigma / ((total[:, None] - 1) * total_rows).sqrt(), bases)


def _leading(states: Tensor, sensitivities: Tensor, most: int) -> Tensor:
    """(k, d) the rows themselves, or where there are more than `most`, the leading combinations that states move."""
    if len(sensitivities) <= most:
        return sensitivities
    rows = states.flatten(0, 1)
    factor = torch.linalg.qr(rows - rows.mean(dim=0), mode="r").R
    readers = torch.linalg.svd(factor @ sensitivities.T, full_matrices=False).Vh
    return readers[:most] @ sensitivities
