"""Keep and remove at every rank of a model of modular addition, on all held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ace.extract import Extractor, extract_core, head_sensitivities
from ace.linalg import random_frames
from ace.model.intervene import RankScan, rank_scan
from ace.model.sites import find_sites, hooked
from ace.model.tail import find_tail
from ace.rank import Full, RankChoice, necessary_rank, sufficient_rank
from ace.study.memory import remembered
from ace.study.run_history import RunHistory
from ace.study.threads import one_thread
from ace.tasks import ModularAddition
from ace.tasks.base import HELD_OUT, Batch, require_disjoint
from ace.training.transformer import SmallTransformer

TOLERANCE = 1e-3  # published, of r_suf


def addition_of(history: RunHistory) -> ModularAddition:
    """The task of a training, known to be modular addition.

    Raises:
        ClaimError: it is another.
    """
    return history.study(0).expect_task(ModularAddition)


@remembered
def _scan(history: RunHistory, epoch: int, index: int, arm: str) -> CheckpointScan:
    model = history.study(epoch, arm).expect_model(index, SmallTransformer)
    return scan_checkpoint(model, addition_of(history), seed=index, extractor=history.extractor)


def scan_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> CheckpointScan:
    """Keep and remove at every rank of one model at a checkpoint."""
    return _scan(history, epoch, index, history.arm_at(epoch, arm))


def necessary_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> RankChoice:
    """r_nec: smallest rank whose removal leaves at most the published 2 / p."""
    return necessary_rank(scan_at(history, epoch, index, arm).core.remove, 2 / addition_of(history).modulus)


def sufficient_at(history: RunHistory, epoch: int, index: int, arm: str | None = None) -> RankChoice:
    """r_suf: smallest rank whose keeping is within the published 1e-3 of the whole model."""
    scan = scan_at(history, epoch, index, arm).core
    return sufficient_rank(scan.keep, scan.base, TOLERANCE)


@dataclass(frozen=True)
class CheckpointScan:
    """Keep and remove at every rank of one model, on all held-out pairs.

    Attributes:
        core: ranks of the core, 1 to the smallest numerical rank of the cores of the three parts.
        random: ranks of nested random subspaces, 1 to the state's width: the control.
    """

    core: RankScan
    random: RankScan


@one_thread()
def scan_checkpoint(
    model: SmallTransformer, task: ModularAddition, *, seed: int = 0, extractor: Extractor = extract_core
) -> CheckpointScan:
    """Scan a model on all held-out pairs, each part of them with a core extracted from another part.

    A rank at which a curve first crosses a bound is as uncertain as the curve: so all pairs count, and none is judged
    by a core that saw it. The model runs once, on the last position alone.

    Args:
        seed: the model's number, which chooses the random subspaces.

    Raises:
        Inapplicable: more than a linear head follows the site.
    """
    batches, parts = held_out_states(model, task)
    weight, bias = linear_head(model, batches[0], f"model {seed}")
    sensitivities = head_sensitivities(weight)
    scans: dict[str, list[RankScan]] = {"core": [], "random": []}
    for place, part in enumerate(parts):
        core = extractor(part, sensitivities, rank=Full())
        random = core.with_basis(random_frames(core.width, core.width, 1, torch.Generator().manual_seed(seed))[0])
        judged = batches[place - 1]  # evaluation, for a core from extraction
        require_disjoint(batches[place].split.value, judged)
        targets = torch.from_numpy(judged.targets)[:, -1]
        for name, basis in (("core", core), ("random", random)):
            scans[name].append(rank_scan(parts[place - 1], targets, weight, bias, basis))
    return CheckpointScan(_pooled(scans["core"]), _pooled(scans["random"]))


def _pooled(scans: Sequence[RankScan]) -> RankScan:
    """Scans of different samples as one, up to the smallest number of ranks."""
    ranks = min(len(scan.keep_hits) for scan in scans)
    return RankScan(
        torch.cat([scan.base_hits for scan in scans]),
        torch.cat([scan.keep_hits[:ranks] for scan in scans], dim=1),
        torch.cat([scan.remove_hits[:ranks] for scan in scans], dim=1),
    )


def held_out_states(model: SmallTransformer, task: ModularAddition) -> tuple[list[Batch], tuple[Tensor, ...]]:
    """All pairs of each held-out split, and their states (n, d) below the head at the last position."""
    batches = [task.draw(split, task.size(split)) for split in HELD_OUT]
    states = last_states(model, torch.from_numpy(np.concatenate([batch.inputs for batch in batches])))
    return batches, states.split([len(batch.inputs) for batch in batches])


def linear_head(model: SmallTransformer, batch: Batch, name: str) -> tuple[Tensor, Tensor]:
    """Weight (v, d) and bias (v), float64, of a model's head, where a run on a batch shows that nothing follows it.

    Raises:
        Inapplicable: more than a linear head follows the site, with the model's name.
    """
    return find_tail(model, find_sites(model).site(-1), torch.from_numpy(batch.inputs)).linear_map(name)


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
