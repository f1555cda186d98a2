"""Keep and remove at every rank of a model of modular addition, on all held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ace.arrays import Ints
from ace.check import check_choice
from ace.core import Core
from ace.extract import extracted, head_sensitivities
from ace.linalg import random_frames
from ace.model.intervene import RankScan, rank_scan
from ace.model.sites import find_sites, hooked
from ace.rank import Full, RankChoice, necessary_rank, sufficient_rank
from ace.study.memory import remembered
from ace.study.run_history import RunHistory
from ace.study.tokens import TokenStudy
from ace.tasks import ModularAddition
from ace.tasks.base import HELD_OUT, Batch, require_disjoint
from ace.threads import one_thread
from ace.training.transformer import SmallTransformer

TOLERANCE = 1e-3  # published, of r_suf
CHAINS = ("core", "oblique", "random")


def addition_of(history: RunHistory) -> ModularAddition:
    """The task of a training, known to be modular addition.

    Raises:
        ClaimError: it is another.
    """
    return history.study(0).expect_task(ModularAddition)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a scan of one model needs: its states of all held-out pairs, and what reads them.

    Attributes:
        batches: the pairs of each held-out split.
        states: (n, d) below the head at the last position, of each.
        weight, bias: (v, d) and (v), float64, of the linear head.
        cores: of full rank, from the states of each split.
    """

    batches: tuple[Batch, ...]
    states: tuple[Tensor, ...]
    weight: Tensor
    bias: Tensor
    cores: tuple[Core, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the states."""
        return sum(part.nbytes for part in self.states)

    @property
    def targets(self) -> tuple[Tensor, ...]:
        """(n) answers of each split."""
        return tuple(torch.from_numpy(batch.targets)[:, -1] for batch in self.batches)


@one_thread()
def held_out(study: TokenStudy, index: int) -> HeldOut:
    """All held-out pairs of one model of a study, which has read most of them already.

    Raises:
        Inapplicable: more than a linear head follows the site.
    """
    weight, bias = study.head(index)
    states = tuple(study.states(index, split)[:, -1] for split in HELD_OUT)
    batches = tuple(map(study.batch, HELD_OUT))
    sensitivities = head_sensitivities(weight)
    cores = tuple(
        extracted(study.extractor, part, sensitivities, rank=Full(), labels=partial(_answers, batch))
        for part, batch in zip(states, batches, strict=True)
    )
    return HeldOut(batches, states, weight, bias, cores)


def _answers(batch: Batch) -> Ints:
    """(n) the class of each pair."""
    answers: Ints = batch.targets[:, -1]
    return answers


@one_thread()
def scan_ranks(pairs: HeldOut, chain: str = "core", *, seed: int = 0) -> RankScan:
    """Keep and remove at every rank, each part of the held-out pairs with a core extracted from another part.

    A curve over ranks is as uncertain as the pairs behind it: so all of them count, and none is judged by a core that
    saw it.

    Args:
        chain: "core", its leading ranks by the orthogonal projector; "oblique", the same by the oblique one; "random",
            nested random subspaces, of ranks 1 to the state's width.
        seed: chooses the random subspaces.
    """
    check_choice("chain", chain, CHAINS)
    scans = []
    for place, core in enumerate(pairs.cores):
        judged = pairs.batches[place - 1]  # evaluation, for a core from extraction
        require_disjoint(pairs.batches[place].split.value, judged)
        if chain == "random":
            generator = torch.Generator().manual_seed(seed)
            core = core.with_basis(random_frames(core.width, core.width, 1, generator)[0])
        projector = "oblique" if chain == "oblique" else "orthogonal"
        states, targets = pairs.states[place - 1], pairs.targets[place - 1]
        scans.append(rank_scan(states, targets, pairs.weight, pairs.bias, core, projector=projector))
    return _pooled(scans)


def _pooled(scans: Sequence[RankScan]) -> RankScan:
    """Scans of different samples as one, up to the smallest number of ranks."""
    ranks = min(len(each.keep_hits) for each in scans)
    return RankScan(
        torch.cat([each.base_hits for each in scans]),
        torch.cat([each.keep_hits[:ranks] for each in scans], dim=1),
        torch.cat([each.remove_hits[:ranks] for each in scans], dim=1),
    )


@remembered
def _held_out(history: RunHistory, epoch: int, index: int, arm: str) -> HeldOut:
    return held_out(history.study(epoch, arm), index)


def held_out_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> HeldOut:
    """All held-out pairs of one model at a checkpoint."""
    return _held_out(history, epoch, index, history.arm_at(epoch, arm))


@remembered
def _scan(history: RunHistory, epoch: int, index: int, arm: str, chain: str) -> RankScan:
    return scan_ranks(_held_out(history, epoch, index, arm), chain, seed=index)


def scan_at(history: RunHistory, epoch: int, index: int, arm: str | None = None, chain: str = "core") -> RankScan:
    """Keep and remove at every rank of one model at a checkpoint."""
    return _scan(history, epoch, index, history.arm_at(epoch, arm), chain)


def necessary_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> RankChoice:
    """r_nec: smallest rank whose removal leaves at most the published 2 / p."""
    return necessary_rank(scan_at(history, epoch, index, arm).remove, 2 / addition_of(history).modulus)


def sufficient_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> RankChoice:
    """r_suf: smallest rank whose keeping is within the published 1e-3 of the whole model."""
    curves = scan_at(history, epoch, index, arm)
    return sufficient_rank(curves.keep, curves.base, TOLERANCE)


@torch.no_grad()
def last_states(model: SmallTransformer, inputs: Tensor) -> Tensor:
    """(n, d) states below the head at the last position of token ids (n, t), t >= 2.

    What comes before the last position is computed once for all sequences that share it.
    """
    before = inputs[:, :-1]
    if before.shape[1] == 1:
        rows, place = torch.unique(before, return_inverse=True)  # far faster than by rows
        prefixes, place = rows[:, None], place[:, 0]
    else:
        prefixes, place = torch.unique(before, dim=0, return_inverse=True)
    past = model.new_cache()
    for position in range(prefixes.shape[1]):
        model(prefixes[:, position : position + 1], past)
    states: list[Tensor] = []
    with hooked(model, find_sites(model).site(-1), states.append):
        model(inputs[:, -1:], [part.taken(place) for part in past])
    return states[0][:, 0]


def resampled_accuracy(hits: Tensor, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(b, r) accuracy at each rank, hits (r, n), of samples drawn counts (b, n) times."""
    return np.asarray(counts @ hits.double().numpy().T / counts.sum(axis=1, keepdims=True))
