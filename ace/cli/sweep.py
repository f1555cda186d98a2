"""`ace sweep`: the runs of a sweep, on this machine's cores, a GPU or a Dask cluster, resumed after any stop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ace.cli.engines import add_engine_arguments, asked_engine

SUMMARY = "Train the runs of a sweep, and write down when each memorised and generalised."
EXAMPLE = """ace sweep fixtures/sweeps/grokking-compact.toml --out delays.jsonl --resume
  ace sweep sweep.toml --engine dask --scheduler tcp://host:8786 --resume"""
EXITS = "0 all runs ended; 1 some failed, which the table says, or another error; 2 a call that cannot be read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the action takes."""
    parser.add_argument("recipe", type=Path, help="TOML file of the sweep")
    parser.add_argument("--out", type=Path, help="table of outcomes, JSON lines; by default beside the recipe")
    parser.add_argument("--resume", action="store_true", help="go on with a table that is there already")
    add_engine_arguments(parser)
    parser.add_argument("--device", default="cpu", help="of every worker: cpu, the default, or cuda")
    parser.add_argument("--stack", type=int, help="runs that train together (default: 6; on a GPU all of equal shapes)")
    parser.add_argument("--seconds", type=float, help="that a worker trains before its work is stored (default: 30)")
    parser.add_argument("--part", action="append", default=[], help="this part of the sweep alone; may be given again")


def run(chosen: argparse.Namespace, rest: list[str]) -> int:
    """Do it: 0 when all runs ended, 1 where some failed."""
    from dataclasses import replace

    from ace.errors import InputError
    from ace.training.sweep.recipe import read_sweep
    from ace.training.sweep.run import SECONDS, run_sweep

    sweep = read_sweep(chosen.recipe)
    unknown = sorted(set(chosen.part) - set(sweep.parts))
    if unknown:
        raise InputError(f"part: expected some of {', '.join(sweep.parts)}, got {', '.join(unknown)}")
    if chosen.part:
        sweep = replace(sweep, parts={name: sweep.parts[name] for name in chosen.part})
    table = chosen.out or chosen.recipe.with_suffix(".jsonl")
    done = run_sweep(
        sweep,
        table,
        engine=asked_engine(chosen),
        device=chosen.device,
        resume=chosen.resume,
        progress=True,
        seconds=SECONDS if chosen.seconds is None else chosen.seconds,
        stack=chosen.stack,
    ).of(sweep.runs)
    failed = [outcome for outcome in done if outcome.error]
    for outcome in failed:
        sys.stderr.write(f"{outcome.run}: {outcome.error}\n")
    open_runs = sum(outcome.generalised is None and not outcome.error for outcome in done)
    sys.stdout.write(f"{table}: {len(done)} runs, {open_runs} not generalised by the limit, {len(failed)} failed\n")
    return 1 if failed else 0
