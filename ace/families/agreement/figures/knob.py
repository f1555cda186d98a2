"""The contrast of held-out prompts against the core coordinate, by number, with the line of other prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ace.families.agreement.figures.drawing import NUMBERS, headed, legend_below, named, side_by_side
from ace.families.style import GREY, INK, Results


def knob_figure(results: Results, subject: str) -> Figure | None:
    """A panel for each model; None where the record has no points."""
    claims = [results[name] for name in ("agreement.knob", "agreement.knob_within") if name in results]
    details = claims[0]["details"]
    points = details.get("points", [])
    if not points:
        return None
    lines = details.get("lines", [None] * len(points))
    figure, panels = side_by_side(len(points), 4.6)
    for seed, axis in enumerate(panels):
        _panel(axis, points[seed], lines[seed])
        explained = [f"R2 {claims[0]['values'][seed]:.2f}"]
        explained += [f"{result['values'][seed]:.2f} within number" for result in claims[1:] if result.get("values")]
        axis.set_title("\n".join(filter(None, [named(seed, len(points)), ", ".join(explained)])), color=INK, fontsize=9)
    panels[0].set_ylabel("contrast, nats")
    legend_below(figure, panels[0], 3)
    caption = "points: held-out prompts; lines: fitted to others"
    headed(figure, subject, "Is the contrast affine in the coordinate?", caption, *claims)
    return figure


def _panel(axis: Axes, points: dict[str, Any], lines: dict[str, float] | None) -> None:
    label, across = np.array(points["label"]), np.array(points["coordinate"])
    contrast, flipped = np.array(points["contrast"]), np.array(points["flipped"])
    axis.axhline(0, color=GREY, lw=0.6)
    for number, (name, color) in enumerate(NUMBERS):
        rows = label == number
        axis.scatter(across[rows], contrast[rows], s=10, c=color, linewidths=0, label=name)
        axis.scatter(
            across[rows], flipped[rows], s=10, fc="none", ec=color, linewidths=0.5, label=f"{name}, axis flipped"
        )
        if lines is not None and rows.any():
            ends = np.array([across[rows].min(), across[rows].max()])
            fitted = contrast[rows].mean() + lines["slope within"] * (ends - across[rows].mean())
            axis.plot(ends, fitted, color=INK, lw=1.1, ls="--", label=None if number else "fit within a number")
    if lines is not None:
        ends = np.array([across.min(), across.max()])
        axis.plot(ends, lines["intercept"] + lines["slope"] * ends, color=INK, lw=1.1, label="fit to all")
    axis.set_xlabel("core coordinate, units of the state")
