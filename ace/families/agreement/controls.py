"""Controls of claims about agreement: arbitrary contrasts, and random subspaces pushed through a few prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import Discrimination
from ace.check import check_choice
from ace.model.continuation import encode_prompts, scattered
from ace.model.intervene import GAINS
from ace.model.prefix import PrefixRun
from ace.model.sites import Site
from ace.study.controls import DRAWS
from ace.study.memory import remembered
from ace.study.prompts import OTHER_SIZES, PromptStudy
from ace.study.site_choice import MODES, Choice, rank_of
from ace.study.subspaces import KINDS, random_subspaces
from ace.tasks.base import Split
from ace.tasks.fragment.words import vocabulary
from ace.tasks.prompt import Contrast, Prompts

CONTROL_PROMPTS = 16  # of the evaluation split, half of each number, that random subspaces are pushed through
OTHERS = 3  # arbitrary contrasts
ROWS = 1536  # states pushed at a time


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
def ablation(study: PromptStudy, site: Site, rank: int, projector: str = "orthogonal") -> Discrimination:
    """Rows base, keep, remove and flip on the evaluation split, at a site and rank."""
    base = study.base(Split.EVALUATION)[None]
    scores = np.concatenate([base, study.ablated(Split.EVALUATION, site, rank, projector)])
    return study.discriminate(Split.EVALUATION, scores)


def chosen_ablation(study: PromptStudy, choice: Choice) -> Discrimination:
    """`ablation` at the choice of the selection split."""
    return ablation(study, choice.site, rank_of(choice))


@dataclass(frozen=True, eq=False)
class RandomContrasts:
    """What random subspaces in a core's place do to a few prompts.

    Attributes:
        base: (n) contrasts of the model as it is. labels: (n).
        edited: mode -> (draws, n) contrasts.
    """

    base: Array
    labels: Ints
    edited: Mapping[str, Array]


@remembered
def random_contrasts(
    study: PromptStudy,
    site: Site,
    rank: int,
    kind: str,
    contrast: Contrast | None = None,
    modes: tuple[str, ...] = MODES,
) -> RandomContrasts:
    """Contrasts of `CONTROL_PROMPTS` prompts under keep, remove and flip of `DRAWS` random subspaces of equal rank."""
    check_choice("kind", kind, KINDS)
    prompts, labels = control_prompts(study)
    if contrast is not None:
        prompts = prompts.under(contrast)
    core = study.core(site, rank)
    frames = random_bases_at(study, site, rank, kind)
    groups = encode_prompts(study.language, prompts)
    runs = [PrefixRun(study.language, group) for group in groups]
    edited = {}
    for mode in modes:
        parts = (pushed_subspaces(run, site, core.mean, frames, mode) for run in runs)
        edited[mode] = scattered(groups, parts, axis=1).double().numpy()
    base = scattered(groups, (run.base for run in runs)).double().numpy()
    return RandomContrasts(base, labels, edited)


def control_prompts(study: PromptStudy) -> tuple[Prompts, Ints]:
    """The first prompts of the evaluation split of each label, and their labels."""
    labels = study.labels(Split.EVALUATION)
    rows = np.sort(np.concatenate([np.flatnonzero(labels == k)[: CONTROL_PROMPTS // 2] for k in (0, 1)]))
    return study.prompts(Split.EVALUATION).take(rows), labels[rows]


def random_bases_at(study: PromptStudy, site: Site, rank: int, kind: str) -> Tensor:
    """(draws, d, r) random orthonormal bases in the place of a site's core of that rank."""
    return random_subspaces(
        study.core(site, rank), kind, DRAWS, seed=site.index, states=lambda: study.observed[0][site.index]
    )


def pushed_subspaces(run: PrefixRun, site: Site, mean: Tensor, frames: Tensor, mode: str | float) -> Tensor:
    """(draws, n) contrasts of one group under keep, remove or flip, or a strength, of every subspace (draws, d, r)."""
    states = run.states(site)
    centre, shifted = mean.to(states), states - mean.to(states)
    gain = GAINS.get(mode) if isinstance(mode, str) else mode
    contrasts = []
    for part in frames.to(states).split(max(1, ROWS // (len(states) * run.tails))):
        component = (shifted @ part) @ part.transpose(1, 2)  # (g, n, d)
        contrasts.append(run.push(site, centre + component if gain is None else states + (gain - 1.0) * component))
    return torch.cat(contrasts)
