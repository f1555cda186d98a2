"""Gradients alone: the directions that outputs read most, whatever the states vary along."""

import torch

import ace


def extract(states, sensitivities, *, rank):
    """Leading right singular vectors of the sensitivities."""
    axes = torch.linalg.svd(sensitivities.double(), full_matrices=False).Vh
    return ace.Core.from_basis(axes.T, states=states, sensitivities=sensitivities, rank=rank)
