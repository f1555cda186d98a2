"""Agreement along one axis, from the results' own details: by depth, as a knob, by dose, and in generated text."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ace.families.style import CONTROL, CORE, GREY, INK, TRUE, Result, Results, title

CLAIMS = (
    "agreement.sufficiency",
    "agreement.necessity",
    "agreement.flip",
    "agreement.mirror",
    "agreement.depth",
    "agreement.knob",
    "agreement.dose",
    "agreement.generation",
)
FAMILY_CLAIMS = ("agreement.scales",)
MODES = (("keep", CORE, "s"), ("remove", CONTROL, "v"), ("flip", TRUE, "^"))
PROJECTORS = (("oblique", "-", 1.4, 4), ("orthogonal", ":", 1.0, 0))
NUMBERS = (("singular", CORE), ("plural", CONTROL))
LINE = 64


def agreement_figure(results: Results, subject: str) -> Figure:
    """Separation by depth for each seed, contrast against core coordinate, dose, and text clean and flipped."""
    seeds = len(results["agreement.depth"]["details"]["by depth"])
    figure = Figure(figsize=(11, 11.5), layout="constrained")
    depths, knobs, texts = np.ravel(np.asarray(figure.subfigures(3, 1, height_ratios=[1, 1, 1.05])))
    for index, axis in enumerate(np.atleast_1d(depths.subplots(1, seeds, sharey=True))):
        _depth(axis, results["agreement.depth"], index)
    depths.suptitle(_headline(results, "Does one axis keep, lose and invert agreement?", CLAIMS[:5]), **_HEADLINE)
    left, right = knobs.subplots(1, 2)
    _knob(left, results["agreement.knob"], 0)
    _dose(right, results["agreement.dose"])
    _texts(texts, results["agreement.generation"])
    figure.suptitle(f"{subject}: subject-verb agreement along one axis", x=0.01, ha="left", color=INK)
    return figure


_HEADLINE = {"x": 0.01, "ha": "left", "color": INK, "fontsize": 9.5}


def _headline(results: Results, question: str, claims: tuple[str, ...]) -> str:
    return question + "  " + ", ".join(f"{claim.partition('.')[2]}: {results[claim]['verdict']}" for claim in claims)


def _depth(axis: Axes, result: Result, seed: int) -> None:
    """Separation under the three edits over depth, by both projectors, and where the selection split chose to edit."""
    curves = result["details"]["by depth"][seed]
    for projector, line, thickness, size in PROJECTORS:
        for mode, color, marker in MODES:
            label = f"{mode}, {projector}"
            axis.plot(
                curves["depth"],
                curves[projector][mode],
                color=color,
                ls=line,
                marker=marker,
                ms=size,
                lw=thickness,
                label=label,
            )
    for level in (-1.0, 0.0, 1.0):
        axis.axhline(level, color=GREY, lw=0.6)
    for place, line in (("chosen", "--"), ("chosen below the top", ":")):
        axis.axvline(curves["depth"][curves["oblique"][place]], color=GREY, lw=0.8, ls=line, label=place)
    axis.set(xlabel="relative depth of the site", ylim=(-1.6, 1.9))
    if seed == 0:
        axis.set_ylabel("separation: 1 untouched, 0 gone, -1 mirrored")
        axis.legend(loc="upper left", handlelength=2.2, ncols=2, fontsize=6)
    axis.set_title(f"seed {seed}", color=INK)


def _knob(axis: Axes, result: Result, seed: int) -> None:
    points = result["details"]["points"][seed]
    label = np.array(points["label"])
    for number, (name, color) in enumerate(NUMBERS):
        rows = label == number
        where = np.array(points["coordinate"])[rows]
        axis.scatter(where, np.array(points["contrast"])[rows], s=9, c=color, linewidths=0, label=name)
        axis.scatter(where, np.array(points["flipped"])[rows], s=9, facecolors="none", edgecolors=color, linewidths=0.6)
    axis.scatter([], [], s=12, facecolors="none", edgecolors=GREY, label="with the axis flipped")
    axis.axhline(0, color=GREY, lw=0.6)
    axis.set(xlabel=f"core coordinate, seed {seed}", ylabel="contrast, nats")
    axis.legend(loc="best", handlelength=1)
    title(axis, "Is the contrast affine in the coordinate?", result)


def _dose(axis: Axes, result: Result) -> None:
    strengths = result["details"]["strengths"]
    for seed, curve in enumerate(result["details"]["curves"]):
        for name, color in NUMBERS:
            line = ("-", "--", ":", "-.")[seed % 4]
            label = name if seed == 0 else None
            axis.plot(strengths, curve[name], color=color, ls=line, marker="o", ms=3, lw=1.1, label=label)
    axis.axhline(0, color=GREY, lw=0.6)
    axis.axvline(0, color=GREY, lw=0.6, ls=":")
    axis.set(xlabel="strength: 1 clean, 0 removed, -1 flipped", ylabel="mean contrast, nats")
    axis.invert_xaxis()
    axis.legend(loc="best", handlelength=2)
    title(axis, "Does it follow the strength?", result)


def _texts(figure: SubFigure, result: Result) -> None:
    """The first generated texts of the first seed, clean beside flipped."""
    details = result["details"]["seeds"][0]
    shares = details["share"]
    axis = figure.subplots()
    axis.axis("off")
    for column, kind in enumerate(("clean", "flipped")):
        heading = f"{kind}: {100 * shares[kind]:.0f} % of copulas agree"
        axis.text(0.5 * column, 1.0, heading, va="top", color=INK, fontsize=9, weight="bold", transform=axis.transAxes)
        for row, text in enumerate(details["texts"][kind][:3]):
            wrapped = textwrap.fill(text, LINE).replace("$", r"\$")
            axis.text(
                0.5 * column, 0.9 - 0.31 * row, wrapped, va="top", color=INK, fontsize=8.5, transform=axis.transAxes
            )
    figure.suptitle(f"Does number turn all through generated text?  generation: {result['verdict']}", **_HEADLINE)


def scales_figure(results: Results, subject: str) -> Figure:
    """Core coordinates of every two scales on the same prompts."""
    details = results["agreement.scales"]["details"]
    labels, coordinates = np.array(details["labels"]), details["coordinates"]
    names = [name for name in coordinates if name.endswith("seed 0")]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axis, (first, second) in zip(np.atleast_1d(figure.subplots(1, len(pairs))), pairs, strict=True):
        for number, (name, color) in enumerate(NUMBERS):
            rows = labels == number
            across, up = (np.array(coordinates[model])[rows] for model in (first, second))
            within = np.corrcoef(across, up)[0, 1]
            axis.scatter(across, up, s=9, c=color, linewidths=0, alpha=0.8, label=f"{name}: r = {within:.2f}")
        axis.set(xlabel=first, ylabel=second)
        axis.legend(loc="best", handlelength=1)
    verdict = f"agreement.scales: {results['agreement.scales']['verdict']}"
    figure.suptitle(f"{subject}: do coordinates agree across scales, within each number?  {verdict}", **_HEADLINE)
    return figure


FIGURES = ((CLAIMS, agreement_figure), (FAMILY_CLAIMS, scales_figure))
