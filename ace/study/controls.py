"""Controls shared by several claims: random subspaces in a core's place, and performance under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ace.arrays import Array
from ace.check import check_choice
from ace.core import Core
from ace.model.intervene import Intervention
from ace.stats import Estimate, exact, quantile
from ace.study.memory import remembered
from ace.study.subspaces import KINDS, random_subspaces
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

DRAWS = 1000
LEVEL = 0.999
SEQUENCES = 200  # of the evaluation split; the whole model is measured on the same ones
GROUP = 50

Performance = Callable[[TokenStudy, int, str, str], Array]


def random_bases(study: TokenStudy, index: int, kind: str, draws: int = DRAWS) -> Tensor:
    """(draws, d, r) random orthonormal bases in the place of one model's core."""
    return random_subspaces(
        study.core(index), kind, draws, seed=index, states=lambda: study.states(index, Split.EXTRACTION).flatten(0, 1)
    )


def _edited_logits(study: TokenStudy, index: int, kind: str, mode: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (g, v, n) under keep or remove of each of g random bases about the mean, and targets (n), float32.

    One product a group: a base and the head make one map of the states, and samples lie last, side by side in memory.

    Raises:
        Inapplicable: more than a linear head follows the site.
    """
    check_choice("mode", mode, ("keep", "remove"))
    core = study.core(index)
    weight, bias = (x.float() for x in study.head(index))
    states = study.states(index, Split.EVALUATION)[:SEQUENCES].flatten(0, 1).float()
    targets = torch.from_numpy(study.batch(Split.EVALUATION).targets[:SEQUENCES]).flatten()
    mean = core.mean.float()
    shifted = (states - mean).T.contiguous()  # (d, n)
    start = ((weight @ mean)[:, None] if mode == "keep" else weight @ states.T) + bias[:, None]
    sign = 1.0 if mode == "keep" else -1.0
    for group in random_bases(study, index, kind).float().split(GROUP):
        maps = torch.matmul(torch.matmul(weight, group), group.mT)  # (g, v, d)
        moved = maps.flatten(0, 1) @ shifted
        yield moved.view(len(group), len(weight), -1).mul_(sign).add_(start), targets


@remembered
def random_accuracy(study: TokenStudy, index: int, kind: str, mode: str) -> Array:
    """(draws) mean accuracy under keep or remove of random subspaces; a tie for the largest logit counts as right."""
    # Compared with the largest logit: argmax along an axis that is not the last would take most of the time.
    hits = [
        (_at(logits, targets) >= logits.amax(dim=1)).double().mean(dim=1)
        for logits, targets in _edited_logits(study, index, kind, mode)
    ]
    return torch.cat(hits).numpy()


@remembered
def random_loss(study: TokenStudy, index: int, kind: str, mode: str) -> Array:
    """(draws) mean cross-entropy in nats under keep or remove of random subspaces."""
    losses = [
        (logits.logsumexp(dim=1) - _at(logits, targets)).mean(dim=1)
        for logits, targets in _edited_logits(study, index, kind, mode)
    ]
    return torch.cat(losses).double().numpy()


def _at(logits: Tensor, targets: Tensor) -> Tensor:
    """(g, n) logits (g, v, n) of the targets (n)."""
    return logits.gather(1, targets.expand(len(logits), 1, -1))[:, 0]


def random_controls(
    study: TokenStudy, mode: str, performance: Performance, better: int, reference: Callable[[int], Array]
) -> dict[str, tuple[Estimate, ...]]:
    """The 99.9 % most favourable of 1,000 random subspaces, for each kind and model, minus a reference.

    Args:
        performance: `random_accuracy` or `random_loss`.
        better: +1 where a larger value speaks for the claim, -1 where a smaller one does.
        reference: per sequence (n) what the claim subtracts.
    """
    controls = {}
    for kind in KINDS:
        extremes = []
        for index in range(len(study)):
            drawn = performance(study, index, kind, mode) - reference(index)[:SEQUENCES].mean()
            extremes.append(exact(str(index), better * quantile(better * drawn, LEVEL), count=len(drawn)))
        controls[kind] = tuple(extremes)
    return controls


def edited(core: Core, mode: str, projector: str = "orthogonal") -> Callable[[Tensor], Tensor]:
    """What an intervention with a core does to states, for `TokenStudy.performance`."""
    return Intervention(core, mode, projector=projector).apply


def principal_core(study: TokenStudy, index: int) -> Core:
    """PCA of equal rank in the core's place: the leading principal directions of the extraction states."""
    core = study.core(index)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double() - core.mean
    _, _, axes = torch.linalg.svd(torch.linalg.qr(states, mode="r").R)
    return core.with_basis(axes[: core.dimension].T)
