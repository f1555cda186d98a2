"""Models and tasks with one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import ace
from ace.tasks import Split, circulant_chain
from invariants.contracts.exact import CLASSES, FEATURES, PLACES, Exact, Largest

SIZES = {Split.EXTRACTION: 150, Split.SELECTION: 150, Split.EVALUATION: 400}


# --- fake models ------------------------------------------------------------------------------------------------------
class Constant(Exact):
    """The same logits whatever is asked, but for what rounding would leave."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        with torch.no_grad():
            self.readout.weight.mul_(1e-6)
            self.readout.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))


class Bypass(Exact):
    """Answers that the inputs give away, beside a state that hardly counts."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers) * 0.01 + numbers[..., :CLASSES]


class Blind(Exact):
    """Answers that the inputs give away; the state is computed and not read."""

    def forward(self, numbers: Tensor) -> Tensor:
        super().forward(numbers)
        return numbers[..., :CLASSES] * 2.0


class Memorised(Exact):
    """Right on the sequences of one split, and a guess elsewhere."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        batch = Largest().draw(Split.TRAINING, 200)
        self.known = {row.astype(np.float32).tobytes() for row in batch.inputs}

    def forward(self, numbers: Tensor) -> Tensor:
        known = torch.tensor([row.numpy().tobytes() in self.known for row in numbers])
        guess = torch.roll(numbers, 3, dims=-1)  # of what has nothing to do with it
        return super().forward(torch.where(known[:, None, None], numbers, guess))


class Restless(Exact):
    """Something else each time."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers + torch.randn_like(numbers))


class Broken(Exact):
    """A weight that is not a number."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        with torch.no_grad():
            self.lift.weight[0, 0] = torch.nan


class Deep(Exact):
    """The same answers by a state that is turned between two sites."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        generator = torch.Generator().manual_seed(seed + 50)
        turn = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
        self.turn = nn.Linear(16, 16, bias=False)
        with torch.no_grad():
            self.turn.weight.copy_(turn)
            self.readout.weight.copy_(self.readout.weight @ turn.T)

    def forward(self, numbers: Tensor) -> Tensor:
        found: Tensor = self.readout(self.turn(self.lift(numbers)))
        return found


# --- tasks ------------------------------------------------------------------------------------------------------------
class Changed(Largest):
    """The task with its answers changed, or its chance level."""

    def __init__(
        self,
        answers: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] = lambda targets: targets,
        chance: float | None = None,
    ) -> None:
        self.answers, self.level = answers, chance

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        batch = super().draw(split, sequences, seed)
        return replace(batch, targets=self.answers(batch.targets))

    def chance(self, batch: ace.Batch) -> np.ndarray[Any, np.dtype[np.float64]]:
        return super().chance(batch) if self.level is None else np.full(len(batch.inputs), self.level)


class OneSplit(Largest):
    """All splits are the same."""

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        return replace(super().draw(Split.TRAINING, sequences, seed), split=split)


class Neighbours(Largest):
    """A finite task, the first row of whose evaluation split is the last of its extraction split."""

    def size(self, split: Split) -> int | None:
        return SIZES[split]

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        numbers = np.random.default_rng(0).normal(size=(1000, PLACES, FEATURES))
        first = {Split.EXTRACTION: 0, Split.SELECTION: 600, Split.EVALUATION: 149}[split]
        inputs = numbers[first : first + sequences]
        return ace.Batch(inputs, inputs[..., :CLASSES].argmax(axis=-1), None, split)


def shuffled(targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows in another order."""
    return np.random.default_rng(0).permutation(targets)


CHAIN = circulant_chain(length=6)


class Chain(type(CHAIN)):  # type: ignore[misc]
    """A Markov chain, with one thing wrong."""

    def __init__(self, change: Callable[[ace.Batch], ace.Batch]) -> None:
        self.__dict__.update(CHAIN.__dict__)
        self.change = change

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        return self.change(CHAIN.draw(split, sequences, seed))


def overconfident(batch: ace.Batch) -> ace.Batch:
    """An oracle that is surer than it should be."""
    assert batch.predictive is not None
    power = batch.predictive**2
    return replace(batch, predictive=power / power.sum(axis=-1, keepdims=True))


def shifted(batch: ace.Batch) -> ace.Batch:
    """Targets one step too early."""
    return replace(batch, targets=batch.inputs)
