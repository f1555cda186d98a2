"""The Markov results of one subject in six panels, from the results' own details."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ace.families.markov.captions import RIVAL, others, words
from ace.families.style import CONTROL, CORE, GREY, INK, TRUE, Drawing, Result, Results, strip, title, unit_circle

CLAIMS = (
    "markov.accuracy",
    "markov.weights",
    "markov.sufficiency",
    "markov.necessity",
    "markov.divergence",
    "markov.alignment",
    "markov.spectrum",
)

WIDTH = 0.14  # of a strip of dots, where several stand side by side


def markov_figure(results: Results, subject: str) -> Figure:
    """Six panels: weights, ablations, overlap, alignment, and the spectrum, whole and magnified."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    axes = figure.subplot_mosaic([["weights", "ablations", "overlap"], ["alignment", "spectrum", "spectrum_zoom"]])
    _weights(axes["weights"], results["markov.weights"])
    _ablations(axes["ablations"], results)
    _overlap(axes["overlap"], results["markov.divergence"])
    _alignment(axes["alignment"], results["markov.alignment"])
    _spectrum(axes["spectrum"], results["markov.spectrum"], zoom=False)
    _spectrum(axes["spectrum_zoom"], results["markov.spectrum"], zoom=True)
    seeds = len(results["markov.accuracy"]["details"]["accuracy"])
    figure.suptitle(f"{subject}: {seeds} independently trained transformers, one chain", x=0.01, ha="left", color=INK)
    return figure


def _weights(axis: Axes, result: Result) -> None:
    count = 1 + max(int(label.split("-")[1]) for label in result["seeds"])
    matrix = np.eye(count)
    for label, value in zip(result["seeds"], result["values"], strict=True):
        i, j = map(int, label.split("-"))
        matrix[i, j] = matrix[j, i] = value
    image = axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(matrix):
        axis.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else INK, fontsize=8)
    axis.set(xticks=range(count), yticks=range(count), xlabel="seed", ylabel="seed")
    axis.figure.colorbar(image, ax=axis, shrink=0.8, label="|cosine| of all weights")
    title(axis, f"Do weights differ? (independent inits: < {result['bound']:.2f})", result)


def _ablations(axis: Axes, results: Results) -> None:
    accuracy, keep, remove = (results[f"markov.{name}"] for name in ("accuracy", "sufficiency", "necessity"))
    base = np.array(accuracy["details"]["accuracy"])
    chance = remove["details"]["chance"]
    columns = {
        "whole": base,
        "core\nkept": base + keep["values"],
        "core\nremoved": np.array(remove["details"]["accuracy after removal"]),
    }
    for place, values in enumerate(columns.values()):
        shift = 0.33 if place else 0.0
        strip(axis, place - shift, values, CORE, None if place else "core, one dot a seed", width=WIDTH)
    kept, removed = (np.array([drawn["nearest"][0] for drawn in claim["rest"]]) for claim in (keep, remove))
    for place, claim, rest, reference, scale in (
        (1, keep, kept, base, 1.0),
        (2, remove, removed, chance, base - chance),
    ):
        first = place == 1
        beside = {name: np.array(values)[:, 0] for name, values in claim.get("beside", {}).items()}
        if RIVAL in beside:
            label = f"{RIVAL} in its place" if first else None
            strip(axis, place - 0.11, reference + scale * beside[RIVAL], TRUE, label, "s", WIDTH)
        for name in others(claim):
            label = "other alternatives" if first and name == others(claim)[0] else None
            strip(axis, place + 0.11, reference + scale * beside[name], GREY, label, "D", WIDTH)
        label = "most favourable random subspace of the rest" if first else None
        strip(axis, place + 0.33, reference + scale * rest, CONTROL, label, "v", WIDTH)
    for level, text in ((accuracy["details"]["oracle accuracy"], "Bayes"), (chance, "chance")):
        axis.axhline(level, color=GREY, lw=0.8, ls="--", zorder=0)
        axis.annotate(text, (-0.52, level), (0, 2.5), textcoords="offset points", va="bottom", color=GREY, fontsize=8)
    axis.set(xticks=range(3), xticklabels=columns, ylabel="accuracy", xlim=(-0.55, 2.6), ylim=(0.15, 1.3))
    axis.set_yticks(np.arange(0.2, 1.01, 0.2))
    axis.legend(loc="upper left", handlelength=1)
    axis.set_title(f"Does the core suffice? {keep['verdict']}\nIs it needed? {remove['verdict']}", color=INK)


def _overlap(axis: Axes, result: Result) -> None:
    low, middle, high = result["details"]["Haar quantiles .001, .5, .999"]
    axis.axhspan(low, high, color=GREY, alpha=0.25, lw=0, label="99.8 % of random subspaces")
    axis.axhline(middle, color=GREY, lw=0.8)
    strip(axis, 0, result["values"], CORE, "trained, one dot a pair")
    strip(axis, 1, result["control_values"]["untrained"], CONTROL, "untrained")
    strip(axis, 2, result["control_values"]["same model"], TRUE, "same model, other data")
    axis.set(
        xticks=range(3), xticklabels=["trained", "untrained", "same model"], ylabel="overlap of cores", ylim=(0, 1.3)
    )
    axis.legend(loc="upper left", handlelength=1)
    title(axis, "Do cores lie apart more than by chance?", result)


def _alignment(axis: Axes, result: Result) -> None:
    groups = (
        ("all", CORE, "cores", -0.18),
        ("all, outputs", TRUE, "outputs in their place", 0.0),
        ("all, untrained", CONTROL, "untrained cores", 0.18),
    )
    for name, color, label, shift in groups:
        rows = [np.array(values) for values in result["details"][name].values()]
        for order in range(max(map(len, rows))):
            values = [row[order] for row in rows if len(row) > order]
            strip(
                axis, order + 1 + shift, values, color, f"{label}, one dot a pair" if order == 0 else None, width=WIDTH
            )
    axis.axhline(result["bound"], color=TRUE, lw=0.9, ls="--", label=f"bound {result['bound']:g}")
    axis.set(xticks=[1, 2, 3], xlabel="canonical correlation", ylabel="held-out correlation", ylim=(0, 1.5))
    axis.set_yticks(np.arange(0, 1.01, 0.2))
    axis.legend(loc="upper left", handlelength=1)  # above all correlations, wherever they lie
    title(axis, "Do core coordinates agree across seeds?", result)


def _spectrum(axis: Axes, result: Result, *, zoom: bool) -> None:
    unit_circle(axis)
    details = result["details"]
    groups = ((details["fitted, untrained"], CONTROL, "untrained"), (details["fitted"], CORE, "fitted, one dot a seed"))
    for spectra, color, label in groups:
        points = np.array([value for spectrum in spectra for value in spectrum])
        axis.scatter(points[:, 0], points[:, 1], s=16, c=color, label=label, linewidths=0, alpha=0.85, zorder=3)
    true = np.array(details["true"])
    axis.scatter(true[:, 0], true[:, 1], s=70, marker="+", c=TRUE, label="true", linewidths=1.2, zorder=4)
    axis.set(xlabel="real", ylabel="imaginary", aspect="equal")
    if zoom:
        for real, imaginary in true:
            axis.add_patch(Circle((real, imaginary), result["bound"], fill=False, edgecolor=TRUE, lw=0.7))
        axis.set(xlim=(0.4, 0.85), ylim=(-0.32, 0.32))
        axis.set_title(f"The same, near the true values\ncircles: the bound, {result['bound']:.3f}", color=INK)
    else:
        axis.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.9), yticks=[-1, -0.5, 0, 0.5, 1])
        axis.legend(loc="upper left", handlelength=1)  # above the circle
        title(axis, "Does the core carry the chain's eigenvalues?", result)


FIGURES = (Drawing(CLAIMS, markov_figure, describe=words),)
