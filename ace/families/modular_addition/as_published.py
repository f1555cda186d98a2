"""The claims about modular addition by the published protocol, on our models: what its choices do to its figures.

It differs from ours in this. A core is extracted from the held-out pairs that it is evaluated on, and logits are not
centred over classes, so that a shift of all of them counts as an output. Its rank is that of the energy rule. r_nec is
looked for from that rank on, r_suf from rank 1. The shift operator has the full rank of the core and is judged on the
class means that it was fitted to. Nothing is drawn, nothing resampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ace import rotation
from ace.arrays import Array, Complex
from ace.core import Core
from ace.dynamics import spectrum
from ace.extract import extract_core
from ace.families.modular_addition.scans import TOLERANCE, HeldOut, held_out_at
from ace.model.intervene import RankScan, rank_scan
from ace.rank import Energy, Full, GivenSpectrum, sufficient_rank
from ace.study.memory import remembered
from ace.study.run_history import ENERGY, LEARNT, RunHistory
from ace.study.tokens import TokenSubject


@dataclass(frozen=True, eq=False)
class Published:
    """One model by the published protocol.

    Attributes:
        core: of full rank, from all held-out pairs and the head's weight as it is.
        rank: by the energy rule.
        scan: of the same pairs, about their mean.
        means: (p, rank) class means of core coordinates of the same pairs.
    """

    core: Core
    rank: int
    scan: RankScan
    means: Array

    @property
    def kept(self) -> float:
        """Accuracy with the core of the energy rule kept, minus that of the whole model."""
        return float(self.scan.keep[self.rank - 1]) - self.scan.base

    @property
    def removed(self) -> float:
        """Accuracy without it."""
        return float(self.scan.remove[self.rank - 1])

    @property
    def bound(self) -> float:
        """2 / p."""
        return 2 / len(self.means)

    @property
    def necessary(self) -> int:
        """r_nec: smallest rank, from that of the energy rule on, whose removal leaves at most 2 / p; else one more."""
        met = (self.scan.remove[self.rank - 1 :] <= self.bound).tolist()
        return self.rank + (met.index(True) if True in met else len(met))

    @property
    def sufficient(self) -> int:
        """r_suf: smallest rank kept that is within 1e-3 of the whole model; else one more than all."""
        reached = sufficient_rank(self.scan.keep, self.scan.base, TOLERANCE).value
        return len(self.scan.keep) + 1 if reached is None else reached

    @property
    def operator(self) -> Array:
        """(rank, rank) shift operator fitted to all class means."""
        return rotation.shift_operator(self.means)

    @property
    def eigenvalues(self) -> Complex:
        """(rank) its eigenvalues."""
        return spectrum(self.operator)


def by_published_protocol(pairs: HeldOut) -> Published:
    """One model by the published protocol, from its held-out pairs."""
    states, targets = torch.cat(pairs.states), torch.cat(pairs.targets)
    core = extract_core(states, pairs.weight, rank=Full())
    known = GivenSpectrum(core.sigma, core.dimension, lambda draws, generator: core.sigma[:1])
    rank = Energy(ENERGY).choose(known).value or 1
    values = core.coordinates(states.double()).numpy()[:, :rank]
    return Published(
        core,
        rank,
        rank_scan(states, targets, pairs.weight, pairs.bias, core),
        rotation.class_means(values, targets.numpy(), len(pairs.weight)),
    )


@remembered
def _published(history: RunHistory, epoch: int, index: int, arm: str) -> Published:
    return by_published_protocol(held_out_at(history, epoch, index, arm))


def published_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> Published:
    """One model at a checkpoint by the published protocol."""
    return _published(history, epoch, index, history.arm_at(epoch, arm))


def published_sizes(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> list[int]:
    """r_nec and r_suf."""
    model = published_at(history, epoch, index, arm)
    return [model.necessary, model.sufficient]


def _after(history: RunHistory, index: int) -> Published:
    return published_at(history, history.stages(index).after, index)


def _end(history: RunHistory, index: int, arm: str = "decay") -> Published:
    return published_at(history, history.last_of(arm), index, arm)


def grok(subject: TokenSubject) -> tuple[float, ...]:
    """Epochs between .99 on training pairs and .99 on held-out pairs."""
    history = subject.training()
    stages = [history.stages(k) for k in history.members]
    return tuple(float(stage.generalised - stage.memorised) for stage in stages)


def formation(subject: TokenSubject) -> tuple[float, ...]:
    """1 where the core answers .99 and removing it leaves at most 2 / p after grokking, and not before; else 0."""
    history = subject.training()

    def formed(model: Published) -> bool:
        return model.scan.base + model.kept >= LEARNT and model.removed <= model.bound

    before = [published_at(history, history.stages(k).before, k) for k in history.members]
    return tuple(float(formed(_after(history, k)) and not formed(before[k])) for k in history.members)


def at_grokking(figure: Callable[[Published], float], subject: TokenSubject) -> tuple[float, ...]:
    """A figure of each model at its first checkpoint after grokking."""
    history = subject.training()
    return tuple(float(figure(_after(history, k))) for k in history.members)


def modes(subject: TokenSubject) -> tuple[float, ...]:
    """Distinct modes of the operator at the end, the constant one with them."""
    history = subject.training()
    ends = [_end(history, k) for k in history.members]
    return tuple(float(rotation.distinct_modes(end.eigenvalues, len(end.means))) for end in ends)


def inflation(subject: TokenSubject) -> tuple[float, ...]:
    """r_nec at the end over r_nec at the first checkpoint after grokking."""
    history = subject.training()
    return tuple(_end(history, k).necessary / _after(history, k).necessary for k in history.members)


def no_inflation(subject: TokenSubject) -> tuple[float, ...]:
    """r_nec at the end of the arm without weight decay over r_nec at the branch."""
    history = subject.training()
    branch = [published_at(history, history.branch, k) for k in history.members]
    return tuple(_end(history, k, "free").necessary / branch[k].necessary for k in history.members)


def redundancy(subject: TokenSubject) -> tuple[float, ...]:
    """Growth of r_nec - r_suf from the first checkpoint after grokking to the end."""
    history = subject.training()

    def gap(model: Published) -> int:
        return model.necessary - model.sufficient

    return tuple(float(gap(_end(history, k)) - gap(_after(history, k))) for k in history.members)


def ring_share(model: Published) -> float:
    """Share of the operator's eigenvalues on the ring."""
    return float(rotation.ring_share(model.eigenvalues, len(model.means)))


def grid_distance(model: Published) -> float:
    """Mean distance of their angles to the multiples of 2 pi / p, in units of it."""
    return float(rotation.grid_distance(model.eigenvalues, len(model.means)))


def operator_r2(model: Published) -> float:
    """R2 of the step c -> c + 1 on the class means that the operator was fitted to."""
    return in_sample_r2(model.means, model.operator)


def in_sample_r2(means: Array, operator: Array) -> float:
    """R2 of the step c -> c + 1 on class means (p, k), by the operator that was fitted to them."""
    centred = means - means.mean(axis=0)
    after = np.roll(centred, -1, axis=0)
    left = after - centred @ operator.T
    return float(1 - (left**2).sum() / (after**2).sum())


sufficiency = partial(at_grokking, lambda model: model.kept)
necessity = partial(at_grokking, lambda model: model.removed)
rotations = partial(at_grokking, ring_share)
angles = partial(at_grokking, grid_distance)
steps = partial(at_grokking, operator_r2)
