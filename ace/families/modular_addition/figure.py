"""The results on modular addition in one figure, drawn from the details of the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter

from ace.arrays import Array
from ace.families.modular_addition.captions import RIVAL, grokked, words
from ace.families.style import CONTROL, CORE, GREY, INK, TRUE, Drawing, Result, Results, title, unit_circle

CLAIMS = (
    "modadd.grok",
    "modadd.formation",
    "modadd.sufficiency",
    "modadd.necessity",
    "modadd.rotation",
    "modadd.inflation",
    "modadd.no_inflation",
    "modadd.redundancy",
    "modadd.mode_growth",
)
TALL = 1.5  # height of an axis of accuracies with the legend above them
NEXT = 2.5  # times as many epochs; on a logarithmic axis labels nearer than that touch
ARMS = {"decay": "#6a4c93", "reset": "#4f772d", "free": "#c9a227"}  # none of the colours of seeds
ARM_NAMES = {
    "decay": "weight decay all along",
    "reset": "weight decay, fresh optimiser",
    "free": "no weight decay, fresh optimiser",
}
SEEDS = (CORE, CONTROL, TRUE, "#7f5539", "#3d3d8f", "#c06c9b")


def grokking_figure(results: Results, subject: str) -> Figure:
    """Accuracy, ablations and ranks along training, eigenvalues before and after, arms, and modes."""
    figure = Figure(figsize=(11, 12.5), layout="constrained")
    course, growth, planes, modes = np.ravel(np.asarray(figure.subfigures(4, 1, height_ratios=[1, 1, 1.15, 0.95])))
    accuracy, ablations = course.subplots(1, 2)
    _accuracy(accuracy, results["modadd.grok"])
    _ablations(ablations, results)
    ranks, arms = growth.subplots(1, 2)
    _ranks(ranks, results)
    _arms(arms, results)
    _planes(planes, results["modadd.rotation"])
    _modes(modes, results["modadd.mode_growth"], results["modadd.grok"])
    count = len(results["modadd.grok"]["values"])
    figure.suptitle(f"{subject}: {count} transformers learn addition modulo a prime", x=0.01, ha="left", color=INK)
    return figure


def _seed(index: int) -> str:
    return SEEDS[index % len(SEEDS)]


def _epochs(axis: Axes, grok: Result, top: float = 1.0) -> None:
    """An axis of epochs with a line at which each seed generalised, up to a share of its height."""
    for index, epoch in enumerate(grok["details"]["generalised"]):
        axis.axvline(epoch, ymax=top, color=_seed(index), lw=0.8, ls=":", zorder=0)
    axis.set(xlabel="epoch")


def _time_axis(axis: Axes, epochs: Sequence[int], label: str = "checkpoint, epoch, log scale") -> None:
    """Epochs as the numbers they are: on a logarithmic axis, for most of what happens does so early; linear up to 1."""
    first = min(epoch for epoch in epochs if epoch > 0)
    axis.set_xscale("symlog", linthresh=first, linscale=0.4)
    decades = [10**power for power in range(8) if first <= 10**power <= max(epochs)]
    marks = sorted({*([0] if 0 in epochs else []), first, *decades, max(epochs)})
    # Two labels that would touch: the decade gives way to the first or the last epoch.
    ends = (first, max(epochs))
    axis.set_xticks([m for m in marks if m in (0, *ends) or all(max(m, end) / min(m, end) > NEXT for end in ends)])
    axis.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: f"{epoch:,.0f}"))
    axis.xaxis.set_minor_locator(FixedLocator(epochs))
    axis.tick_params(axis="x", which="minor", length=2.5)
    axis.set(xlabel=label, xlim=(0 if 0 in epochs else 0.93 * first, 1.04 * max(epochs)))


def _accuracy(axis: Axes, result: Result) -> None:
    curve = result["details"]["curve"]
    for index, (train, test) in enumerate(zip(curve["train"], curve["test"], strict=True)):
        axis.plot(curve["epochs"], train, color=_seed(index), lw=0.8, ls="--")
        axis.plot(curve["epochs"], test, color=_seed(index), lw=1.3, label=f"seed {index}")
    axis.plot([], [], color=GREY, lw=0.8, ls="--", label="training pairs")
    axis.plot([], [], color=GREY, lw=1.3, label="held-out pairs")
    axis.plot([], [], color=GREY, lw=0.8, ls=":", label="held-out accuracy .99")
    _epochs(axis, result, 1.05 / TALL)  # up to where the legend begins
    axis.set(xscale="log", ylabel="accuracy")
    _legend_above(axis)
    title(axis, "Do models memorise first and generalise later?", result)


def _legend_above(axis: Axes) -> None:
    """A legend above all accuracies, clear of curves wherever they rise."""
    axis.set(ylim=(-0.02, TALL), yticks=np.arange(0, 1.01, 0.2))
    axis.legend(loc="upper left", ncols=2, handlelength=2)


def _ablations(axis: Axes, results: Results) -> None:
    course = results["modadd.formation"]["details"]["course"]
    kinds = (("base", "whole", "-", "o"), ("kept", "core kept", "--", "s"), ("removed", "core removed", ":", "v"))
    for kind, label, line, marker in kinds:
        for index, values in enumerate(course[kind]):
            axis.plot(course["epochs"], values, color=_seed(index), ls=line, lw=1, marker=marker, ms=3.2)
        axis.plot([], [], color=GREY, ls=line, lw=1, marker=marker, ms=3.2, label=label)
    _rival(axis, results)
    axis.axhline(results["modadd.necessity"]["details"]["chance"], color=INK, lw=0.7, label="chance")
    _time_axis(axis, course["epochs"])
    axis.set(ylabel="accuracy on held-out pairs")
    _legend_above(axis)
    names = ("formation", "sufficiency", "necessity")
    title(axis, "Does a core form, suffice, and is it needed?", *(results[f"modadd.{name}"] for name in names))


def _rival(axis: Axes, results: Results) -> None:
    """PCA of equal rank kept and removed at the checkpoint after grokking, an open square each."""
    epochs = grokked(results)
    for name, base in (("sufficiency", results["modadd.sufficiency"]["details"]["base"]), ("necessity", None)):
        values = results[f"modadd.{name}"].get("beside", {}).get(RIVAL, [])
        for index, (value, _, _) in enumerate(values):
            height = value + (base[index] if base else 0.0)
            axis.plot(epochs[index], height, ls="", marker="s", ms=6.5, mfc="none", mec=_seed(index), mew=1, zorder=4)
    axis.plot([], [], ls="", marker="s", ms=6.5, mfc="none", mec=GREY, label=f"{RIVAL}, kept and removed")


def _ranks(axis: Axes, results: Results) -> None:
    course = results["modadd.inflation"]["details"]["course"]["decay"]
    top = _top(results)
    for kind, line, marker, label in (("removal", "-", "o", "spread over"), ("keeping", "--", "s", "taken")):
        for index, values in enumerate(course[kind]):
            _size_line(axis, course["epochs"], values, top, _seed(index), line, marker)
        axis.plot([], [], color=GREY, ls=line, marker=marker, ms=3.2, lw=1, label=label)
    _epochs(axis, results["modadd.grok"])
    axis.set(ylabel="dimensions of accuracy", ylim=(0, 1.4 * top))  # the legend lies above what is drawn at the top
    axis.legend(loc="upper right", handlelength=2)  # clear of the epochs' lines
    title(axis, "Does necessity grow while sufficiency does not?", results["modadd.redundancy"])


def _arms(axis: Axes, results: Results) -> None:
    details = results["modadd.inflation"]["details"]
    arms, top = details["course"], _top(results)
    for arm, color in ARMS.items():
        epochs = arms[arm]["epochs"]
        parted = int(np.searchsorted(epochs, details["branch"]))  # up to this epoch all arms have the same models
        for values in arms[arm]["removal"]:
            _size_line(axis, epochs[: parted + 1], values[: parted + 1], top, GREY, "-", "o")
            _size_line(axis, epochs[parted:], values[parted:], top, color, "-", "o")
        axis.plot([], [], color=color, lw=1, marker="o", ms=3.2, label=ARM_NAMES[arm])
    axis.plot([], [], color=GREY, lw=1, marker="o", ms=3.2, label="before they part")
    axis.scatter([], [], s=28, facecolors="none", edgecolors=GREY, marker="^", label="not learnt")
    axis.set(xlabel="epoch", ylabel="dimensions of accuracy", ylim=(0, 1.6 * top))
    axis.legend(loc="upper left", handlelength=1.6, ncols=2)
    names = ("inflation", "no_inflation")
    title(axis, "Does weight decay inflate the core?", *(results[f"modadd.{name}"] for name in names))


def _top(results: Results) -> float:
    """A size above all others, where models that have not learnt are drawn."""
    arms = results["modadd.inflation"]["details"]["course"].values()
    sizes = [value for arm in arms for kind in ("removal", "keeping") for row in arm[kind] for value in row]
    return 1.1 * max((value for value in sizes if value is not None), default=1)


def _size_line(
    axis: Axes, epochs: Sequence[int], values: Sequence[float | None], top: float, color: str, line: str, marker: str
) -> None:
    sizes = [np.nan if value is None else value for value in values]
    axis.plot(epochs, sizes, color=color, ls=line, lw=1, marker=marker, ms=3.2)
    missed = [epoch for epoch, value in zip(epochs, values, strict=True) if value is None]
    axis.scatter(missed, [top] * len(missed), s=28, facecolors="none", edgecolors=color, marker="^", clip_on=False)


def _planes(figure: SubFigure, result: Result) -> None:
    stages = result["details"]["eigenvalues"]
    width = np.sin(np.pi / result["details"]["classes"])
    axes = figure.subplots(1, len(stages))
    for axis, (stage, spectra) in zip(np.atleast_1d(axes), stages.items(), strict=True):
        for radius in (1 - width, 1 + width):
            unit_circle(axis, radius, "--")
        for index, spectrum in enumerate(spectra):
            points = np.array(spectrum)
            axis.scatter(points[:, 0], points[:, 1], s=18, color=_seed(index), linewidths=0, alpha=0.85, zorder=3)
        axis.set(xlabel="real", ylabel="imaginary", aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
        axis.set_title(f"eigenvalues {'when memorised' if stage == 'memorised' else stage}", color=INK)
    _headline(figure, "Does the shift operator turn the core? Dashed: the ring, sin(pi / p) about the circle.", result)


def _modes(figure: SubFigure, result: Result, grok: Result) -> None:
    energy = result["details"]["energy"]
    axes = figure.subplots(1, len(energy["share"]), sharey=True)
    epochs = energy["epochs"]
    for index, (axis, share) in enumerate(zip(np.atleast_1d(axes), energy["share"], strict=True)):
        frequencies = np.arange(len(share[0]) + 1) + 0.5
        image = axis.pcolormesh(_edges(epochs), frequencies, np.array(share).T, cmap="Blues", vmin=0, vmax=0.35)
        _time_axis(axis, epochs)
        axis.set_xlim(_edges(epochs)[0], _edges(epochs)[-1])
        axis.axvline(grok["details"]["generalised"][index], color=_seed(index), lw=1.2, ls=":")
        axis.set_title(f"seed {index}", color=_seed(index))
    figure.colorbar(image, ax=axes, shrink=0.9, label="share of energy", extend="max")
    np.atleast_1d(axes)[0].set_ylabel("frequency")
    _headline(figure, "Do more and more modes carry the operator?", result)


def _edges(epochs: Sequence[int]) -> Array:
    """(n + 1) where a checkpoint's column begins and ends: half way to the next one on the logarithmic axis."""
    places = np.array(epochs, dtype=float)
    places[places <= 0] = min(epoch for epoch in epochs if epoch > 0) / 2
    middles = np.sqrt(places[1:] * places[:-1])
    return np.concatenate([[places[0]], middles, [places[-1]]])


def _headline(figure: SubFigure, question: str, result: Result) -> None:
    """A question and its verdict above a row of panels."""
    text = f"{question} {result['claim']}: {result['verdict']}"
    figure.suptitle(text, x=0.01, ha="left", color=INK, fontsize=10)


FIGURES = (Drawing(CLAIMS, grokking_figure, describe=words),)
