"""Active Core Extraction by another route: left singular vectors of H J^T, taken through the states."""

import torch

import ace


def extract(states, sensitivities, *, rank):
    """The directions that states vary along and outputs read, the most of both first."""
    H, J = states.double() - states.double().mean(dim=0), sensitivities.double()
    samples, _, _ = torch.linalg.svd(H @ J.T, full_matrices=False)
    return ace.Core.from_basis(H.T @ samples, states=states, sensitivities=sensitivities, rank=rank)
