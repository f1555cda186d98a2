"""Separation and AUC over depth with one axis kept, removed and flipped, by both projectors, beside the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ace.families.agreement.figures.drawing import PROJECTORS, WANTED, headed, legend_below
from ace.families.style import INK, Results

FARTHEST = 2.5  # separations beyond are cut off
ASKED = {"keep": "1: untouched", "remove": "0: gone", "flip": "-1: mirrored"}


def depth_figure(results: Results, subject: str) -> Figure | None:
    """A column for each edit, a line for each model, a band for the rest; None where the record has no such curves."""
    result = results["agreement.depth"]
    models = result["details"].get("by depth", [])
    if not models or any("the rest" not in curves or "blocks" not in curves for curves in models):
        return None
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey="row")
    for column, mode in enumerate(WANTED):
        for row, statistic in enumerate(("separation", "AUC")):
            _panel(panels[row, column], models, mode, statistic)
        panels[0, column].set_title(f"{mode}   (asked for: {ASKED[mode]})", color=INK)
        panels[1, column].set_xlabel("depth of the site, share of all blocks")
    panels[0, 0].set_ylabel("separation, of the model's own")
    panels[1, 0].set_ylabel("AUC")
    low, high = panels[0, 0].get_ylim()
    panels[0, 0].set_ylim(max(low, -FARTHEST), min(high, FARTHEST))
    panels[1, 0].set_ylim(-0.04, 1.04)
    legend_below(figure, panels[0, 0], 7)
    headed(figure, subject, "Where does one axis keep, lose and mirror agreement?", _caption(models), result)
    return figure


def _caption(models: list[dict[str, Any]]) -> str:
    rest = models[0]["the rest"]
    each = " each, the widest of all models" if len(models) > 1 else ""
    alone = [curves["the rest"]["own AUC"] for curves in models if "own AUC" in curves["the rest"]]
    own = f" (AUC there without edit {np.mean(alone):.2f})" if alone else ""
    lines = f"{len(models)} models, a line each; " if len(models) > 1 else ""
    return (
        f"{lines}rank 1, on {models[0]['prompts']} prompts; the rest, at the dots: 5th to 95th percentile of"
        f" {rest['draws']} draws{each}, on {rest['prompts']} prompts{own}"
    )


def _panel(axis: Axes, models: list[dict[str, Any]], mode: str, statistic: str) -> None:
    own = float(np.mean([curves["AUC"] for curves in models]))
    wanted = WANTED[mode] if statistic == "separation" else {"keep": own, "remove": 0.5, "flip": 1 - own}[mode]
    axis.axhline(wanted, color=INK, lw=0.8, ls=":", label="asked for")
    for projector, color, line in PROJECTORS:
        _band(axis, models, projector, mode, statistic, color)
        for number, curves in enumerate(models):
            values = curves[projector][mode if statistic == "separation" else f"{mode}, AUC"]
            label = None if number else f"the core, {projector}"
            axis.plot(_depth(curves, curves["sites"]), values, color=color, ls=line, lw=1.3, label=label)
            chosen = curves[projector]["chosen"]
            axis.plot(
                _depth(curves, [chosen]),
                values[curves["sites"].index(chosen)],
                ls="",
                marker="o",
                ms=6,
                mfc="white",
                mec=color,
                label=None if number else f"site chosen, {projector}",
            )


def _depth(curves: dict[str, Any], sites: list[int]) -> list[float]:
    return [site / curves["blocks"] for site in sites]


def _band(axis: Axes, models: list[dict[str, Any]], projector: str, mode: str, statistic: str, color: str) -> None:
    """The rest of all models, at the sites where all have it: from the lowest to the highest of their bands."""
    sites = sorted(set.intersection(*(set(curves["the rest"]["sites"]) for curves in models)))
    ends: dict[int, list[list[float]]] = {site: [] for site in sites}
    for curves in models:
        rest = curves["the rest"]
        for site, band in zip(rest["sites"], rest.get(statistic, {}).get(projector, {}).get(mode, []), strict=False):
            if site in ends:
                ends[site].append(band)
    if not sites:
        return
    depth = _depth(models[0], sites)
    low, high = ([edge(np.array(ends[site])[:, k]) for site in sites] for k, edge in enumerate((np.min, np.max)))
    axis.fill_between(depth, low, high, color=color, alpha=0.18, lw=0, label=f"the rest, {projector}")
    for end in (low, high):
        axis.plot(depth, end, ls="", marker=".", ms=3, color=color, alpha=0.7)
