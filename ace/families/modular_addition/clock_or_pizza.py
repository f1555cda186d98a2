"""Which algorithm a model of modular addition runs: gradient symmetricity and distance irrelevance.

Both from Zhong, Liu, Tegmark and Andreas 2023, "The Clock and the Pizza", arXiv 2306.17844, sections 4.1 and 4.2: there
the "clock" has about .33 and .85, the "pizza" about .99 and .17.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Ints
from ace.families.modular_addition.scans import last_states
from ace.model.observe import sensitivities_at
from ace.model.sites import find_sites
from ace.training.transformer import SmallTransformer


def gradient_symmetricity(model: SmallTransformer, pairs: Ints, *, seed: int) -> float:
    """Mean cosine of the gradients of a logit with respect to the embeddings of a and of b.

    Args:
        pairs: (n, 2) numbers a, b; each is taken with one random class.
        seed: chooses the classes.
    """
    inputs = torch.from_numpy(pairs)
    classes = torch.randint(model.sizes.vocabulary, (len(pairs),), generator=torch.Generator().manual_seed(seed))
    site = find_sites(model).site(0)

    def chosen(logits: Tensor) -> Tensor:
        return logits[:, -1].gather(1, classes[:, None])[:, 0]

    first, second = (
        sensitivities_at(model, inputs, [site], chosen, position=position, chunk=len(pairs))[site.index]
        for position in (0, 1)
    )
    return float(torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=1).mean())


def distance_irrelevance(model: SmallTransformer) -> float:
    """How little the logit of the right answer depends on a - b: mean over distances of its spread, over all spread."""
    modulus = model.sizes.vocabulary
    numbers = torch.arange(modulus)
    pairs = torch.cartesian_prod(numbers, numbers)
    with torch.no_grad():
        logits = model.head(last_states(model, pairs)).double()
    right = logits.gather(1, (pairs.sum(dim=1) % modulus)[:, None])[:, 0].numpy()
    distance = ((pairs[:, 0] - pairs[:, 1]) % modulus).numpy()
    spread = [right[distance == d].std() for d in range(modulus)]
    return float(np.mean(spread) / right.std())
