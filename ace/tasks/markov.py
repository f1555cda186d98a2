"""Observed Markov chains: predict the next state. The published circulant chain and the low-rank chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ace.arrays import Array, Complex
from ace.check import check_count, check_fraction
from ace.errors import InputError
from ace.tasks.base import Batch, Split, Task, check_transition, sample_chain, stationary


@dataclass(frozen=True, eq=False)
class MarkovChain(Task):
    """Sequences of a stationary Markov chain.

    Attributes:
        name: shown in tables and provenance.
        transition: (s, s) row-stochastic, irreducible.
        length: states in a sequence; the model sees length - 1 and predicts length - 1.
    """

    name: str
    transition: Array
    length: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "transition", check_transition(self.transition))
        check_count("length", self.length, smallest=2)

    @property
    def vocabulary(self) -> int:  # type: ignore[override]
        """Number of states, one token each."""
        return len(self.transition)

    @property
    def eigenvalues(self) -> Complex:  # type: ignore[override]
        """Eigenvalues of the chain other than the stationary 1, largest modulus first."""
        values = np.linalg.eigvals(self.transition).astype(np.complex128)
        values = np.delete(values, np.argmin(np.abs(values - 1)))
        return values[np.argsort(-np.abs(values), kind="stable")]

    @property
    def distinct_rows(self) -> int:
        """Number of different next-state distributions: a Bayes-optimal predictor needs one fewer dimension."""
        return len(np.unique(np.round(self.transition, 12), axis=0))

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        """Independent stationary sequences; `predictive` is the transition row of the current state."""
        start = stationary(self.transition)
        path = sample_chain(self.transition, start, sequences, self.length, self.stream(split, seed))
        return Batch(path[:, :-1], path[:, 1:], self.transition[path[:, :-1]], split)


def circulant_chain(states: int = 4, stay: float = 0.75, length: int = 32) -> MarkovChain:
    """The published chain: stay with probability `stay`, otherwise step to the next state on a ring.

    Eigenvalues stay + (1 - stay) exp(2 pi i k / states).
    """
    check_fraction("stay", stay)
    check_count("states", states, smallest=2)
    identity = np.eye(states)
    return MarkovChain("markov", stay * identity + (1 - stay) * np.roll(identity, 1, axis=1), length)


def low_rank_chain(rows: int = 4, copies: int = 2, peak: float = 0.7, length: int = 32) -> MarkovChain:
    """`rows * copies` states with only `rows` distinct next-state distributions.

    State s behaves as its class s mod rows. A class goes with probability `peak` to the next class and otherwise to any
    class alike; within a class the copies are alike. All states look different, but rows - 1 dimensions predict them.
    """
    check_count("rows", rows, smallest=2)
    check_count("copies", copies)
    if not 0 <= peak <= 1:
        raise InputError(f"peak: expected a probability, got {peak}")
    classes = peak * np.roll(np.eye(rows), 1, axis=1) + (1 - peak) / rows
    return MarkovChain("low_rank", np.tile(classes, (copies, copies)) / copies, length)
