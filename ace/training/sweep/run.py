"""Run a sweep to its end: stacks of runs, shared out to processes for a while each, gathered, stored, shared out again.

This process alone writes files, so that workers may be anywhere. What is stored, in this order: the outcomes of runs
that ended, then the stacks that go on. A crash between the two costs nothing: a run with an outcome is taken out of a
stack that is found again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from ace.check import check_count, check_device
from ace.engine import Engine, Failed, Workers
from ace.errors import ArtifactError, InputError
from ace.files import locked
from ace.training.sweep.advance import Slice, advance
from ace.training.sweep.recipe import Run, SweepRecipe
from ace.training.sweep.stack import started
from ace.training.sweep.state import Outcome, StackState
from ace.training.sweep.table import SweepTable, add_outcomes, begin_table, read_table
from ace.training.sweep.unfinished import Unfinished

SECONDS = 30.0  # that a worker trains before what it has is stored
STACK = 6  # runs a stack on a CPU, where more of them gain little; a GPU takes all that fit together


def run_sweep(
    sweep: SweepRecipe,
    table: Path,
    *,
    engine: Engine | None = None,
    device: str = "cpu",
    resume: bool = True,
    progress: bool = False,
    seconds: float = SECONDS,
    stack: int | None = None,
) -> SweepTable:
    """Train all runs of a sweep whose outcomes are not in the table yet.

    Killed at any moment it goes on from the table and from the stacks stored beside it, in the folder
    `<table>.unfinished`, which is removed at the end, but for stacks of runs that this sweep has not and the table
    neither, as of another part. A run that fails, or kills its worker when it is alone, is recorded with its error and
    stops no other.

    Args:
        table: file of outcomes; see `read_table`.
        engine: where runs train; by default processes of this machine, one a core.
        device: "cpu" or a CUDA device, of every worker. On a GPU one worker takes all.
        resume: False refuses a table that is there already.
        progress: show a bar over runs, with an estimate of the time left.
        seconds: that a worker trains before its work is stored.
        stack: runs that train together; by default 6 on a CPU and all of equal shapes on a GPU.

    Returns:
        the table with all outcomes of the sweep.

    Raises:
        ArtifactError: a table of other settings, unreadable, in use by another sweep, or there without `resume`, or a
            place where no file can be made.
        EngineError: a cluster that ceases to answer, or workers that cannot run this; what is done so far is stored.
        InputError: an engine or device that is not there, or settings out of range.
    """
    kind = check_device("device", device).type
    engine = engine or Engine()
    if kind != "cpu" and engine.kind == "local" and engine.workers is None:
        engine = replace(engine, workers=1)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise InputError(f"seconds: expected a number of at least 0, got {seconds!r}")
    if stack is not None:
        check_count("stack", stack)
    if table.is_dir():
        raise ArtifactError(f"{table}: expected a file for the table, got a folder")
    if table.exists() and not resume:
        raise ArtifactError(f"{table}: expected no table yet, got one; --resume goes on with it")
    with locked(table, "sweep"), engine.open() as workers:
        _run(sweep, table, workers, device, progress, seconds, stack or (STACK if kind == "cpu" else 0))
    return read_table(table)


def _run(
    sweep: SweepRecipe, table: Path, workers: Workers, device: str, progress: bool, seconds: float, size: int
) -> None:
    known = {outcome.run for outcome in begin_table(table, sweep).outcomes}
    wanted = [run for run in sweep.runs if run not in known]
    unfinished = Unfinished(table.with_name(f"{table.name}.unfinished"), sweep, device)
    stacks = unfinished.load(set(wanted))
    begun = {run for stack in stacks for run in stack.all_runs}
    stacks += new_stacks(sweep, [run for run in wanted if run not in begun], size, device)
    with tqdm(total=len(sweep.runs), initial=len(known & set(sweep.runs)), unit="run", disable=not progress) as bar:
        bar.set_description(sweep.name)
        while stacks:
            stacks = spread(stacks, workers.count)
            now, later = stacks[: workers.count], stacks[workers.count :]
            work = partial(_trained, sweep, seconds, device)
            kept: list[StackState] = []
            for stack, result in workers.results(work, now):
                left, outcomes = _settled(stack, result)
                # A stack that failed says nothing of itself: versions and processor are this process's.
                trained = result if isinstance(result, Slice) else Slice(None, ())
                add_outcomes(table, outcomes, device, trained.versions, trained.processor)
                known |= {outcome.run for outcome in outcomes}
                unfinished.replace(stack, left)
                kept += left
                bar.update(len(outcomes))
            stacks = kept + later
    unfinished.remove(known)


def new_stacks(sweep: SweepRecipe, runs: Iterable[Run], size: int, device: str = "cpu") -> list[StackState]:
    """Runs before their first step in stacks of at most `size`, 0 for no limit; what takes longest comes first."""

    def work(run: Run) -> float:
        return run.modulus**2 / max(run.weight_decay, 0.1)

    made = []
    ordered = sorted(runs, key=lambda run: (run.stacks_with, -work(run), run))
    for _, group in groupby(ordered, key=lambda run: run.stacks_with):
        alike = list(group)
        for begin in range(0, len(alike), size or len(alike)):
            made.append(started(sweep, alike[begin : begin + (size or len(alike))], device))
    return sorted(made, key=lambda stack: -max(work(run) for run in stack.runs))


def spread(stacks: list[StackState], workers: int) -> list[StackState]:
    """As many stacks as workers at least, where there are as many runs."""
    spread = list(stacks)
    while len(spread) < workers and max(len(stack.runs) for stack in spread) > 1:
        largest = max(spread, key=lambda stack: len(stack.runs))
        spread.remove(largest)
        spread += largest.halves()
    return spread


def _trained(sweep: SweepRecipe, seconds: float, device: str, stack: StackState) -> Slice:
    """A slice of a stack's training, in a worker."""
    return advance(sweep, stack, seconds, device=device, threads=1 if device == "cpu" else None)


def _settled(stack: StackState, result: Slice | Failed) -> tuple[list[StackState], list[Outcome]]:
    """Stacks to go on with, and outcomes. A stack that failed is tried again run by run, to find whose fault it was."""
    if isinstance(result, Slice):
        return ([] if result.state is None else [result.state]), list(result.outcomes)
    if stack.size > 1:
        return list(stack.apart()), []
    return [], [Outcome(stack.all_runs[0], None, None, 0, result.error)]
