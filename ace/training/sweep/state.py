"""Runs of a sweep on their way, as plain tensors: what one process trains, another can go on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from importlib.metadata import version

import torch
from torch import Tensor

from ace.training.sweep.recipe import Run

TRAINED_BY = ("torch", "ace-invariants")  # packages on whose versions the outcome of a run may depend


def versions() -> dict[str, str]:
    """Versions, by name, of the packages `TRAINED_BY` in this process."""
    return {name: version(name) for name in TRAINED_BY}


@dataclass(frozen=True)
class Crossing:
    """The step at which an accuracy first reached its threshold, and the weights' Euclidean norm there."""

    step: int
    norm: float


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        memorised, generalised: of the training pairs and the held-out ones; None where it did not come to that.
        steps: how many were trained; a delay that did not end by then is censored there.
        error: why the run failed, where it did; else "".
    """

    run: Run
    memorised: Crossing | None
    generalised: Crossing | None
    steps: int
    error: str = ""


@dataclass(frozen=True, eq=False)
class StackState:
    """Runs that train in step, after some epochs. Arrays have a row a run; those of one weight decay lie together.

    Attributes:
        runs: of equal `stacks_with`.
        epoch: epochs trained since the start.
        rows: (e, L) weights as a `WeightBuffer` holds them.
        moments: two of (e, L), AdamW's.
        generators: (e, g) states of the generators of batches and dropout.
        memorised, generalised: so far.
        given: whether this is the second training of runs that start from given weights.
        waiting: with these runs and weights (k, L) the second training will begin, once the first has ended.
    """

    runs: tuple[Run, ...]
    epoch: int
    rows: Tensor
    moments: tuple[Tensor, Tensor]
    generators: Tensor
    memorised: tuple[Crossing | None, ...]
    generalised: tuple[Crossing | None, ...]
    given: bool = False
    waiting: tuple[tuple[Run, ...], Tensor] | None = None

    def taken(self, places: Sequence[int]) -> StackState:
        """Some of the runs alone; those that wait stay with them."""
        index = torch.tensor(list(places), dtype=torch.int64)
        first, second = self.moments
        return replace(
            self,
            runs=tuple(self.runs[place] for place in places),
            rows=self.rows[index],
            moments=(first[index], second[index]),
            generators=self.generators[index],
            memorised=tuple(self.memorised[place] for place in places),
            generalised=tuple(self.generalised[place] for place in places),
        )

    def only(self, wanted: Set[Run]) -> StackState | None:
        """The runs among some, those that wait too; None where there are none."""
        state = self.taken([place for place, run in enumerate(self.runs) if run in wanted])
        if self.waiting is not None:
            runs, rows = self.waiting
            places = [place for place, run in enumerate(runs) if run in wanted]
            waiting = (tuple(runs[place] for place in places), rows[places]) if places else None
            state = replace(state, waiting=waiting)
        return state if state.size else None

    def halves(self) -> tuple[StackState, StackState]:
        """Two stacks of half of the runs each; those that wait stay with the first."""
        middle = len(self.runs) // 2
        second = replace(self.taken(range(middle, len(self.runs))), waiting=None)
        return self.taken(range(middle)), second

    def apart(self) -> Iterator[StackState]:
        """Each run in a stack of its own."""
        for run in self.all_runs:
            alone = self.only({run})
            assert alone is not None
            yield alone

    @property
    def all_runs(self) -> tuple[Run, ...]:
        """The runs that train, then those that wait."""
        return self.runs + (self.waiting[0] if self.waiting else ())

    @property
    def size(self) -> int:
        """How many runs are not done."""
        return len(self.all_runs)
