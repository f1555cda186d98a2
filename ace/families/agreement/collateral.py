"""What removing the axis does to other text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.core import OBLIQUE, ORTHOGONAL, PROJECTORS
from ace.linalg import random_frames
from ace.model.continuation import Encoded, scattered
from ace.model.intervene import Intervention
from ace.model.prefix import PrefixRun, run_together
from ace.progress import told
from ace.stats import Estimate, bootstrap_ratio, quantile
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy, Runs, encoded_once
from ace.study.site_choice import rank_of
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts

NEUTRAL = 60  # prompts on which number should not matter
FEW = 12  # of them, on which random directions are tried
DIRECTIONS = 200  # norm-matched random directions
LOGITS = 2**24  # entries of logits at a time
ALLOWED_NATS = 0.1
DAMAGE = 0.99


@measures("agreement prompts")
def collateral(subject: PromptSubject) -> Measurement:
    """Nats of KL on neutral text: over .1, and over the 99th percentile of norm-matched directions."""
    models = subject.trained
    estimates: list[Estimate] = []
    controls: list[Estimate] = []
    beside: list[Estimate] = []
    details = []

    def parts(label: str, nats: Array, clusters: Ints, random: float) -> list[Estimate]:
        sums = cluster_sums(np.column_stack([nats, np.ones(len(nats))]), clusters)
        return [
            bootstrap_ratio(f"{label}, over {ALLOWED_NATS} nat", sums * [1.0, ALLOWED_NATS]),
            bootstrap_ratio(f"{label}, over random", sums * [1.0, random]),
        ]

    for k, study in enumerate(models.studies):
        few = study.prompts(Split.EVALUATION).take(range(NEUTRAL))
        neutral, oblique = (_damage(study, neutral_runs(study), projector) for projector in PROJECTORS)
        random, random_oblique = (_random_damage(study, projector) for projector in PROJECTORS)
        groups = encoded_once(study, few)
        agreeing = _damage(study, (groups, _run_whole(study, groups)))
        limit = quantile(random, DAMAGE)
        estimates += parts(str(k), neutral, few.clusters, limit)
        controls += parts(str(k), agreeing, few.clusters, limit)
        beside += parts(str(k), oblique, few.clusters, quantile(random_oblique, DAMAGE))
        details.append(
            {
                "nats, neutral": float(neutral.mean()),
                "nats, neutral, oblique": float(oblique.mean()),
                "nats, agreement prompts": float(agreeing.mean()),
                "random directions, 99th percentile": limit,
                "random directions, median": float(np.median(random)),
            }
        )
    return Measurement(
        tuple(estimates),
        {"agreement prompts": tuple(controls)},
        details={"seeds": details, "examples": list(neutral_prompts(models.studies[0]).texts[:4])},
        beside={OBLIQUE: tuple(beside)},
    )


def neutral_prompts(study: PromptStudy) -> Prompts:
    """Prompts continued past the verb, to a place where a noun of either number may come."""
    prompts = study.prompts(Split.EVALUATION).take(range(NEUTRAL))
    verbs = [
        contrast.wanted[-1] if label else contrast.other[-1]
        for contrast, label in zip(prompts.each_contrast, prompts.labels, strict=True)
    ]
    return replace(
        prompts, texts=tuple(f"{text}{verb} near the" for text, verb in zip(prompts.texts, verbs, strict=True))
    )


def neutral_runs(study: PromptStudy) -> tuple[Sequence[Encoded], Sequence[PrefixRun]]:
    """Those prompts, run once with the logits of the whole vocabulary."""
    return encoded_once(study, neutral_prompts(study)), _neutral_runs(study)


@remembered
def _neutral_runs(study: PromptStudy) -> Runs:
    return _run_whole(study, encoded_once(study, neutral_prompts(study)))


def _run_whole(study: PromptStudy, groups: Sequence[Encoded]) -> Runs:
    return Runs(run_together(study.language, groups, vocabulary=True))


@remembered
def _few_neutral_runs(study: PromptStudy) -> Runs:
    return _run_whole(study, encoded_once(study, neutral_prompts(study).take(range(FEW))))


def _removed(study: PromptStudy, run: PrefixRun, projector: str) -> tuple[Tensor, Tensor]:
    """(n, d) states at the chosen site, and the same with the core removed."""
    site, core = study.choice().site, study.core(study.choice().site, rank_of(study.choice()))
    states = run.states(site)
    return states, Intervention(core, "remove", projector=projector).apply(states)


def _damage(
    study: PromptStudy, prompts: tuple[Sequence[Encoded], Sequence[PrefixRun]], projector: str = ORTHOGONAL
) -> Array:
    """(n) KL in nats of the next token with the core removed from the clean model's."""
    site, (groups, runs) = study.choice().site, prompts
    nats = []
    for group, run in zip(groups, runs, strict=True):
        states, removed = _removed(study, run, projector)
        clean, edited = (
            next_logits(run.push_logits(site, part[None]), group.tails.shape) for part in (states, removed)
        )
        nats.append(divergences(clean[0], edited)[0])
    return scattered(groups, iter(nats)).double().numpy()


@remembered
def _random_damage(study: PromptStudy, projector: str) -> Array:
    """(directions) mean KL in nats on few neutral prompts of steps as long as removal's along random directions."""
    site, width = study.choice().site, study.core(study.choice().site).width
    turns = random_frames(width, 1, DIRECTIONS, torch.Generator().manual_seed(0))[..., 0]
    total = torch.zeros(DIRECTIONS, dtype=torch.float64)
    groups, runs = encoded_once(study, neutral_prompts(study).take(range(FEW))), _few_neutral_runs(study)
    for group, run in told(list(zip(groups, runs, strict=True)), "lengths of neutral prompts"):
        states, removed = _removed(study, run, projector)
        lengths = (removed - states).norm(dim=-1, keepdim=True)
        clean = next_logits(run.push_logits(site, states[None]), group.tails.shape)[0]
        size = max(1, LOGITS // clean.numel())
        nats = [
            divergences(
                clean,
                next_logits(run.push_logits(site, states + lengths * part[:, None].to(states)), group.tails.shape),
            )
            for part in turns.split(size)
        ]
        total += torch.cat(nats).double().sum(dim=1)
    return (total / sum(len(group.rows) for group in groups)).numpy()


def next_logits(logits: Tensor, tails: torch.Size) -> Tensor:
    """(m, n, v) logits at the scored position, of logits (m * n * q, s, v)."""
    n, q, _ = tails
    return logits[:, 0].view(-1, n, q, logits.shape[-1])[:, :, 0]


def divergences(clean: Tensor, edited: Tensor) -> Tensor:
    """(m, n) KL divergence in nats of next-token distributions with logits (m, n, v) from those with logits (n, v).

    From differences of logits, which keep their digits where distributions are close. Overwrites `edited`.
    """
    probability = clean.softmax(dim=-1)[..., None]  # (n, v, 1)
    moved = edited.sub_(clean).transpose(0, 1)  # (n, m, v)
    mean = (moved @ probability)[..., 0]
    return (torch.log1p((moved.expm1_() @ probability)[..., 0]) - mean).T.cpu()
