"""Where a language model's axis is read and edited: the site and the rank that the selection split chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ace.arrays import Array
from ace.auc import separations, simple_auc
from ace.check import check_choice
from ace.core import PROJECTORS
from ace.model.continuation import scattered
from ace.model.intervene import Intervention
from ace.model.sites import Site
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
def swept_contrasts(study: PromptStudy, split: Split) -> Array:
    """(L + 1, projectors, modes, n) contrasts of a split with rank-1 cores kept, removed and flipped at every site.

    Where the states of all prompts are the same, as the embedding is when they end in one word, no edit about their
    mean changes them: the contrasts are the model's own.
    """
    varying = [site for site in study.sites if study.varies(site)]
    edits = {
        site.index: [
            Intervention(study.core(site), mode, projector=projector) for projector in PROJECTORS for mode in MODES
        ]
        for site in varying
    }
    swept = [
        run.push_all(
            {site.index: torch.stack([edit.apply(run.states(site)) for edit in edits[site.index]]) for site in varying}
        )
        for run in study.runs(split)
    ]
    groups = study.encoded(split)
    shape = len(PROJECTORS), len(MODES), len(study.base(split))
    by_site = np.broadcast_to(study.base(split), (len(study.sites), *shape)).copy()
    for site in varying:
        values = scattered(groups, (part[site.index] for part in swept), axis=1)
        by_site[site.index] = values.detach().cpu().double().numpy().reshape(shape)
    return by_site


def sweep(study: PromptStudy, split: Split = Split.SELECTION) -> dict[str, dict[str, Array]]:
    """Projector -> mode -> (L + 1) separation under rank-1 cores on a split."""
    contrasts = swept_contrasts(study, split)
    apart = separations(contrasts.reshape(-1, contrasts.shape[-1]), study.base(split), study.labels(split))
    rows = apart.reshape(contrasts.shape[:3])
    return {projector: {mode: rows[:, i, j] for j, mode in enumerate(MODES)} for i, projector in enumerate(PROJECTORS)}


def choose_site(study: PromptStudy, projector: str, deepest: float) -> Choice:
    """Site and rank by the selection split, among sites at most that deep."""
    check_choice("projector", projector, PROJECTORS)
    swept = sweep(study)[projector]
    worst = np.max([np.abs(swept[mode] - wanted) for mode, wanted in WANTED.items()], axis=0)
    candidates = [site for site in study.sites if site.depth <= deepest]
    best = min(worst[site.index] for site in candidates)
    site = next(site for site in candidates if worst[site.index] <= best + TIE)
    return Choice(site, sufficient_at_site(study, Split.SELECTION, site, projector), projector)


def sufficient_at_site(study: PromptStudy, split: Split, site: Site, projector: str = "orthogonal") -> RankChoice:
    """Smallest rank up to 8 whose keeping leaves the AUC on a split within .02 of the model's own."""
    states, gradients = (by_site[site.index] for by_site in study.observed)
    most = min(RANKS, states.shape[1], int(torch.linalg.matrix_rank(gradients.double())))
    cores = [study.core(site, rank) for rank in range(1, most + 1)]
    edits = [Intervention(core, "keep", projector=projector) for core in cores]
    kept = simple_auc(study.push(split, site, edits), study.labels(split))
    base = float(simple_auc(study.base(split)[None], study.labels(split))[0])
    return sufficient_rank(torch.from_numpy(kept), base, MARGIN)
