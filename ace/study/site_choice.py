"""Where a language model's axis is read and edited: the site and the rank that the selection split chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ace.arrays import Array
from ace.auc import simple_auc
from ace.model.continuation import scattered
from ace.model.intervene import Intervention
from ace.model.sites import Site
from ace.rank import RankChoice, sufficient_rank
from ace.study.memory import remembered
from ace.tasks.base import Split

if TYPE_CHECKING:
    from ace.study.prompts import PromptStudy

MODES = ("keep", "remove", "flip")
RANKS = 8  # the largest rank looked at
MARGIN = 0.02  # of sufficiency, and what counts as a tie between sites


@dataclass(frozen=True, eq=False)
class Choice:
    """The site and rank that the selection split chose.

    Attributes:
        site: where the worst of keep, remove and flip is best; of sites within .02 of that, the lowest.
        rank: smallest rank that suffices there.
    """

    site: Site
    rank: RankChoice


def rank_of(choice: Choice) -> int:
    """The rank claims are measured at: the one that suffices, or 1 where none was reached."""
    return choice.rank.value or 1


@remembered
def sweep(study: PromptStudy) -> dict[str, Array]:
    """Mode -> (L + 1) AUC of rank-1 cores on the selection split; "base" with it."""
    labels = study.labels(Split.SELECTION)
    edits = {site.index: [Intervention(study.core(site), mode) for mode in MODES] for site in study.sites}
    swept = [
        run.push_all(
            {
                site.index: torch.stack([edit.apply(run.states(site)) for edit in edits[site.index]])
                for site in study.sites
            }
        )
        for run in study.runs(Split.SELECTION)
    ]
    groups = study.encoded(Split.SELECTION)
    by_site = [
        scattered(groups, (part[site.index] for part in swept), axis=1).detach().cpu().double().numpy()
        for site in study.sites
    ]
    aucs = np.array([simple_auc(contrasts, labels) for contrasts in by_site]).T
    base = simple_auc(study.base(Split.SELECTION)[None], labels)
    return {"base": np.repeat(base, len(study.sites)), **dict(zip(MODES, aucs, strict=True))}


def choose_site(study: PromptStudy, deepest: float) -> Choice:
    """Site and rank by the selection split, among sites at most that deep."""
    aucs = sweep(study)
    worst = np.max(
        [aucs["base"] - aucs["keep"], np.abs(aucs["remove"] - 0.5), aucs["flip"] - (1 - aucs["base"])], axis=0
    )
    candidates = [site for site in study.sites if site.depth <= deepest]
    best = min(worst[site.index] for site in candidates)
    site = next(site for site in candidates if worst[site.index] <= best + MARGIN)
    return Choice(site, sufficient_at_site(study, Split.SELECTION, site))


def sufficient_at_site(study: PromptStudy, split: Split, site: Site) -> RankChoice:
    """Smallest rank up to 8 whose keeping leaves the AUC on a split within .02 of the model's own."""
    states, gradients = (by_site[site.index] for by_site in study.observed)
    most = min(RANKS, states.shape[1], int(torch.linalg.matrix_rank(gradients.double())))
    cores = [study.core(site, rank) for rank in range(1, most + 1)]
    kept = simple_auc(study.push(split, site, [Intervention(core, "keep") for core in cores]), study.labels(split))
    base = float(simple_auc(study.base(split)[None], study.labels(split))[0])
    return sufficient_rank(torch.from_numpy(kept), base, MARGIN)
