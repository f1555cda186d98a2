"""Trains the four models in half a minute: `python train.py [FOLDER]`. Weights go into FOLDER/INDEX.safetensors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from models import KINDS, fresh
from safetensors.torch import save_file
from task import SCORED, BracketDepth
from torch import nn

import ace

WEIGHTS = Path(__file__).with_name("weights")
STEPS, BATCH, RATE = 500, 128, 3e-3


def train(index: int, steps: int = STEPS) -> nn.Module:
    """One model, with batches of its own: the same arguments give the same weights on the same machine."""
    model, task = fresh(index), BracketDepth()
    batch = task.draw(ace.Split.TRAINING, steps * BATCH, seed=index)
    inputs, targets = (torch.from_numpy(part).split(BATCH) for part in (batch.inputs, batch.targets))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for given, wanted in zip(inputs, targets, strict=True):
        logits = model(given)[:, -SCORED:]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model


def save(model: nn.Module, file: Path) -> None:
    """Write a model's weights whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    save_file(model.state_dict(), partial)
    partial.replace(file)


def main(folder: Path = WEIGHTS, steps: int = STEPS) -> None:
    """Train every model whose weights are not in the folder yet."""
    for index, kind in enumerate(KINDS):
        file = folder / f"{index}.safetensors"
        if not file.exists():
            save(train(index, steps), file)
            sys.stdout.write(f"{file}: {kind.__name__}, {steps} steps\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
