"""`ace verify --plan MODEL`: what it would take, printed before anything is loaded."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.cli import words

if TYPE_CHECKING:
    from ace.zoo.plan import Plan


def run_plan(chosen: argparse.Namespace) -> int:
    """Write the estimate to stdout, in words, or as JSON where `--json -` or a file is asked for.

    Raises:
        AceError: no such model, task, dtype or device.
    """
    import torch

    from ace.check import check_choice, check_device
    from ace.files import write_json
    from ace.model.language import DTYPES
    from ace.zoo.named import ModelSource
    from ace.zoo.plan import REFERENCES, load_of, make_plan
    from ace.zoo.shape import find_shape, find_tokenizer
    from ace.zoo.speed import measure_speed

    device = check_device("device", chosen.device or "cpu")
    dtype = check_choice("dtype", chosen.dtype or "auto", DTYPES)
    asked = ModelSource(chosen.plan, chosen.revision, dtype, task=chosen.task or "")
    shape = find_shape(chosen.plan, revision=chosen.revision, dtype=dtype)
    load = load_of(asked.prompts(), find_tokenizer(chosen.plan))
    start = time.process_time()  # by now all libraries are loaded that a verification loads
    speed = measure_speed(device, getattr(torch, shape.dtype))
    plan = make_plan(shape, load, speed)
    others = [make_plan(other, load, speed) for other in REFERENCES]
    if chosen.json is None:
        sys.stdout.write("".join(f"{line}\n" for line in told(plan, others, start)))
    elif chosen.json == "-":
        words.write_json(as_entries(plan, start))
    else:
        write_json(Path(chosen.json), as_entries(plan, start))
    return 0


def as_entries(plan: Plan, start: float) -> dict[str, Any]:
    """The plan as plain values: bytes and seconds.

    Args:
        start: processor seconds until Python and all libraries are loaded, which no claim's time has.
    """
    return {
        "shape": {**vars(plan.shape), "bytes_each": plan.shape.bytes_each},
        "prompts": vars(plan.load),
        "speed": vars(plan.speed),
        "memory": {**plan.memory, "peak": plan.peak},
        "claims": {name: {"least": least, "most": most} for name, (least, most) in plan.claims.items()},
        "seconds": dict(zip(("least", "most"), plan.seconds, strict=True)),
        "start": start,
        "error": error_of(),
    }


def told(plan: Plan, others: list[Plan], start: float) -> Iterator[str]:
    """The plan in words, line by line; `start` as in `as_entries`."""
    shape, load, speed = plan.shape, plan.load, plan.speed
    yield f"{shape.name}, by its configuration alone, nothing was loaded:"
    yield f"  {shape.weights / 1e6:,.0f} million weights of {shape.bytes_each} bytes ({shape.dtype}),"
    yield f"  {shape.blocks} blocks, width {shape.width}, vocabulary {shape.vocabulary:,}"
    yield (
        f"prompts: {load.extraction} to extract from, {load.selection} to select, {load.evaluation} to evaluate, of"
        f" {load.tokens:.0f} tokens or so{'' if load.counted else ', taking each word for one'}"
    )
    if load.rows > 1:
        yield f"  its tokenizer splits continuations: {load.rows:.1f} positions are run behind a prompt in place of one"
    if not load.counted:
        yield "  no tokenizer lies beside the model; with one that splits words, all takes longer"
    yield (
        f"this machine, timed now: {speed.flops / 1e9:,.0f} GFLOP/s of {speed.dtype} products on {speed.device}"
        f" ({speed.threads} threads), {speed.operation * 1e6:.1f} microseconds a small operation"
    )
    yield ""
    yield f"memory: {gibibytes(plan.peak)} GiB at its peak"
    yield from (f"  {gibibytes(size):>8}  {name}" for name, size in plan.memory.items())
    yield ""
    least, most = plan.seconds
    yield f"time: {duration(least)} (controls settle at once, the site is near the top)"
    yield f"  to  {duration(most)} (every control is drawn to the end, the site is near the bottom)"
    yield f"  beside {duration(start)} of a processor to start, as long as this command took, and what loading takes"
    yield from (f"  {duration(low):>10} to {duration(high):>10}  {name}" for name, (low, high) in plan.claims.items())
    yield ""
    yield from textwrap.wrap(error_of(), 100)
    yield ""
    yield "fits: " + "; ".join(_fits(plan))
    for other in others:
        low, high = (duration(seconds) for seconds in other.seconds)
        yield f"{other.shape.name}, for comparison: {low} to {high} here; {'; '.join(_fits(other))}"


def error_of() -> str:
    """How far the estimate was off where it was compared with a measurement."""
    from ace.zoo.plan import constants

    return str(constants()["error"])


def _fits(plan: Plan) -> Iterator[str]:
    """Where it fits: this machine's memory, one GPU."""
    from ace.zoo.plan import on_gpu

    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield f"CPU, {gibibytes(plan.peak)} of {gibibytes(here)} GiB here: {'yes' if plan.peak < here else 'no'}"
    size, where = on_gpu(plan)
    yield f"CUDA, {gibibytes(size)} GiB: {where}"


def gibibytes(size: float) -> str:
    """Bytes in GiB, with as many digits as an estimate bears."""
    value = size / 2**30
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.0f} h"
