"""An alignment search among prompts: those that exchange the subspace exchange their classes.

Cost: one forward and one backward pass from the site on for each step, at one position of up to 64 prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ace.core import Core
from ace.errors import Inapplicable
from ace.model.continuation import scattered
from ace.model.prefix import PrefixRun, run_together
from ace.model.sites import Site
from ace.study.alignment_search import Step, exchanged, trained_basis
from ace.study.memory import remembered
from ace.study.prompts import PromptStudy, encoded_once
from ace.tasks.base import Split

PROMPTS = 160  # of the extraction split
HELD_OUT = 4  # one group of prompts, such as those of one head noun, in so many only says when to stop


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
    basis = trained_basis(pool.states.shape[1], rank, partial(_epoch, pool))
    return Core.from_basis(basis, study.core(site, rank).mean, samples=len(pool.states))


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


def _epoch(pool: _Pool, basis: Callable[[], Tensor], step: Step, generator: torch.Generator) -> float:
    """One step for each group of prompts; the mean loss of the held-out ones on the way."""
    total, count = 0.0, 0
    for place in torch.randperm(len(pool.runs), generator=generator).tolist():
        rows = pool.rows[place]
        held = pool.held[rows]
        sources = torch.where(held, pool.sources[rows], _opposite(rows, pool.labels, pool.held, generator))
        moved = exchanged(pool.states[rows], pool.states[sources], basis().to(pool.states))
        contrasts = pool.runs[place].push(pool.site, moved[None], gradients=True)[0]
        losses = softplus(contrasts * (1 - 2 * pool.labels[sources]))  # of the source's class, at log-odds `contrasts`
        total, count = total + float(losses[held].sum().detach()), count + int(held.sum())
        if not bool(held.all()):
            step(losses[~held].mean())
    return total / count
