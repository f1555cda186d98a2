"""Training runs on which a control of the claims `core.*` lies inside its bound: so that it is one, and can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import ace
from ace.core import Core
from ace.rank import RankRule
from ace.study.tokens import TokenSubject
from ace.tasks import Split
from invariants.contracts.exact import FEATURES, PLACES, Exact, First, Largest, Untrained

SIZES = {Split.EXTRACTION: 200, Split.SELECTION: 200, Split.EVALUATION: 600}
FAR = 20.0  # how much more the second of two axes varies


def runs(kind: Callable[[int], nn.Module], task: ace.Task, **more: Any) -> TokenSubject:
    """Two models of one kind, held against twins that are as well trained unless others are given."""
    settings = {"sites": "readout", "sizes": SIZES, "untrained": lambda k: kind(k + 2), **more}
    return ace.runs_subject("planted", [kind(index) for index in range(2)], task, **settings)


def trained_twins() -> TokenSubject:
    """Twins that are trained do what the models do, and so do the outputs of exact models."""
    return runs(Exact, Largest())


def as_initialised() -> TokenSubject:
    """Twins before training have as many classes to tell and as random subspaces: sizes and overlaps are the same."""
    return runs(Exact, Largest(), untrained=Untrained)


class Steady(Largest):
    """Numbers that carry over from one position to the next by a known factor."""

    carried = 0.5
    eigenvalues = np.array([carried, carried])

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        fresh = self.stream(split, seed).normal(size=(sequences, PLACES, FEATURES))
        numbers = [fresh[:, 0]]
        for place in range(1, PLACES):
            numbers.append(self.carried * numbers[-1] + (1 - self.carried**2) ** 0.5 * fresh[:, place])
        inputs = np.stack(numbers, axis=1)
        return ace.Batch(inputs, inputs[..., :3].argmax(axis=-1), None, split)


def known_steps() -> TokenSubject:
    """Trained twins and outputs step as the task does."""
    return runs(Exact, Steady(), sizes={**SIZES, Split.EVALUATION: 3000})


class Places(Largest):
    """The answer is the place, whatever the numbers are, but for one sequence in fifty."""

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        batch = super().draw(split, sequences, seed)
        answers = np.tile(np.arange(PLACES) % 3, (sequences, 1))
        answers[::50] = batch.targets[::50]
        return ace.Batch(batch.inputs, answers, None, split)


class ByPlace(nn.Module):
    """One state for all places; what is answered hangs on it a little, and on the place."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.readout = nn.Linear(PLACES * FEATURES, PLACES * 3)
        with torch.no_grad():
            self.readout.weight.copy_(0.1 * torch.randn(self.readout.weight.shape, generator=generator))
            self.readout.bias.copy_(5 * torch.eye(3)[torch.arange(PLACES) % 3].flatten())

    def forward(self, numbers: Tensor) -> Tensor:
        found: Tensor = self.readout(numbers.flatten(1))
        return found.unflatten(1, (PLACES, 3))


def answers_by_place() -> TokenSubject:
    """A map fitted to shuffled rows gives the mean state, and that answers by the place as well as any."""
    return runs(ByPlace, Places(), rank=ace.Fixed(1))


# --- two axes, of which the core is one -------------------------------------------------------------------------------
class TwoAxes(nn.Module):
    """The first number along one axis, and that or the second along another that varies far more."""

    def __init__(self, seed: int, copies: bool) -> None:
        super().__init__()
        self.copies, self.readout = copies, nn.Identity()
        self.size = nn.Parameter(torch.tensor(1.0 + seed))

    def forward(self, numbers: Tensor) -> Tensor:
        first, second = numbers[..., 0], numbers[..., 0 if self.copies else 1]
        state = self.readout(torch.stack([self.size * first, FAR * self.size * second, 0.1 * numbers[..., 2]], dim=-1))
        one, other = state[..., 0] / self.size, state[..., 1] / (FAR * self.size)
        if not self.copies:
            return (one * other)[..., None]
        return torch.where(one.abs() >= other.abs(), one, other)[..., None]


class Product(First):
    """The product of the first two numbers."""

    def draw(self, split: Split, sequences: int, seed: int = 0) -> ace.Batch:
        batch = super().draw(split, sequences, seed)
        return ace.Batch(batch.inputs, batch.inputs[..., 0] * batch.inputs[..., 1], None, split)


def first_axis(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """An extractor that gives the first axis whatever else there is."""
    return Core.from_basis(torch.eye(states.shape[1], dtype=torch.float64)[:, :1], states=states)


def one_of_two_copies() -> TokenSubject:
    """Each of two axes suffices, and the core is one of them."""
    return runs(lambda k: TwoAxes(k, copies=True), First(), extractor=first_axis)


def one_of_two_factors() -> TokenSubject:
    """Each of two axes is necessary, and the core is one of them."""
    return runs(lambda k: TwoAxes(k, copies=False), Product(), extractor=first_axis)
