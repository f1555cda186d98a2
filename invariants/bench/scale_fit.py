"""From counted operations on random models to what `ace verify --plan` estimates with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from ace.zoo.plan import amounts, features, load_of, make_plan, memory_of
from ace.zoo.shape import Shape
from ace.zoo.speed import Speed

KINDS = ("blocks", "head", "factors", "calls")


def fitted(record: Mapping[str, Any]) -> dict[str, Any]:
    """Factors of each claim's counts, what an operation costs, seconds that do not grow, and bytes of the libraries.

    The most that a claim may count is its least, times how many times as much all draws, at a site near the bottom,
    took where they were counted.
    """
    models = record["models"]
    shapes = [shape_in(model) for model in models]
    claims: dict[str, dict[str, Any]] = {}
    for name in models[0]["claims"]:
        counted = [model["claims"][name] for model in models]
        least = {kind: _factors(shapes, [one["least"][kind] for one in counted], kind) for kind in KINDS}
        most = {kind: [part * _times(counted, kind) for part in least[kind]] for kind in KINDS}
        claims[name] = {"least": least, "most": most}
    cost, constant = _costs(models)
    for name, one in claims.items():
        one["constant"] = constant[name]
    found: dict[str, Any] = {"schema": 1, "command": "python -m invariants.bench.scale fit"}
    found |= {"claims": claims, "cost": cost, "base": _base(models)}
    return {**found, "error": _error(record, found)}


def _error(record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """In words, how far estimates are from what was measured."""

    def compared(model: Mapping[str, Any]) -> tuple[float, Any]:
        seconds = sum(one["seconds"] for one in model["claims"].values())
        return seconds, make_plan(shape_in(model), default_load(), Speed(**model["speed"]), found)

    ratios, sizes = [], []
    for model in record["models"]:
        seconds, plan = compared(model)
        ratios.append(plan.seconds[0] / seconds)
        sizes.append(plan.peak / model["peak"])
    text = (
        f"how good the estimate is: on the {len(ratios)} random models that it is fitted to {min(ratios):.2f} to"
        f" {max(ratios):.2f} times the time that was measured with controls that settle at once, and"
        f" {min(sizes):.2f} to {max(sizes):.2f} times the memory"
    )
    for name, model in record["real"].items():
        seconds, plan = compared(model)
        least, most = plan.seconds
        text += (
            f"; on {name}, whose time is not among those fitted, {least:.0f} to {most:.0f} s where it took"
            f" {seconds:.0f} (one thread), and {plan.peak / 2**30:.2f} GiB where it took {model['peak'] / 2**30:.2f}"
        )
    return f"{text}. The larger a model, the rougher it is."


def shape_in(model: Mapping[str, Any]) -> Shape:
    """The shape that a record has of a model."""
    return Shape(**{name: value for name, value in model["shape"].items() if name != "architecture"})


def _factors(shapes: Sequence[Shape], counts: Sequence[float], kind: str) -> list[float]:
    """Factors of the terms that a count grows with, none negative, by relative error."""
    if not any(counts):
        return [0.0] * len(features(shapes[0], kind))
    terms = np.array([features(shape, kind) for shape in shapes])
    weight = 1 / np.maximum(np.array(counts), 1e-3 * max(counts))
    scale = np.abs(terms * weight[:, None]).max(axis=0)
    found, _ = nnls(terms * weight[:, None] / scale, np.array(counts) * weight)
    return [float(f) for f in found / scale]


def _times(counted: Sequence[Mapping[str, Any]], kind: str) -> float:
    """How many times as much was counted with all draws, the largest there is; 1 at least."""
    both = [one for one in counted if one["most"] is not None]
    return max([1.0, *(one["most"][kind] / one["least"][kind] for one in both if one["least"][kind] > 0)])


def _costs(models: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """What each kind of operation costs, in units of what `measure_speed` times, and the seconds a claim takes beside.

    Fitted to all claims of all models at once; what does not grow with the model (resampling) is what is left in the
    smallest.
    """
    kinds: tuple[str, ...] = ()
    rows, seconds = [], []
    for model in models:
        speed, width = Speed(**model["speed"]), model["shape"]["width"]
        for one in model["claims"].values():
            parts = amounts(one["least"], width)
            kinds = tuple(parts)
            rows.append([parts[kind] * (speed.operation if kind == "calls" else 1 / speed.flops) for kind in kinds])
            seconds.append(one["seconds"])
    terms, times = np.array(rows), np.array(seconds)
    # No product is faster than the one that the machine's speed is measured by.
    floor = np.array([float(kind == "products") for kind in kinds])
    found, _ = nnls(terms, np.maximum(times - terms @ floor, 0.0))
    found = found + floor
    left = (times - terms @ found).reshape(len(models), -1)
    constant = np.maximum(np.median(left, axis=0), 0.0)
    return dict(zip(kinds, map(float, found), strict=True)), dict(
        zip(models[0]["claims"], map(float, constant), strict=True)
    )


def _base(models: Sequence[Mapping[str, Any]]) -> int:
    """Bytes that Python and its libraries take: with which the worst relative error of the peaks is least."""
    peaks = np.array([model["peak"] for model in models], dtype=float)
    parts = np.array(
        [sum(memory_of(shape_in(model), default_load(), model["speed"]["device"], 0).values()) for model in models]
    )
    found = minimize_scalar(
        lambda base: np.abs((parts + base) / peaks - 1).max(), bounds=(0, peaks.max()), method="bounded"
    )
    return int(found.x)


def default_load() -> Any:
    """What is asked of every model: prompts of natural English."""
    from ace.tasks.by_name import ENGLISH, TASKS

    return load_of(TASKS[ENGLISH])
