"""What removing the axis does to other text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.core import OBLIQUE, ORTHOGONAL
from ace.linalg import random_frames
from ace.model.continuation import Encoded, scattered
from ace.model.intervene import Intervention
from ace.model.prefix import PrefixRun
from ace.stats import Estimate, bootstrap_ratio, quantile
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy, Runs, encoded_once
from ace.study.site_choice import rank_of
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts

NEUTRAL = 60  # prompts on which number should not matter
DIRECTIONS = 200  # norm-matched random directions
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
        neutral, oblique = (_damage(study, neutral_runs(study), projector) for projector in (ORTHOGONAL, OBLIQUE))
        groups = encoded_once(study, few)
        agreeing = _damage(study, (groups, _run_whole(study, groups)), directions=0)
        random = quantile(neutral.random, DAMAGE)
        estimates += parts(str(k), neutral.nats, few.clusters, random)
        controls += parts(str(k), agreeing.nats, few.clusters, random)
        beside += parts(str(k), oblique.nats, few.clusters, quantile(oblique.random, DAMAGE))
        details.append(
            {
                "nats, neutral": float(neutral.nats.mean()),
                "nats, neutral, oblique": float(oblique.nats.mean()),
                "nats, agreement prompts": float(agreeing.nats.mean()),
                "random directions, 99th percentile": random,
                "random directions, median": float(np.median(neutral.random)),
            }
        )
    return Measurement(
        tuple(estimates),
        {"agreement prompts": tuple(controls)},
        details={"seeds": details, "examples": list(neutral_prompts(models.studies[0]).texts[:4])},
        beside={OBLIQUE: tuple(beside)},
    )


@dataclass(frozen=True)
class _Damage:
    """KL in nats of the edited from the clean next-token distribution: (n) for the core, (draws) means at random."""

    nats: Array
    random: Array


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
    return Runs(PrefixRun(study.language, group, vocabulary=True) for group in groups)


def _damage(
    study: PromptStudy,
    prompts: tuple[Sequence[Encoded], Sequence[PrefixRun]],
    projector: str = ORTHOGONAL,
    directions: int = DIRECTIONS,
) -> _Damage:
    site, core = study.choice().site, study.core(study.choice().site, rank_of(study.choice()))
    turns = random_frames(core.width, 1, max(1, directions), torch.Generator().manual_seed(0))[:directions, :, 0]
    groups, runs = prompts
    nats, random = [], []
    for group, run in zip(groups, runs, strict=True):
        states = run.states(site)
        removed = Intervention(core, "remove", projector=projector).apply(states)
        lengths = (removed - states).norm(dim=-1, keepdim=True)
        clean = next_token(run.push_logits(site, states[None]), group.tails.shape)
        nats.append(divergence(clean, next_token(run.push_logits(site, removed[None]), group.tails.shape))[0])
        drawn = [
            divergence(
                clean,
                next_token(run.push_logits(site, states + lengths * part[:, None].to(states)), group.tails.shape),
            )
            for part in (turns.split(25) if directions else ())
        ]
        random.append(torch.cat(drawn) if drawn else torch.zeros(0, len(states)))
    return _Damage(
        scattered(groups, iter(nats)).double().numpy(),
        scattered(groups, iter(random), axis=1).double().mean(dim=1).numpy(),
    )


def next_token(logits: Tensor, tails: torch.Size) -> Tensor:
    """(m, n, v) log-probabilities at the scored position, from logits (m * n * q, s, v)."""
    n, q, _ = tails
    return logits[:, 0].view(-1, n, q, logits.shape[-1])[:, :, 0].log_softmax(dim=-1).cpu()


def divergence(clean: Tensor, edited: Tensor) -> Tensor:
    """(m, n) KL divergence in nats of edited (m, n, v) from clean (1, n, v) log-probabilities."""
    return (clean.exp() * (clean - edited)).sum(dim=-1)
