"""A stack of runs in training: weights, optimiser, generators, and the pairs that each run learns and is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from ace.tasks.base import HELD_OUT, Split
from ace.training.buffer import WeightBuffer
from ace.training.ensemble import DropoutMasks, initial_weights, mask_values, stacked_logits
from ace.training.groups import MOMENTS, GroupOptimiser
from ace.training.score import accuracies, mean_losses
from ace.training.seeds import model_seeds
from ace.training.sweep.recipe import PAIR, Run, SweepRecipe
from ace.training.sweep.state import StackState
from ace.training.transformer import without_weights

HEAD = "head."
Data = tuple[Tensor, Tensor]  # inputs (n, 2) and targets (n, 1), or with a first axis for the runs


def started(sweep: SweepRecipe, runs: Sequence[Run], device: str = "cpu") -> StackState:
    """Runs of equal `stacks_with` before their first step."""
    ordered = _in_order(runs)
    return _begun(sweep, ordered, _fresh(sweep, ordered).rows.detach(), device)


def started_from(sweep: SweepRecipe, runs: Sequence[Run], rows: Tensor, device: str = "cpu") -> StackState:
    """Runs before the first step of their second training: all weights but those of the head are given, rows (k, L)."""
    ordered = _in_order(runs)
    fresh = _fresh(sweep, ordered)
    heads = {name: value.detach().clone() for name, value in fresh.weights.items() if name.startswith(HEAD)}
    with torch.no_grad():
        fresh.rows.copy_(rows[[list(runs).index(run) for run in ordered]])
        for name, value in heads.items():
            fresh.weights[name].copy_(value)
    return replace(_begun(sweep, ordered, fresh.rows.detach(), device), given=True)


def _in_order(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Runs of one weight decay side by side, as the optimiser's groups need them."""
    return tuple(sorted(runs, key=lambda run: (run.weight_decay, run.seed, run.split)))


def _fresh(sweep: SweepRecipe, runs: Sequence[Run]) -> WeightBuffer:
    starts = [torch.Generator().manual_seed(model_seeds(sweep.seed, run.seed)[0]) for run in runs]
    return WeightBuffer(initial_weights(sweep.architecture(runs[0]), starts, torch.float32))


def _begun(sweep: SweepRecipe, runs: tuple[Run, ...], rows: Tensor, device: str) -> StackState:
    courses = [model_seeds(sweep.seed, run.seed)[1] for run in runs]
    return StackState(
        runs=runs,
        epoch=0,
        rows=rows,
        moments=(torch.zeros_like(rows), torch.zeros_like(rows)),
        generators=torch.stack([torch.Generator(device).manual_seed(course).get_state() for course in courses]),
        memorised=(None,) * len(runs),
        generalised=(None,) * len(runs),
    )


class StackTrainer:
    """Runs that train in step, taken up from a state.

    What comes of a run does not depend on which others train beside it.

    Attributes:
        epoch, steps: how many are done.
    """

    def __init__(self, sweep: SweepRecipe, state: StackState, device: str = "cpu") -> None:
        first, models = state.runs[0], len(state.runs)
        self._sizes = sweep.architecture(first)
        self._data = _data(sweep, state.runs, device)
        self._pairs = self._data[Split.TRAINING][0].shape[-2]
        self._batch = min(first.batch or self._pairs, self._pairs)
        self.epoch, self.steps = state.epoch, state.epoch * self.steps_an_epoch
        self._generators = [torch.Generator(device) for _ in state.runs]
        for generator, stored in zip(self._generators, state.generators, strict=True):
            generator.set_state(stored.clone())  # a view of a row is read from its storage
        dtype = state.rows.dtype
        shapes = {name: value.shape for name, value in without_weights(self._sizes).state_dict().items()}
        self._buffer = WeightBuffer(
            {name: torch.zeros(models, *shape, dtype=dtype, device=device) for name, shape in shapes.items()}
        )
        with torch.no_grad():
            self._buffer.rows.copy_(state.rows)
        groups = [(len(list(runs)), decay) for decay, runs in groupby(run.weight_decay for run in state.runs)]
        self._optimiser = GroupOptimiser(self._buffer, sweep.optimiser, groups)
        if self.steps:
            step = torch.tensor(float(self.steps), device=device)
            pairs = zip(*(m.to(device, copy=True).split([k for k, _ in groups]) for m in state.moments), strict=True)
            self._optimiser.take_up({"step": step.clone(), **dict(zip(MOMENTS, pair, strict=True))} for pair in pairs)
        values, dropout = mask_values(self._sizes, self._batch, PAIR, 1), self._sizes.dropout
        self._masks = DropoutMasks(models, values, dropout, self._generators, dtype) if dropout else None

    @property
    def steps_an_epoch(self) -> int:
        """Batches that all training pairs make."""
        return -(-self._pairs // self._batch)

    def steps_of_epoch(self) -> Iterator[int]:
        """Train one epoch; after each step, how many are done in all."""
        inputs, targets = self._data[Split.TRAINING]
        orders = torch.stack([torch.randperm(self._pairs, generator=g, device=g.device) for g in self._generators])
        shared = inputs.ndim == 2
        runs = torch.arange(len(orders), device=orders.device)[:, None]
        for begin in range(0, self._pairs, self._batch):
            picked = orders[:, begin : begin + self._batch]
            batch = (inputs[picked], targets[picked]) if shared else (inputs[runs, picked], targets[runs, picked])
            logits = stacked_logits(self._sizes, self._buffer.weights, batch[0], self._masks, scored=1)
            self._buffer.differentiate(mean_losses(logits, batch[1]).sum())
            self._optimiser.step(1.0)
            self.steps += 1
            yield self.steps
        self.epoch += 1

    def accuracy(self, split: Split) -> Tensor:
        """(e) of the pairs of a split without dropout: the training pairs, or for evaluation all held-out ones."""
        return accuracies(self._sizes, self._buffer.weights, *self._data[split]).cpu()

    def norms(self) -> Tensor:
        """(e) Euclidean norm of all weights of each run."""
        return self._buffer.rows.detach().norm(dim=1).cpu()

    def row(self, place: int) -> Tensor:
        """(L) a copy of one run's weights."""
        return self._buffer.rows[place].detach().to("cpu", copy=True)

    def onto(self, state: StackState) -> StackState:
        """The state that it was made from, as it is now; copies on the CPU."""
        first, second = state.moments
        if self.steps:
            groups = self._optimiser.moments
            first, second = (torch.cat([group[name] for group in groups]).to("cpu", copy=True) for name in MOMENTS)
        return replace(
            state,
            epoch=self.epoch,
            rows=self._buffer.rows.detach().to("cpu", copy=True),
            moments=(first, second),
            generators=torch.stack([generator.get_state() for generator in self._generators]),
        )


def _data(sweep: SweepRecipe, runs: Sequence[Run], device: str) -> dict[Split, Data]:
    """Training pairs, and under evaluation all held-out ones; one set for all runs where they share it."""
    shared = all(run.split == "shared" for run in runs)
    tasks = [run.task(sweep.share) for run in (runs[:1] if shared else runs)]
    data = {}
    for name, splits in ((Split.TRAINING, (Split.TRAINING,)), (Split.EVALUATION, HELD_OUT)):
        drawn = [[task.draw(split, task.size(split)) for split in splits] for task in tasks]
        parts = [
            torch.from_numpy(np.stack([np.concatenate([getattr(part, field) for part in one]) for one in drawn]))
            for field in ("inputs", "targets")
        ]
        inputs, targets = (part[0].to(device) if shared else part.to(device) for part in parts)
        data[name] = inputs, targets
    return data
