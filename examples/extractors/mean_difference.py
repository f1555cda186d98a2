"""Mean difference: the directions between the means of labelled classes, whatever the outputs read.

An extractor with a parameter `labels` is given the class of each state: the number of the head of a prompt, or the next
token. Two classes have one direction, c classes c - 1.
"""

import torch

import ace


def extract(states, sensitivities, *, rank, labels):
    """Leading directions of the class means about the mean of all states, weighted by how many states a class has."""
    centred = states.double() - states.double().mean(dim=0)
    known, places = torch.unique(torch.as_tensor(labels), return_inverse=True)
    sums = torch.zeros(len(known), states.shape[1], dtype=torch.float64).index_add(0, places, centred)
    axes = torch.linalg.svd(sums / torch.bincount(places)[:, None].sqrt(), full_matrices=False).Vh[: len(known) - 1]
    try:
        return ace.Core.from_basis(axes.T, states=states, sensitivities=sensitivities, rank=rank)
    except ace.AceError as error:  # the rule wants more dimensions than the means have
        raise ace.Inapplicable(f"{len(known)} classes: {error}") from error
