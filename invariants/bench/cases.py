"""The inputs of the benchmarks, made once and shared by the fast and the naive side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from ace.core import Core, Full
from ace.extract import extract_core, head_sensitivities
from ace.observe import states_at
from ace.sites import Site, find_sites
from ace.training.recipe import Recipe
from ace.training.transformer import Architecture, SmallTransformer, initialise
from fixtures.zoo import recipe


def draw(seed: int, rows: int, width: int) -> Tensor:
    """(rows, width) float64 with variances that fall over two decades."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.logspace(0, -2, width, dtype=torch.float64)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) * sizes


@cache
def factors(width: int, states: int, sensitivities: int) -> tuple[Tensor, Tensor]:
    """States (n, d) and sensitivities (m, d)."""
    return draw(0, states, width), draw(1, sensitivities, width)


EXTRACTIONS = {"d64": (64, 31_000, 4), "d128": (128, 6000, 53), "d1280": (1280, 600, 600)}


@dataclass(frozen=True)
class Scan:
    """A two-block model of the published modular-addition size on all pairs, at the site below its head."""

    model: SmallTransformer
    inputs: Tensor
    targets: Tensor
    site: Site
    core: Core
    states: Tensor


@cache
def scan(width: int = 128, classes: int = 53) -> Scan:
    """Untrained: what a scan costs does not depend on what the model has learnt."""
    model = SmallTransformer(Architecture(classes, 2, 2, width, 4, 4 * width))
    initialise(model, torch.Generator().manual_seed(0))
    model.eval().requires_grad_(False)
    inputs = torch.cartesian_prod(torch.arange(classes), torch.arange(classes))
    site = find_sites(model).site(-1)
    states = states_at(model, inputs, site, chunk=len(inputs))[:, -1]
    # White sensitivities beside the head's, so that the core has all dimensions and every rank can be scanned.
    rows = torch.cat([head_sensitivities(model.head.weight), 1e-3 * torch.eye(width, dtype=torch.float64)])
    return Scan(model, inputs, inputs.sum(dim=1) % classes, site, extract_core(states, rows, rank=Full()), states)


@cache
def training(models: int = 3) -> Recipe:
    """One epoch of the published Markov setting."""
    published = recipe("markov-paper")
    return replace(published, models=models, schedule=replace(published.schedule, epochs=1))
