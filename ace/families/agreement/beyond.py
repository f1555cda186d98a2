"""Further claims about the axis of number: whose number it codes, where it transfers, who reads it, what it spares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.auc import cluster_sums, discriminate, estimate, simple_auc
from ace.core import Core
from ace.errors import Inapplicable
from ace.families.agreement.controls import control_prompts, random_contrasts
from ace.families.agreement.reading import reading_directions
from ace.linalg import random_frames
from ace.model.continuation import encode_prompts, scattered
from ace.model.intervene import Intervention
from ace.model.prefix import PrefixRun
from ace.model.sites import Site
from ace.stats import Estimate, bootstrap, bootstrap_mean, exact, quantile
from ace.study.controls import DRAWS, LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import BEHAVES, PromptStudy
from ace.study.site_choice import rank_of
from ace.tasks.base import Split
from ace.tasks.prompt import Contrast, Prompts

NEUTRAL = 60  # prompts on which number should not matter
DIRECTIONS = 200  # norm-matched random directions
ALLOWED_NATS = 0.1
DAMAGE = 0.99
AT_ONCE = 8  # bases of random subspaces


@measures("embedding of the last token")
def attractor(subject: PromptSubject) -> Measurement:
    """Partial coefficient of the core coordinate on the head's number over that on the attractor's."""
    models = subject.trained
    if not models.source.attractors:
        raise Inapplicable("the prompts have no attractor to cross with the head")

    def estimates(site_of: Callable[[PromptStudy], Site]) -> tuple[Estimate, ...]:
        return tuple(
            bootstrap(str(k), _moments(study, site_of(study)), _head_over_attractor)
            for k, study in enumerate(models.studies)
        )

    return Measurement(
        estimates(lambda study: study.top.site),
        {"embedding of the last token": estimates(lambda study: study.sites[0])},
        details={
            "coefficients": [
                _coefficients(_moments(study, study.top.site).sum(axis=0))[:2].tolist() for study in models.studies
            ]
        },
    )


def _coefficients(moments: Array) -> Array:
    """(3) least squares on head, attractor and a constant, from moments (3, 4) of the design with itself and y."""
    return np.asarray(np.linalg.solve(moments[:, :3], moments[:, 3]))


def _moments(study: PromptStudy, site: Site) -> Array:
    """(k, 3, 4) by head noun: products of (head, attractor, 1) with themselves and the first core coordinate."""
    prompts = study.prompts(Split.EVALUATION)
    if prompts.attractors is None:
        raise Inapplicable("the prompts have no attractor to cross with the head")
    coordinate = study.core(site, 1).coordinates(study.states(Split.EVALUATION, site))[:, 0].numpy()
    design = np.column_stack([prompts.labels - 0.5, prompts.attractors - 0.5, np.ones(len(prompts))])
    return cluster_sums(design[:, :, None] * np.column_stack([design, coordinate])[:, None, :], prompts.clusters)


def _head_over_attractor(moments: Array) -> float:
    head, other, _ = np.abs(_coefficients(moments))
    return float(head / other)


@measures("random, Haar")
def transfer(subject: PromptSubject) -> Measurement:
    """AUC under the flip for verbs that no core was extracted for."""
    models = subject.trained
    if not models.source.transfers:
        raise Inapplicable("the task names no other verbs")
    estimates, controls, base = [], [], {}
    for k, study in enumerate(models.studies):
        for name, contrast in models.source.transfers.items():
            scores = _transferred(study, contrast)
            scored = discriminate(scores, study.labels(Split.EVALUATION), study.prompts(Split.EVALUATION).clusters)
            label = f"{k}, {name}"
            base[label] = float(scored.auc[0])
            if scored.auc[0] <= BEHAVES:
                raise Inapplicable(f"seed {k} does not agree with {name}: AUC {scored.auc[0]:.3f}")
            estimates.append(estimate(label, float(scored.auc[1]), scored.auc_replicates[1], len(scores[0])))
        first = next(iter(models.source.transfers.values()))
        random = random_contrasts(study, study.top.site, rank_of(study.top), "random, Haar", first, ("flip",))
        drawn = simple_auc(random.edited["flip"], random.labels)
        controls.append(exact(str(k), -quantile(-drawn, LEVEL), count=len(drawn)))
    return Measurement(tuple(estimates), {"random, Haar": tuple(controls)}, details={"base": base})


def _transferred(study: PromptStudy, contrast: Contrast) -> Array:
    """(2, n) another contrast of the evaluation prompts, clean and with the core of the copula's contrast flipped."""
    site, core = study.top.site, study.core(study.top.site, rank_of(study.top))
    turn = Intervention(core, "flip")
    groups = encode_prompts(study.language, study.prompts(Split.EVALUATION).under(contrast))
    parts = []
    for group in groups:
        run = PrefixRun(study.language, group)
        parts.append(torch.stack([run.base, run.push(site, turn.apply(run.states(site))[None])[0]]))
    return scattered(groups, iter(parts), axis=1).double().numpy()


@measures("agreement prompts")
def collateral(subject: PromptSubject) -> Measurement:
    """The larger of: nats of KL on neutral text over .1, and over the 99th percentile of norm-matched directions."""
    models = subject.trained
    estimates, controls, details = [], [], []
    for k, study in enumerate(models.studies):
        neutral = _damage(study, _neutral(study))
        allowed = min(ALLOWED_NATS, quantile(neutral.random, DAMAGE))
        estimates.append(bootstrap_mean(str(k), neutral.nats / allowed))
        agreeing = _damage(study, study.prompts(Split.EVALUATION).take(range(NEUTRAL)), directions=0)
        controls.append(bootstrap_mean(str(k), agreeing.nats / allowed))
        details.append(
            {
                "nats, neutral": float(neutral.nats.mean()),
                "nats, agreement prompts": float(agreeing.nats.mean()),
                "random directions, 99th percentile": quantile(neutral.random, DAMAGE),
                "random directions, median": float(np.median(neutral.random)),
            }
        )
    return Measurement(
        tuple(estimates),
        {"agreement prompts": tuple(controls)},
        details={"seeds": details, "examples": list(_neutral(models.studies[0]).texts[:4])},
    )


@dataclass(frozen=True)
class _Damage:
    """KL in nats of the edited from the clean next-token distribution: (n) for the core, (draws) means at random."""

    nats: Array
    random: Array


def _neutral(study: PromptStudy) -> Prompts:
    """Prompts continued past the verb, to a place where a noun of either number may come."""
    prompts = study.prompts(Split.EVALUATION).take(range(NEUTRAL))
    verbs = [
        contrast.wanted[-1] if label else contrast.other[-1]
        for contrast, label in zip(prompts.each_contrast, prompts.labels, strict=True)
    ]
    return replace(
        prompts, texts=tuple(f"{text}{verb} near the" for text, verb in zip(prompts.texts, verbs, strict=True))
    )


def _damage(study: PromptStudy, prompts: Prompts, directions: int = DIRECTIONS) -> _Damage:
    site, core = study.top.site, study.core(study.top.site, rank_of(study.top))
    turns = random_frames(core.width, 1, max(1, directions), torch.Generator().manual_seed(0))[:directions, :, 0]
    groups = encode_prompts(study.language, prompts)
    nats, random = [], []
    for group in groups:
        run = PrefixRun(study.language, group, vocabulary=True)
        states = run.states(site)
        removed = Intervention(core, "remove").apply(states)
        lengths = (removed - states).norm(dim=-1, keepdim=True)
        clean = _first_place(run.push_logits(site, states[None]), group.tails.shape)
        nats.append(_kl(clean, _first_place(run.push_logits(site, removed[None]), group.tails.shape))[0])
        drawn = [
            _kl(
                clean,
                _first_place(run.push_logits(site, states + lengths * part[:, None].to(states)), group.tails.shape),
            )
            for part in (turns.split(25) if directions else ())
        ]
        random.append(torch.cat(drawn) if drawn else torch.zeros(0, len(states)))
    return _Damage(
        scattered(groups, iter(nats)).double().numpy(),
        scattered(groups, iter(random), axis=1).double().mean(dim=1).numpy(),
    )


def _first_place(logits: Tensor, tails: torch.Size) -> Tensor:
    """(m, n, v) log-probabilities at the scored position, from logits (m * n * q, s, v)."""
    n, q, _ = tails
    return logits[:, 0].view(-1, n, q, logits.shape[-1])[:, :, 0].log_softmax(dim=-1).cpu()


def _kl(clean: Tensor, edited: Tensor) -> Tensor:
    """(m, n) KL divergence in nats of edited (m, n, v) from clean (1, n, v) log-probabilities."""
    return (clean.exp() * (clean - edited)).sum(dim=-1)


@measures("random directions as many")
def dormant(subject: PromptSubject) -> Measurement:
    """Share of the flip's effect that is left when only that part of the axis is flipped which weights above read."""
    models = subject.trained
    estimates, controls, details = [], [], []
    for k, study in enumerate(models.studies):
        core, site = study.core(study.top.site, 1), study.top.site
        readers = reading_directions(study.language, site)
        axis = core.basis[:, 0]
        whole = _effect(study, core, axis[None])[0]
        parts = [readers @ (readers.T @ axis), axis - readers @ (readers.T @ axis)]
        kept, dropped = _effect(study, core, torch.stack(parts))
        random = _projections(axis, readers.shape[1], DRAWS // 5, torch.Generator().manual_seed(0))
        few = control_prompts(study)[0]
        drawn = _effect(study, core, random, few).mean(axis=1)
        estimates.append(_share(str(k), kept, whole, study))
        shares = drawn / float(_effect(study, core, axis[None], few).mean())
        controls.append(exact(str(k), quantile(shares, LEVEL), count=len(drawn)))
        details.append(
            {"directions": readers.shape[1], "width": core.width, "unread part": float(dropped.mean() / whole.mean())}
        )
    return Measurement(tuple(estimates), {"random directions as many": tuple(controls)}, details={"seeds": details})


def _projections(axis: Tensor, rank: int, draws: int, generator: torch.Generator) -> Tensor:
    """(draws, d) an axis (d) projected onto random subspaces, a few at a time: bases of a wide model are large."""
    projections = []
    for count in torch.arange(draws).split(AT_ONCE):
        bases = random_frames(len(axis), rank, len(count), generator)
        projections.append((bases @ (bases.mT @ axis[:, None]))[:, :, 0])
    return torch.cat(projections)


def _share(label: str, part: Array, whole: Array, study: PromptStudy) -> Estimate:
    """Mean effect of a part over that of the whole, bootstrapped over head nouns."""
    sums = cluster_sums(np.column_stack([part, whole]), study.prompts(Split.EVALUATION).clusters)
    return bootstrap(label, sums, lambda mean: float(mean[0] / mean[1]))


def _effect(study: PromptStudy, core: Core, steps: Tensor, prompts: Prompts | None = None) -> Array:
    """(m, n) how far contrasts move to the other side when the core coordinate times -2 is added along steps (m, d).

    Args:
        prompts: in place of the evaluation split.
    """
    site = study.top.site
    groups = study.encoded(Split.EVALUATION) if prompts is None else encode_prompts(study.language, prompts)
    runs = study.runs(Split.EVALUATION) if prompts is None else [PrefixRun(study.language, group) for group in groups]
    parts = []
    for run in runs:
        states = run.states(site)
        coordinate = (states.double().cpu() - core.mean) @ core.basis[:, 0]
        moves = (-2 * coordinate[None, :, None] * steps[:, None, :]).to(states)
        moved = torch.cat([run.push(site, states + part) for part in moves.split(64)])
        parts.append((run.base - moved) * run.base.sign())
    return scattered(groups, iter(parts), axis=1).double().numpy()
