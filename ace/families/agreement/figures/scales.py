"""Core coordinates of models of different scales on the same prompts: every pair of models, and the worst pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ace.arrays import Array
from ace.families.agreement.figures.drawing import NUMBERS, headed, legend_below
from ace.families.style import CORE, GREY, INK, TRUE, Result, Results

LONGEST = 34  # characters of a model's name that an axis has room for
STATISTICS = (("Pearson", CORE, "o"), ("Spearman", GREY, "D"))
LABEL = re.compile(r"(?P<first>.+)/(?P<one>\d+) (?P<second>.+)/(?P<two>\d+), (?P<statistic>\w+)")


@dataclass(frozen=True)
class Pair:
    """A statistic of two models' coordinates; `one` and `two` are their seeds."""

    first: str
    one: int
    second: str
    two: int
    statistic: str
    value: float

    @property
    def models(self) -> tuple[str, str]:
        """The names under which the record has their coordinates."""
        return f"{self.first}, seed {self.one}", f"{self.second}, seed {self.two}"


def pairs_of(result: Result) -> dict[tuple[str, str], list[Pair]]:
    """For every two scales, the statistics of all pairs of their models."""
    scales: dict[tuple[str, str], list[Pair]] = {}
    for label, value in zip(result["seeds"], result["values"], strict=True):
        match = LABEL.fullmatch(label)
        if match is not None and value is not None:
            pair = Pair(
                match["first"], int(match["one"]), match["second"], int(match["two"]), match["statistic"], value
            )
            scales.setdefault((pair.first, pair.second), []).append(pair)
    return scales


def worst(pairs: Sequence[Pair], statistic: str = "Pearson") -> Pair:
    """The pair of the least correlation, by Pearson's where there is one: that is what a cloud of points shows."""
    return min([pair for pair in pairs if pair.statistic == statistic] or pairs, key=lambda pair: pair.value)


def scales_figure(results: Results, subject: str) -> Figure | None:
    """Two panels for every two scales: all pairs' correlations, and the worst pair; None without two scales."""
    result = results["agreement.scales"]
    details = result["details"]
    scales = pairs_of(result) if "coordinates" in details else {}
    if not scales:
        return None
    width = min(max(5.5, 3.7 * len(scales)), 14)
    figure = Figure(figsize=(width, 7.2), layout="constrained")
    panels = figure.subplots(2, len(scales), squeeze=False, height_ratios=[1, 1.25])
    for column, pairs in enumerate(scales.values()):
        _correlations(panels[0, column], pairs, result["bound"])
        _cloud(panels[1, column], details["coordinates"], np.array(details["labels"]), worst(pairs))
    panels[0, 0].set_ylabel("correlation over all prompts")
    legend_below(figure, panels[0, 0], 4)
    caption = "above: every pair of models of two scales; below: the pair whose Pearson correlation is least"
    headed(figure, subject, "Do coordinates agree across scales?", caption, result)
    return figure


def _correlations(axis: Axes, pairs: Sequence[Pair], bound: float) -> None:
    """A column for each model of the first scale, a dot in it for each model of the second."""
    seeds = sorted({pair.one for pair in pairs})
    for number, (statistic, color, marker) in enumerate(STATISTICS):
        shift = 0.3 * number - 0.15
        chosen = [pair for pair in pairs if pair.statistic == statistic]
        places = [seeds.index(pair.one) + shift for pair in chosen]
        axis.scatter(places, [pair.value for pair in chosen], s=16, c=color, marker=marker, lw=0, label=statistic)
    least = worst(pairs)
    place = seeds.index(least.one) - 0.15
    axis.scatter([place], [least.value], s=70, facecolors="none", edgecolors=TRUE, label="the worst, drawn below")
    axis.axhline(bound, color=TRUE, lw=0.9, ls="--", label=f"bound {bound:g}")
    axis.set(xticks=range(len(seeds)), xlim=(-0.5, len(seeds) - 0.5))
    axis.set_xticklabels([str(seed) for seed in seeds])
    axis.set_xlabel(f"seed of {least.first[-LONGEST:]}")
    low = min(0.0, *(pair.value for pair in pairs))
    axis.set_ylim(low - 0.08, 1.04)
    axis.set_title(f"with all of {least.second[-LONGEST:]}", color=INK, fontsize=9)


def _cloud(axis: Axes, coordinates: dict[str, list[float]], labels: Array, pair: Pair) -> None:
    first, second = pair.models
    for number, (name, color) in enumerate(NUMBERS):
        rows = labels == number
        across, up = (np.array(coordinates[model])[rows] for model in (first, second))
        within = np.corrcoef(across, up)[0, 1]
        axis.scatter(across, up, s=9, c=color, linewidths=0, alpha=0.8, label=f"{name}: r = {within:.2f}")
    axis.set(xlabel=f"coordinate in {first[-LONGEST:]}", ylabel=f"coordinate in {second[-LONGEST:]}")
    axis.legend(loc="center", handlelength=1)  # between the clouds of the two numbers
    axis.set_title(f"the worst pair, r = {pair.value:.2f} over all", color=INK, fontsize=9)
