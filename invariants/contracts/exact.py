"""Models that solve a task of numbers exactly, without training: tests of what is said about anyone's own runs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import ace

FEATURES, CLASSES, PLACES = 6, 3, 4


class Largest(ace.Task):
    """Of six numbers at each of four positions (n, 4, 6): which of the first three is largest, by one (n, 4)."""

    name = "largest"

    def draw(self, split: ace.Split, sequences: int, seed: int = 0) -> ace.Batch:
        numbers = self.stream(split, seed).normal(size=(sequences, PLACES, FEATURES))
        numbers[..., CLASSES:] *= 0.3
        largest = numbers[..., :CLASSES].argmax(axis=-1)
        return ace.Batch(numbers + np.eye(FEATURES)[largest], largest, None, split)


class First(Largest):
    """The first of the numbers itself: targets (n, 4) are numbers, scored by their squared error."""

    name = "first"
    logits = False

    def draw(self, split: ace.Split, sequences: int, seed: int = 0) -> ace.Batch:
        numbers = self.stream(split, seed).normal(size=(sequences, PLACES, FEATURES))
        return ace.Batch(numbers, numbers[..., 0], None, split)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -(outputs[..., 0] - targets).square().mean(dim=1)

    def chance(self, batch: ace.Batch) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return -((batch.targets - batch.targets.mean()) ** 2).mean(axis=1)


class Exact(nn.Module):
    """Numbers lifted at random to a wider state, of which the first `answers` are read out again, place by place."""

    def __init__(self, seed: int, width: int = 16, answers: int = CLASSES) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.lift = nn.Linear(FEATURES, width, bias=False)
        self.readout = nn.Linear(width, answers)
        with torch.no_grad():
            # Orthonormal columns: what is read and what is not are orthogonal, as the published projector has it.
            self.lift.weight.copy_(torch.linalg.qr(torch.randn(width, FEATURES, generator=generator)).Q)
            self.readout.weight.copy_(torch.linalg.pinv(self.lift.weight)[:answers])
            self.readout.bias.zero_()

    def forward(self, numbers: Tensor) -> Tensor:
        found: Tensor = self.readout(self.lift(numbers))
        return found


class Untrained(Exact):
    """The same with a readout of its own."""

    def __init__(self, seed: int, width: int = 16, answers: int = CLASSES) -> None:
        super().__init__(seed + 100, width, answers)
        with torch.no_grad():
            self.readout.weight.copy_(torch.randn(answers, width, generator=torch.Generator().manual_seed(seed)))


class Bent(Exact):
    """More than a linear head above the site `lift`'s output, which is the input of `bend`."""

    def __init__(self, seed: int, width: int = 16, answers: int = CLASSES) -> None:
        super().__init__(seed, width, answers)
        self.bend = nn.Identity()

    def forward(self, numbers: Tensor) -> Tensor:
        return torch.sinh(self.readout(self.bend(self.lift(numbers))))
