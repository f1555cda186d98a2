"""docs/scale.md: how time and memory grow, the estimate beside what was measured, and what large models need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ace.cli.plan import gibibytes
from ace.zoo.plan import REFERENCES, make_plan, on_gpu
from ace.zoo.shape import Shape
from ace.zoo.speed import Speed
from invariants.bench.scale_fit import default_load, shape_in
from invariants.calibration.table import table

HEAD = """# Scale: what verifying a model takes

Written by `python -m invariants.bench.scale fit` from `fixtures/scale.json`, which `measure` and `real` write.

`ace verify --plan MODEL` prints this estimate for any model before anything runs. It reads the configuration alone,
times a matrix product and a small operation on your machine for less than a second, and says for each claim how long
it takes at least (controls settle at once, and the site that is chosen is near the top, as in the models tried) and at
most (every control is drawn to the end, as many untrained twins tried as there may be, and the site near the bottom).

## How it grows

With L blocks of w weights, width d, vocabulary V and n prompts:

- *Time*: products with the blocks' weights, n w L for a pass and n w L^2 where every site is edited; the head, n d V,
  where whole distributions are compared; calls of small operations, L and L^2, which are most of a small model's time.
- *Memory*: the weights, in main memory those of an untrained twin beside them (on a GPU it takes the model's place),
  n L d for states and gradients, n L times keys and values for prompts that are kept, up to 640 MiB and the largest;
  n V for logits, up to 2^26 at a time.

## Estimate and measurement

Processor seconds of all claims on one thread, and the most memory of the process. The estimate is fitted to the random
models (`gpt2` and `llama` are their architectures), with controls that settle at once at a site near the top.
"""
REAL = """Models in *italics* were trained by others. No time of theirs is fitted, but they are no fresh test: how deep
the site lies in a random model is taken from them; the random models' sizes, and two factors of the memory, were chosen
with their figures in sight.
"""
LARGE_HEAD = """## What 8 and 70 billion parameters would need

Not run: the same estimate. There is one engine, PyTorch in one process, on the CPU or on one GPU; nothing spreads a
model over several. The hours are for the thread measured above, {flops:.0f} GFLOP/s of float32 products; divide
them by how many times faster `ace verify --plan` finds your machine.
"""
COLUMNS = ("model", "L", "d", "V", "weights", "seconds", "estimate", "memory, GiB", "estimate, GiB")
LARGE = ("model", "products, 10^15 operations", "CPU, GiB", "GPU, GiB", "fits", "hours, one thread")


def page(record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The whole page, of a record and what was fitted to it."""
    named = [(model["shape"]["architecture"], model) for model in record["models"]]
    named += [(f"*{name}*", model) for name, model in record["real"].items()]
    head = [HEAD, REAL] if record["real"] else [HEAD]
    lines = [*head, *table(COLUMNS, [_row(name, model, found) for name, model in named])]
    speed = Speed(**record["models"][0]["speed"])
    lines += [f"\n{found['error'][0].upper()}{found['error'][1:]}\n", LARGE_HEAD.format(flops=speed.flops / 1e9)]
    lines += table(LARGE, [_large(shape, speed, found) for shape in REFERENCES])
    return "\n".join([*lines, ""])


def _row(name: str, model: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    shape = shape_in(model)
    plan = make_plan(shape, default_load(), Speed(**model["speed"]), found)
    least, most = plan.seconds
    seconds = sum(one["seconds"] for one in model["claims"].values())
    sizes = [str(shape.blocks), str(shape.width), f"{shape.vocabulary:,}", f"{shape.weights / 1e6:.1f} M"]
    figures = [f"{seconds:.0f}", f"{least:.0f} to {most:.0f}", gibibytes(model["peak"]), gibibytes(plan.peak)]
    return [name, *sizes, *figures]


def _large(shape: Shape, speed: Speed, found: Mapping[str, Any]) -> list[str]:
    plan = make_plan(shape, default_load(), speed, found)
    gpu, fits = on_gpu(plan)
    hours = " to ".join(f"{seconds / 3600:,.0f}" for seconds in plan.seconds)
    return [shape.name, f"{plan.flops / 1e15:.2g}", gibibytes(plan.peak), gibibytes(gpu), fits, hours]
