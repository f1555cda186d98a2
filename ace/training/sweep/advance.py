"""Train a stack for a while, and find the very step at which each run memorises and generalises.

Accuracies are looked at every few epochs. Where one has reached the threshold since the last look, the run is trained
again from its state at that look, and asked after every step. So the step is found from
which an evaluation at every step would count, were it to leave out accuracies that reach the threshold and are below it
again at the next look. A run that is done leaves
the stack.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ace.machine import processor
from ace.tasks.base import Split
from ace.threads import threads as torch_threads
from ace.training.sweep.recipe import SweepRecipe
from ace.training.sweep.stack import StackTrainer, started_from
from ace.training.sweep.state import Crossing, Outcome, StackState, versions

ASKED = (Split.TRAINING, Split.EVALUATION)  # what is memorised, and what shows that a run generalised


@dataclass(frozen=True)
class Slice:
    """Some seconds of a stack's training.

    Attributes:
        state: after them; None where no run is left.
        outcomes: of the runs that came to an end.
        versions: of what trained, by name, which on another machine may be others than here.
        processor: that it trained on.
    """

    state: StackState | None
    outcomes: tuple[Outcome, ...]
    versions: Mapping[str, str] = field(default_factory=versions)
    processor: str = field(default_factory=processor)


def advance(
    sweep: SweepRecipe, state: StackState, seconds: float, *, device: str = "cpu", threads: int | None = None
) -> Slice:
    """Train a stack for some seconds, and at least to the next look.

    Args:
        threads: of this process while it trains; None leaves them as they are.
    """
    end = time.perf_counter() + seconds
    outcomes: list[Outcome] = []
    left: StackState | None = state
    if not state.runs and state.waiting is not None:  # all others of its stack are done
        left = state = started_from(sweep, *state.waiting, device)
    with nullcontext() if threads is None else torch_threads(threads):
        trainer = StackTrainer(sweep, state, device)
        while left is not None:
            state = left
            seen, parked = _to_next_look(sweep, state, trainer, device)
            left, done = _sorted_out(sweep, seen, parked, trainer.steps, device)
            outcomes += done
            if time.perf_counter() >= end:
                break
            if left is not None and left is not seen:
                trainer = StackTrainer(sweep, left, device)
    return Slice(left, tuple(outcomes))


def _to_next_look(
    sweep: SweepRecipe, before: StackState, trainer: StackTrainer, device: str
) -> tuple[StackState, dict[int, Tensor]]:
    """The state at the next look, with what was found on the way, and weights by place of runs that are to go on anew.

    A look comes after so many epochs, or at the first epoch's end past the limit.
    """
    for _ in range(sweep.every):
        for _ in trainer.steps_of_epoch():
            pass
        if trainer.steps >= sweep.limit:
            break
    seen = trainer.onto(before)
    over = {split: trainer.accuracy(split) >= sweep.threshold for split in ASKED}
    finite = seen.rows.isfinite().all(dim=1)
    found = {Split.TRAINING: list(seen.memorised), Split.EVALUATION: list(seen.generalised)}
    crossed = {
        split: [k for k, one in enumerate(found[split]) if one is None and over[split][k] and finite[k]]
        for split in ASKED
    }
    parked: dict[int, Tensor] = {}
    places = sorted({place for split in ASKED for place in crossed[split]})
    if places:
        again = StackTrainer(sweep, before.taken(places), device)
        _replay(sweep, again, places, crossed, found, parked, seen)
    return replace(seen, memorised=tuple(found[Split.TRAINING]), generalised=tuple(found[Split.EVALUATION])), parked


def _replay(
    sweep: SweepRecipe,
    again: StackTrainer,
    places: Sequence[int],
    crossed: dict[Split, list[int]],
    found: dict[Split, list[Crossing | None]],
    parked: dict[int, Tensor],
    seen: StackState,
) -> None:
    """Fill in `found`, and `parked` with the weights at which a run generalised that will start from them."""
    while any(found[split][place] is None for split in ASKED for place in crossed[split]):
        for step in again.steps_of_epoch():
            at_end = again.epoch == seen.epoch - 1 and step == (again.epoch + 1) * again.steps_an_epoch
            for split in ASKED:
                missing = [place for place in crossed[split] if found[split][place] is None]
                if not missing:
                    continue
                over, norms = again.accuracy(split) >= sweep.threshold, again.norms()
                for place in missing:
                    k = places.index(place)
                    # The last step is the look itself, where it was over the threshold.
                    if over[k] or at_end:
                        found[split][place] = Crossing(step, float(norms[k]))
                        if split is Split.EVALUATION and seen.runs[place].start == "given" and not seen.given:
                            parked[place] = again.row(k)


def _sorted_out(
    sweep: SweepRecipe, seen: StackState, parked: dict[int, Tensor], steps: int, device: str
) -> tuple[StackState | None, list[Outcome]]:
    """The runs that go on, the state as it was where all do, and outcomes of those that do not."""
    finite = seen.rows.isfinite().all(dim=1)
    done, keep = [], []
    for place, run in enumerate(seen.runs):
        first, second = seen.memorised[place], seen.generalised[place]
        over = steps >= sweep.limit
        error = "" if finite[place] else f"expected finite weights, got NaN or infinity within {steps} steps"
        if not error and over and run.start == "given" and not seen.given and second is None:
            error = f"did not generalise in {steps} steps, so that it leaves no weights to start from"
        waits = run.start == "given" and not seen.given and not error
        if place in parked:
            continue
        if error or over or (first is not None and second is not None and not waits):
            done.append(Outcome(run, first, second, steps, error))
        else:
            keep.append(place)
    if len(keep) == len(seen.runs):
        return seen, done
    left = seen.taken(keep)
    if parked:
        runs, rows = seen.waiting or ((), seen.rows[:0])
        added = tuple(seen.runs[place] for place in parked)
        left = replace(left, waiting=(runs + added, torch.cat([rows, torch.stack(list(parked.values()))])))
    if left.runs:
        return left, done
    return (started_from(sweep, *left.waiting, device) if left.waiting else None), done
