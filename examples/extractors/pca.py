"""PCA: the directions along which states vary most, whatever the outputs read."""

import torch

import ace


def extract(states, sensitivities, *, rank):
    """Principal directions, as many as the rule finds in states and sensitivities."""
    centred = states.double() - states.double().mean(dim=0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh
    return ace.Core.from_basis(axes.T, states=states, sensitivities=sensitivities, rank=rank)
