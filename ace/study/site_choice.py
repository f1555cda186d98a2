"""Where a language model's axis is read and edited: the site and the rank that the selection split chooses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ace.arrays import Array
from ace.auc import separations, simple_auc
from ace.check import check_choice
from ace.core import PROJECTORS, Core
from ace.errors import Inapplicable, InputError
from ace.model.continuation import scattered
from ace.model.intervene import Intervention
from ace.model.sites import Site
from ace.progress import told
from ace.rank import RankChoice, sufficient_rank
from ace.study.memory import remembered
from ace.tasks.base import Split

if TYPE_CHECKING:
    from ace.study.prompts import PromptStudy

MODES = ("keep", "remove", "flip")
WANTED: Mapping[str, float] = {"keep": 1.0, "remove": 0.0, "flip": -1.0}  # separation of a core that is all there is
RANKS = 8  # the largest rank looked at
MARGIN = 0.02  # of the AUC that a sufficient rank may lose
TIE = 0.05  # of a separation: sites within that of the best are as good
MANY = 12  # sites: of more, not all are looked at on all prompts
PROMISING = 3  # of those, how many are


@dataclass(frozen=True, eq=False)
class Choice:
    """The site and rank that the selection split chose for a projector.

    Attributes:
        site: where separations under keep, remove and flip lie nearest to 1, 0 and -1, by the worst of the three; of
            sites within .05 of that, the lowest.
        rank: smallest rank that suffices there.
        projector: orthogonal or oblique.
    """

    site: Site
    rank: RankChoice
    projector: str


def rank_of(choice: Choice) -> int:
    """The rank claims are measured at: the one that suffices, or 1 where none was reached."""
    return choice.rank.value or 1


@remembered
def swept_contrasts(
    study: PromptStudy,
    split: Split,
    indices: tuple[int, ...] = (),
    projectors: tuple[str, ...] = PROJECTORS,
    modes: tuple[str, ...] = MODES,
    *,
    few: bool = False,
) -> Array:
    """(sites, projectors, modes, n) contrasts of a split with rank-1 cores kept, removed and flipped.

    Where the states of all prompts are the same, as the embedding is when they end in one word, no edit about their
    mean changes them: the contrasts are the model's own.

    Args:
        indices: of the sites; all by default.
        few: on `FEW` of the prompts only, those of `few_rows`.
    """
    sites = [study.sites[index] for index in indices] or list(study.sites)
    varying = [site for site in sites if study.varies(site)]
    ways = [(projector, mode) for projector in projectors for mode in modes]
    edits = {
        site.index: [Intervention(study.core(site), mode, projector=projector) for projector, mode in ways]
        for site in varying
    }
    groups, runs = study.few(split) if few else (study.encoded(split), study.runs(split))
    swept = [
        run.push_all(
            {site.index: torch.stack([edit.apply(run.states(site)) for edit in edits[site.index]]) for site in varying}
        )
        for run in told(runs, "lengths of prompts, edited at many sites")
    ]
    base = study.base(split)[study.few_rows(split)] if few else study.base(split)
    shape = len(projectors), len(modes), len(base)
    by_site = np.broadcast_to(base, (len(sites), *shape)).copy()
    for site in varying:
        values = scattered(groups, (part[site.index] for part in swept), axis=1)
        by_site[sites.index(site)] = values.detach().cpu().double().numpy().reshape(shape)
    return by_site


def separations_at(
    study: PromptStudy, split: Split, projector: str, indices: tuple[int, ...], *, few: bool = False
) -> dict[str, Array]:
    """Mode -> (sites) separation under rank-1 cores of a split, or of few of its prompts, by one projector."""
    # One run serves the choices of both projectors, but for those of many sites that look at different ones.
    both = PROJECTORS if few or len(study.sites) <= MANY else (projector,)
    contrasts = swept_contrasts(study, split, indices, both, few=few)[:, both.index(projector)]
    base, labels = study.base(split), study.labels(split)
    if few:
        rows = study.few_rows(split)
        base, labels = base[rows], labels[rows]
    apart = separations(contrasts.reshape(-1, contrasts.shape[-1]), base, labels).reshape(contrasts.shape[:2])
    return {mode: apart[:, place] for place, mode in enumerate(MODES)}


def choose_site(study: PromptStudy, projector: str, deepest: float) -> Choice:
    """Site and rank by the selection split, among sites at most that deep.

    Where there are many sites, all are looked at on few prompts, and the most promising on all of them.
    """
    check_choice("projector", projector, PROJECTORS)
    candidates = tuple(site.index for site in study.sites if site.depth <= deepest)
    if len(study.sites) > MANY:
        swept = separations_at(study, Split.SELECTION, projector, tuple(site.index for site in study.sites), few=True)
        worst = _worst(swept)[list(candidates)]
        nearest = np.argsort(worst, kind="stable")[:PROMISING]
        candidates = tuple(sorted(candidates[place] for place in nearest))
    worst = _worst(separations_at(study, Split.SELECTION, projector, candidates))
    index = next(index for index, miss in zip(candidates, worst, strict=True) if miss <= worst.min() + TIE)
    site = study.sites[index]
    return Choice(site, sufficient_at_site(study, Split.SELECTION, site, projector), projector)


def _worst(swept: Mapping[str, Array]) -> Array:
    """(sites) how far the worst of the three separations is from what it would be of a core that is all there is."""
    return np.asarray(np.max([np.abs(swept[mode] - wanted) for mode, wanted in WANTED.items()], axis=0))


def shown_sites(study: PromptStudy, chosen: Iterable[int] = (), some: int = MANY) -> tuple[int, ...]:
    """Sites that a curve over depth has points at: all, or of many some evenly spaced, and those that were chosen."""
    count = len(study.sites)
    points = count if count <= MANY else some
    even = np.unique(np.linspace(0, count - 1, points).round().astype(int)).tolist()
    return tuple(sorted({*even, *chosen}))


def sufficient_at_site(study: PromptStudy, split: Split, site: Site, projector: str = "orthogonal") -> RankChoice:
    """Smallest rank up to 8 whose keeping leaves the AUC on a split within .02 of the model's own."""
    states, gradients = (by_site[site.index] for by_site in study.observed)
    most = min(RANKS, states.shape[1], int(torch.linalg.matrix_rank(gradients.double())))
    edits = [Intervention(core, "keep", projector=projector) for core in _cores(study, site, most)]
    kept = simple_auc(study.push(split, site, edits), study.labels(split))
    base = float(simple_auc(study.base(split)[None], study.labels(split))[0])
    return sufficient_rank(torch.from_numpy(kept), base, MARGIN)


def _cores(study: PromptStudy, site: Site, most: int) -> list[Core]:
    """Cores of rank 1 and up: `most` of them, or as many as the extractor, or the states, have dimensions for.

    Prompts that end in one of four words have four embeddings, whose differences span three dimensions. What a core of
    rank 1 came from differs from what the others come from by the rank alone.

    Raises:
        Inapplicable: it has none.
    """
    cores = [study.core(site)]
    with suppress(Inapplicable, InputError):  # a mean difference of two classes, say, is one direction
        for rank in range(2, most + 1):
            cores.append(study.core(site, rank))
    return cores
