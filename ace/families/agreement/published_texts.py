"""The published protocol on text: the verb after a few prompts, at a strength that the verb's own margin asks for.

The strength is extrapolated, prompt by prompt, from a small step to where the margin between the two numbers has
turned, and then it is reported that the verb has turned. So random axes are put through the same, each at strengths of
its own: a figure that they reach as well says nothing about the axis.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.stats import wilcoxon
from torch import Tensor

from ace.arrays import Array
from ace.core import ORTHOGONAL
from ace.errors import Inapplicable
from ace.families.agreement.published import as_published, published_study
from ace.model.prefix import PrefixRun, run_together
from ace.study.memory import remembered
from ace.study.prompt_rest import rest_at
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy, encoded_once
from ace.tasks.base import Split

PROMPTS = 6  # as published, half of each number
STEP = 0.2  # of the core's component that is taken away to find the slope
TURNED = 1.0  # margin in nats that is asked for on the other side
LIMIT = 50.0  # largest strength
AXES = 100  # of the rest


@dataclass(frozen=True)
class NextVerb:
    """What the published protocol gives for the verb after each of a few prompts.

    Attributes:
        clean, turned: log of the likeliest right form's probability over the likeliest form's, 0 where a right one
            leads; as the model is, and at the strengths.
        strengths: of the core's component, how many times it is taken away: 1 removes it, 2 flips it.
        p: of Wilcoxon's signed ranks, that the prompts' values are as low by chance.
        random: share of axes of the rest with which, each at strengths of its own, every prompt's verb turns.
    """

    clean: list[float]
    turned: list[float]
    strengths: list[float]
    p: float
    random: float

    def figures(self) -> dict[str, list[float] | float]:
        """For a record."""
        return asdict(self)


@remembered
def next_verb(study: PromptStudy) -> NextVerb:
    """The published figures on the next verb of one model, at the site that the published protocol chooses.

    Raises:
        Inapplicable: a contrast of continuations that are no single tokens, or a site at which nothing can be drawn.
    """
    published = published_study(study)
    site = published.sites[as_published(study).site]
    every = published.prompts(Split.EVALUATION)
    rows = np.concatenate([np.flatnonzero(every.labels == label)[: PROMPTS // 2] for label in (0, 1)])
    prompts = every.take(rows)
    core, drawn = published.core(site), rest_at(published, site, 1, ORTHOGONAL).take(torch.arange(AXES))
    parts: list[tuple[Tensor, ...]] = []
    groups = encoded_once(published, prompts)
    if not all(group.single for group in groups):
        raise Inapplicable("the published figure compares verb forms that are single tokens")
    for group, run in zip(groups, run_together(published.language, groups), strict=True):
        states, weights = run.states(site), group.weights[:, 0, 0]
        inside = states - core.mean.to(states)
        own = inside @ core.basis.to(states) @ core.basis.T.to(states)
        axes = torch.cat([own[None], states - drawn.edited(states, core.mean, "remove")])
        labels = torch.as_tensor(prompts.labels[group.rows.numpy()])
        right = torch.where(labels[:, None] == 1, weights > 0, weights < 0)

        def logits(gains: Tensor, run: PrefixRun = run, states: Tensor = states, axes: Tensor = axes) -> Tensor:
            """(1 + axes, n, c) with each axis's component taken away so many times (1 + axes, n)."""
            return run.push_targets(site, states - gains[..., None].to(states) * axes).double()

        clean = run.push_targets(site, states[None]).double()
        gains = _strengths(_margin(clean, weights), _margin(logits(torch.full(axes.shape[:2], STEP)), weights))
        parts.append((_lead(clean, weights, right)[0], _lead(logits(gains), weights, right).T, gains[0]))
    before, after, strengths = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
    return NextVerb(
        before.tolist(),
        after[:, 0].tolist(),
        strengths.tolist(),
        _signed_ranks(after[:, 0] - before),
        float((after[:, 1:] < 0).all(axis=0).mean()),
    )


def _margin(logits: Tensor, weights: Tensor) -> Tensor:
    """(..., n) log of the wanted forms' probability over the others', from logits (..., n, c) and weights (n, c)."""
    wanted, other = (logits.where(chosen, -torch.inf).logsumexp(dim=-1) for chosen in (weights > 0, weights < 0))
    return wanted - other


def _strengths(clean: Tensor, stepped: Tensor) -> Tensor:
    """Strengths at which a line through the margins at 0 and at the step has turned; a limit where it is flat."""
    slopes = (stepped - clean) / STEP
    return ((-TURNED * clean.sign() - clean) / slopes).nan_to_num(LIMIT).clamp(-LIMIT, LIMIT)


def _lead(logits: Tensor, weights: Tensor, right: Tensor) -> Tensor:
    """(..., n) by how many nats the likeliest right form leads the likeliest form, at most 0."""
    best, likeliest = (logits.where(chosen, -torch.inf).amax(dim=-1) for chosen in (right, weights != 0))
    return best - likeliest


def _signed_ranks(differences: Array) -> float:
    """One-sided p of Wilcoxon's signed ranks that differences (n) are below 0; 1 where all of them are 0."""
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, alternative="less").pvalue)


def turned_lead(subject: PromptSubject) -> tuple[float, ...]:
    """Mean over the prompts of how far the right verb form is behind at the published strength, one a seed."""
    return tuple(float(np.mean(next_verb(study).turned)) for study in subject.trained.studies)


def published_figures(study: PromptStudy) -> dict[str, list[float] | float] | str:
    """Figures of one model for a record, or why there are none."""
    try:
        return next_verb(study).figures()
    except Inapplicable as reason:
        return str(reason)
