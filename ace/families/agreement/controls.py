"""What several claims about agreement share: edits of the axis on the evaluation split."""

from __future__ import annotations

import numpy as np

from ace.auc import Discrimination
from ace.core import PROJECTORS
from ace.model.sites import Site
from ace.stats import Estimate
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptStudies
from ace.study.prompts import PromptStudy
from ace.study.site_choice import Choice, rank_of
from ace.tasks.base import Split

ROWS = ("base", "keep", "remove", "flip")
BASE, KEEP, REMOVE, FLIP = range(4)
EMBEDDING = "embedding of the last token"


@remembered
def ablation(study: PromptStudy, site: Site, rank: int, projector: str) -> Discrimination:
    """Rows base, keep, remove and flip on the evaluation split, at a site and rank."""
    base = study.base(Split.EVALUATION)[None]
    scores = np.concatenate([base, study.ablated(Split.EVALUATION, site, rank, projector)])
    return study.discriminate(Split.EVALUATION, scores)


def chosen_ablation(study: PromptStudy, choice: Choice, projector: str = "") -> Discrimination:
    """`ablation` at a choice's site and rank, with its projector or another."""
    return ablation(study, choice.site, rank_of(choice), projector or choice.projector)


def separation(models: PromptStudies, row: int, projector: str, judged: str = "") -> tuple[Estimate, ...]:
    """Each seed's separation under an edit at the site chosen for a projector.

    Args:
        row: keep, remove or flip.
        judged: edit with this projector instead.
    """
    return tuple(
        chosen_ablation(study, study.choice(projector), judged).estimate(str(k), lambda part: part.separation[row])
        for k, study in enumerate(models.studies)
    )


def edited_details(models: PromptStudies, projector: str, *, deep: bool = False) -> dict[str, object]:
    """What a reader wants beside an edit: where, at what rank, and every mode in all statistics by both projectors."""
    choices = [study.choice(projector, deep=deep) for study in models.studies]
    statistics: dict[str, object] = {}
    for judged in PROJECTORS:
        rows = [chosen_ablation(study, choice, judged) for study, choice in zip(models.studies, choices, strict=True)]
        for name in ("separation", "auc", "accuracy"):
            statistics[f"{name}, {judged}"] = [
                dict(zip(ROWS, getattr(row, name).tolist(), strict=True)) for row in rows
            ]
    return {
        "projector": projector,
        "sites": [choice.site.index for choice in choices],
        "depth": [choice.site.depth for choice in choices],
        "ranks": [rank_of(choice) for choice in choices],
        **statistics,
    }


def embeddings_vary(models: PromptStudies) -> bool:
    """Whether prompts end in several words, so that an axis of the embedding can be shown beside."""
    return all(study.varies(study.sites[0]) for study in models.studies)
