"""A weight-decay sweep of the published width: stacks of runs, and one run after another asked at every step."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ace.tasks.base import HELD_OUT, Split
from ace.training.ensemble import initial_weights, member
from ace.training.sweep.recipe import Run, SweepRecipe, read_sweep
from ace.training.sweep.run import run_sweep
from ace.training.sweep.stack import StackTrainer, started
from invariants.bench.cases import Ways

RECIPE = Path(__file__).parents[2] / "fixtures" / "sweeps" / "grokking-paper.toml"
STACK = 6
WAYS = (f"stack of {STACK}", "asked at every step")
EPOCHS = 10  # of a stack; one run takes as many steps as all of its runs together
LIMIT = 300  # steps of each run, where all runs of the sweep are timed


def ways() -> Ways:
    """As many steps of single runs each way, with the evaluations that either needs."""
    sweep = read_sweep(RECIPE)
    runs = [run for run in sweep.parts["decays"].runs() if run.seed == 0]
    works = (
        lambda: stacked(sweep, runs[:STACK], EPOCHS),
        lambda: one_by_one(sweep, runs[0], EPOCHS * STACK),
    )
    return dict(zip(WAYS, works, strict=True))


def whole() -> dict[str, float]:
    """Way -> seconds of wall time a step of a run: all 72 runs by every core, and one run by as many threads."""
    sweep = read_sweep(RECIPE)
    decays = replace(sweep, parts={"decays": sweep.parts["decays"]}, limit=LIMIT)
    batches = -(-decays.runs[0].task(sweep.share).size(Split.TRAINING) // decays.runs[0].batch)
    with tempfile.TemporaryDirectory() as folder:
        started_at = time.perf_counter()
        table = run_sweep(decays, Path(folder, "table.jsonl"))
        together = (time.perf_counter() - started_at) / sum(outcome.steps for outcome in table.outcomes)
    started_at = time.perf_counter()
    one_by_one(decays, decays.runs[0], EPOCHS)
    return {f"{len(decays.runs)} runs": together, WAYS[1]: (time.perf_counter() - started_at) / (EPOCHS * batches)}


def stacked(sweep: SweepRecipe, runs: list[Run], epochs: int) -> None:
    """Train runs as one stack; they are looked at once, as after every 20 epochs in a sweep."""
    trainer = StackTrainer(sweep, started(sweep, runs))
    for _ in range(epochs):
        for _ in trainer.steps_of_epoch():
            pass
    for split in (Split.TRAINING, Split.EVALUATION):
        trainer.accuracy(split)


def one_by_one(sweep: SweepRecipe, run: Run, epochs: int) -> None:
    """Train one model, and evaluate it on all pairs after every step."""
    model = member(
        sweep.architecture(run),
        initial_weights(sweep.architecture(run), [torch.Generator().manual_seed(0)], torch.float32),
        0,
    ).requires_grad_(True)
    adamw = torch.optim.AdamW(
        model.parameters(), lr=sweep.optimiser.learning_rate, weight_decay=run.weight_decay, fused=True
    )
    task = run.task(sweep.share)

    def pairs(*splits: Split) -> tuple[Tensor, Tensor]:
        drawn = [task.draw(split, task.size(split)) for split in splits]
        inputs, targets = (np.concatenate([getattr(one, name) for one in drawn]) for name in ("inputs", "targets"))
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    learnt, held = pairs(Split.TRAINING), pairs(*HELD_OUT)
    for _ in range(epochs):
        for picked in torch.randperm(len(learnt[0])).split(run.batch or len(learnt[0])):
            model.train()
            loss = functional.cross_entropy(model(learnt[0][picked])[:, -1], learnt[1][picked, 0])
            adamw.zero_grad()
            loss.backward()
            adamw.step()
            model.eval()
            with torch.no_grad():
                for inputs, targets in (learnt, held):
                    float((model(inputs)[:, -1].argmax(dim=-1) == targets[:, 0]).float().mean())
