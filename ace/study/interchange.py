"""Distributed alignment search: a subspace trained so that prompts that exchange it exchange their classes.

Geiger et al. 2023, arXiv 2303.02536: of two prompts, base and source, the base's component in a subspace is replaced by
the source's, h_b + Q Q^T (h_s - h_b), and Q is trained by gradient descent so that the model then answers as for the
source. Unlike all other alternatives it is trained on the effect of the very edits that claims are about.

Cost: one forward and one backward pass from the site on for each step, at one position of up to 64 prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ace.check import check_rank
from ace.core import Core
from ace.errors import Inapplicable
from ace.model.continuation import scattered
from ace.model.prefix import PrefixRun, run_together
from ace.model.sites import Site
from ace.progress import told
from ace.study.memory import remembered
from ace.study.prompts import PromptStudy, encoded_once
from ace.tasks.base import Split

PROMPTS = 160  # of the extraction split
HELD_OUT = 4  # one group of prompts, such as those of one head noun, in so many only says when to stop
EPOCHS = 20
PATIENCE = 3  # epochs without a held-out loss that is lower by a hundredth
RATE = 0.5  # of Adam, over the root of the width: against the entries of a unit vector


@remembered
def searched_core(study: PromptStudy, site: Site, rank: int = 1) -> Core:
    """The subspace of that rank at a site that a distributed alignment search finds on the extraction split.

    Directions are their own readers. Bases and sources are of opposite class and both of the same part; held-out
    prompts share no group, such as a head noun, with those that are trained on.

    Raises:
        InputError: a rank that the site's states do not have.
        Inapplicable: too few groups of prompts for both parts to have both classes.
    """
    pool = _pool(study, site)
    generator = torch.Generator().manual_seed(0)
    width = pool.states.shape[1]
    raw = torch.randn(width, check_rank("rank", rank, width), generator=generator) / width**0.5
    raw.requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=RATE / width**0.5)
    best, basis, waited = math.inf, raw, 0
    for _ in told(range(EPOCHS), "epochs of a search for an axis"):
        held = _epoch(pool, raw, optimiser, generator)
        waited = 0 if held < 0.99 * best else waited + 1
        if held < best:
            best, basis = held, torch.linalg.qr(raw.detach()).Q
        if waited == PATIENCE:
            break
    return Core.from_basis(basis.double(), study.core(site, rank).mean, samples=len(pool.states))


@dataclass(frozen=True, eq=False)
class _Pool:
    """Prompts that exchange components.

    Attributes:
        site: where. runs: one a group. rows: for each group, its prompts' places (n) in what follows.
        states: (p, d) float32, clean. labels: (p) class. held: (p) whether a prompt is held out.
        sources: (p) place of the prompt whose component a held-out one takes, the same in every epoch.
    """

    site: Site
    runs: Sequence[PrefixRun]
    rows: Sequence[Tensor]
    states: Tensor
    labels: Tensor
    held: Tensor
    sources: Tensor


def _pool(study: PromptStudy, site: Site) -> _Pool:
    every = study.prompts(Split.EXTRACTION)
    rows = np.sort(np.random.default_rng(0).permutation(len(every))[:PROMPTS])
    prompts, labels = every.take(rows), torch.from_numpy(study.labels(Split.EXTRACTION)[rows])
    names = np.random.default_rng(0).permutation(np.unique(prompts.clusters))
    held = torch.from_numpy(np.isin(prompts.clusters, names[: len(names) // HELD_OUT]))
    if any(len(labels[part].unique()) < 2 for part in (held, ~held)):
        raise Inapplicable("too few groups of prompts to train on some of both classes and to hold out others")
    encoded = encoded_once(study, prompts)
    runs = list(run_together(study.language, encoded))
    states = scattered(encoded, (run.states(site).float() for run in runs))
    sources = _opposite(torch.arange(len(rows)), labels, held, torch.Generator().manual_seed(1))
    return _Pool(site, runs, [group.rows for group in encoded], states, labels, held, sources)


def _opposite(rows: Tensor, labels: Tensor, held: Tensor, generator: torch.Generator) -> Tensor:
    """(n) for each of some prompts (n) another at random, of the other class and of the same part."""
    fits = (labels[rows, None] != labels) & (held[rows, None] == held)
    return torch.multinomial(fits.float(), 1, generator=generator)[:, 0]


def _epoch(pool: _Pool, raw: Tensor, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> float:
    """One step for each group of prompts; the mean loss of the held-out ones on the way."""
    total, count = 0.0, 0
    for place in torch.randperm(len(pool.runs), generator=generator).tolist():
        rows = pool.rows[place]
        held = pool.held[rows]
        sources = torch.where(held, pool.sources[rows], _opposite(rows, pool.labels, pool.held, generator))
        basis = torch.linalg.qr(raw).Q.to(pool.states)
        base, source = pool.states[rows], pool.states[sources]
        exchanged = base + (source - base) @ basis @ basis.T
        contrasts = pool.runs[place].push(pool.site, exchanged[None], gradients=True)[0]
        losses = softplus(contrasts * (1 - 2 * pool.labels[sources]))  # of the source's class, at log-odds `contrasts`
        total, count = total + float(losses[held].sum().detach()), count + int(held.sum())
        if not bool(held.all()):
            optimiser.zero_grad()
            losses[~held].mean().backward()
            optimiser.step()
    return total / count
