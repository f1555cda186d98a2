"""Random streams of the models of a recipe: every model has its own, whatever its neighbours."""

from __future__ import annotations

import numpy as np
import torch


def model_seeds(base: int, index: int) -> tuple[int, int]:
    """Two seeds of model `index` under a base seed: of its initial weights, and of what it is trained on."""
    start, course = np.random.SeedSequence(base, spawn_key=(index,)).generate_state(2)
    return int(start), int(course)


def copied(generator: torch.Generator) -> torch.Generator:
    """A generator on the same device that will draw what this one will."""
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return copy
