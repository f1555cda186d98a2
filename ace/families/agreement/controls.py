"""What several claims about agreement share: edits of the axis on the evaluation split, and arbitrary contrasts."""

from __future__ import annotations

import numpy as np

from ace.auc import Discrimination
from ace.core import PROJECTORS
from ace.model.sites import Site
from ace.stats import Estimate
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptStudies
from ace.study.prompts import OTHER_SIZES, PromptStudy
from ace.study.site_choice import Choice, rank_of
from ace.tasks.base import Split
from ace.tasks.fragment.words import vocabulary
from ace.tasks.prompt import Contrast

OTHERS = 3  # arbitrary contrasts
ROWS = ("base", "keep", "remove", "flip")
BASE, KEEP, REMOVE, FLIP = range(4)


@remembered
def other_studies(study: PromptStudy) -> tuple[PromptStudy, ...]:
    """The same model under arbitrary contrasts, each prompt labelled by whether its contrast is above the median.

    What an axis does for agreement it may do for the contrast of any four words: these studies tell.
    """
    text = study.prompts(Split.EVALUATION).texts[0]
    order = np.random.default_rng(0).permutation([word for word in vocabulary() if word.isalpha()])
    start, *wholes = study.language.encode_all([text, *(f"{text} {word}" for word in order)])
    single = [whole[:-1] == start for whole in wholes]
    words = [f" {word}" for word, fits in zip(order, single, strict=True) if fits][: 4 * OTHERS]
    contrasts = [Contrast(tuple(words[k : k + 2]), tuple(words[k + 2 : k + 4])) for k in range(0, len(words) - 3, 4)]
    return tuple(
        PromptStudy(
            study.language,
            study.source,
            contrast=contrast,
            own_labels=True,
            extractor=study.extractor,
            sizes=OTHER_SIZES,
            memory=study.memory,
        )
        for contrast in contrasts
    )


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
