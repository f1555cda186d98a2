"""ACE beside the alternatives: separation with each axis kept, removed and flipped, with intervals, as a picture."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ace.families.agreement.figures.drawing import PROJECTORS, WANTED, headed, legend_below
from ace.families.style import GREY, INK, Results

FARTHEST = 2.5
LANES = (*PROJECTORS, ("onto the readers", GREY, ":"))
ROOM = 0.8  # of a row that its marks take


def methods_figure(results: Results, subject: str) -> Figure | None:
    """A row for each method, a lane in it for each projector and model; None where the record has no such table."""
    result = results["agreement.advantage"]
    models = [seed["rows"] for seed in result["details"].get("seeds", []) if "rows" in seed]
    if not models:
        return None
    methods = list(dict.fromkeys(row["method"] for rows in models for row in rows))
    lanes = [lane for lane in LANES if any(row["projector"] == lane[0] for rows in models for row in rows)]
    height = 1.7 + len(methods) * (0.32 + 0.05 * len(lanes) * len(models))
    figure = Figure(figsize=(11, height), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axis, mode in zip(panels, WANTED, strict=True):
        _panel(axis, models, methods, lanes, mode)
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    legend_below(figure, panels[0], 5)
    sites = ", ".join(str(seed["site"]) for seed in result["details"]["seeds"])
    each = f"; {len(models)} models from top to bottom" if len(models) > 1 else ""
    caption = f"each method's axis at site {sites}: value and 95 % interval{each}"
    headed(figure, subject, "Does ACE find a better axis than others?", caption, result)
    return figure


def _panel(axis: Axes, models: list[Any], methods: list[str], lanes: list[Any], mode: str) -> None:
    axis.axvline(WANTED[mode], color=INK, lw=0.8, ls=":", label="asked for")
    marks = len(lanes) * len(models)
    for lane, (projector, color, _) in enumerate(lanes):
        label: str | None = projector
        for number, rows in enumerate(models):
            offset = ROOM * ((lane * len(models) + number + 0.5) / marks - 0.5)
            for row in rows:
                if row["projector"] == projector:
                    _mark(axis, row[mode], methods.index(row["method"]) + offset, color, label)
                    label = None
    for place in range(len(methods) - 1):
        axis.axhline(place + 0.5, color=GREY, lw=0.4)
    low, high = axis.get_xlim()
    axis.set_xlim(max(low, -FARTHEST), min(high, FARTHEST))
    axis.set_xlabel("separation, of the model's own")
    axis.set_title(mode, color=INK)


def _mark(axis: Axes, shown: list[float], place: float, color: str, label: str | None) -> None:
    """A value with its interval; an arrow at the edge where it lies beyond."""
    value, low, high = shown
    inside = min(max(value, -FARTHEST), FARTHEST)
    marker = "o" if inside == value else "<" if value < 0 else ">"
    axis.plot([low, high], [place, place], color=color, lw=0.9)
    axis.plot(inside, place, ls="", marker=marker, ms=3.5, color=color, label=label)
