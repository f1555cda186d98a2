"""Controls shared by several claims: random subspaces in a core's place, and performance under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from torch import Tensor

from ace.check import check_choice
from ace.core import Core
from ace.linalg import random_frames, weighted_frames
from ace.measure.subject import Study
from ace.stats import Array, Estimate, exact, quantile
from ace.tasks.base import Split

DRAWS = 1000
LEVEL = 0.999
KINDS = ("random, Haar", "random, covariance")
SEQUENCES = 200  # of the evaluation split; the whole model is measured on the same ones
GROUP = 50


def random_bases(study: Study, index: int, kind: str, draws: int = DRAWS) -> Tensor:
    """(draws, d, r) random orthonormal bases of the core's rank: Haar, or weighted by the states' covariance."""
    check_choice("kind", kind, KINDS)
    core = study.core(index)
    generator = torch.Generator().manual_seed(index)
    if kind == "random, Haar":
        return random_frames(core.width, core.dimension, draws, generator)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double() - core.mean
    return weighted_frames(states, core.dimension, draws, generator)


def _edited_logits(study: Study, index: int, bases: Tensor, mode: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (g, n, v) under keep or remove of each of g bases about the mean, and targets (n), float32."""
    check_choice("mode", mode, ("keep", "remove"))
    core = study.core(index)
    weight, bias = (x.float() for x in study.head(index))
    states = study.states(index, Split.EVALUATION)[:SEQUENCES].flatten(0, 1)
    targets = torch.from_numpy(study.batch(Split.EVALUATION).targets[:SEQUENCES]).flatten()
    mean = core.mean.float()
    shifted = states - mean
    start = (weight @ mean + bias) if mode == "keep" else states @ weight.T + bias
    sign = 1.0 if mode == "keep" else -1.0
    for group in bases.float().split(GROUP):
        inner = torch.matmul(shifted, group)  # (g, n, r)
        read = torch.matmul(weight, group).transpose(1, 2)  # (g, r, v)
        yield torch.matmul(inner, read).mul_(sign).add_(start), targets


@lru_cache(maxsize=64)
def random_performance(study: Study, index: int, kind: str, mode: str) -> tuple[Array, Array]:
    """(draws) mean accuracy and (draws) mean cross-entropy in nats under keep or remove of random subspaces."""
    hits, losses = [], []
    for logits, targets in _edited_logits(study, index, random_bases(study, index, kind), mode):
        hits.append((logits.argmax(dim=-1) == targets).double().mean(dim=1))
        chosen = logits.gather(-1, targets.expand(len(logits), -1)[..., None])[..., 0]
        losses.append((logits.logsumexp(dim=-1) - chosen).mean(dim=1))
    return torch.cat(hits).numpy(), torch.cat(losses).double().numpy()


def random_controls(
    study: Study, mode: str, measure: int, better: int, reference: Callable[[int], Array]
) -> dict[str, tuple[Estimate, ...]]:
    """The 99.9 % most favourable of 1,000 random subspaces, for each kind and model, minus a reference.

    Args:
        measure: 0 for accuracy, 1 for cross-entropy.
        better: +1 where a larger value speaks for the claim, -1 where a smaller one does.
        reference: per sequence (n) what the claim subtracts.
    """
    controls = {}
    for kind in KINDS:
        extremes = []
        for index in range(len(study)):
            drawn = random_performance(study, index, kind, mode)[measure] - reference(index)[:SEQUENCES].mean()
            extremes.append(exact(str(index), better * quantile(better * drawn, LEVEL), count=len(drawn)))
        controls[kind] = tuple(extremes)
    return controls


def principal_core(study: Study, index: int) -> Core:
    """PCA of equal rank in the core's place: the leading principal directions of the extraction states."""
    core = study.core(index)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double() - core.mean
    _, _, axes = torch.linalg.svd(torch.linalg.qr(states, mode="r").R)
    return core.with_basis(axes[: core.dimension].T)
