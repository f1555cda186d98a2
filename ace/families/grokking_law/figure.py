"""The delays of a sweep in one figure, a panel a law, with what the laws say and runs that were given up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from scipy import stats

from ace.arrays import Array
from ace.families.grokking_law.measures import FULL
from ace.families.style import CONTROL, CORE, GREY, INK, TRUE, Drawing, Result, Results, Words, span, title

CLAIMS = ("law.omega", "law.redundancy", "law.rivals", "law.consistency", "law.split")
Settings = Mapping[str, Mapping[str, Sequence[float]]]


class Panel(NamedTuple):
    """One panel of the figure.

    Attributes:
        part: of the sweep, in whose details the delays are.
        claim: that it shows. others: about the same delays, told in the title as well.
        draw: the panel from the claim's result. describe: its words, for those who do not see it and for those who do.
    """

    part: str
    claim: str
    question: str
    others: tuple[str, ...]
    draw: Callable[[Axes, Result], None]
    describe: Callable[[Result], Words]


def delay_figure(results: Results, heading: str) -> Figure | None:
    """Delays against weight decay, and against the modulus: both panels, or the one whose runs are trained."""
    panels = _trained(results)
    if not panels:
        return None
    figure = Figure(figsize=(5.5 * len(panels), 4.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    axes[0].set(ylabel="delay, steps")
    for axis, panel in zip(axes, panels, strict=True):
        axis.set(yscale="log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        panel.draw(axis, results[panel.claim])
        title(axis, panel.question, *(results[name] for name in (panel.claim, *panel.others)))
    trained = results[panels[0].claim]["details"]["sweep"]
    figure.suptitle(f"{heading}: {trained}, steps from memorising to generalising", x=0.01, ha="left")
    return figure


def _decays(axis: Axes, result: Result) -> None:
    settings: Settings = result["details"]["decays"]
    _runs(axis, settings)
    found = _exponent(result["estimate"], result["low"], result["high"])
    _line(axis, settings, result["estimate"], found, CORE)
    _line(axis, settings, -1.0, "exponent -1", GREY, "--")
    if FULL in result.get("beside", {}):
        full: Settings = result["details"][f"decays, {FULL}"]
        ((slope, low, high),) = result["beside"][FULL]
        _line(axis, full, slope, f"{FULL}: {_exponent(slope, low, high)}", TRUE)
        places, middles = _middles(full)
        axis.scatter(places, np.exp(middles), s=26, c=TRUE, marker="D", zorder=4, label=f"{FULL}: mean of the runs")
    axis.set(xscale="log", xlabel="weight decay")
    _ticks(axis, _middles(settings)[0])
    axis.legend(loc="lower left")


def _line(axis: Axes, settings: Settings, slope: float, label: str, color: str, line: str = "-") -> None:
    """A power of the setting, of that exponent, through the middle of the runs."""
    places, middles = _middles(settings)
    level = (middles - slope * np.log(places)).mean()
    axis.plot(places, np.exp(level + slope * np.log(places)), color=color, ls=line, lw=1.2, label=label)


def _middles(settings: Settings) -> tuple[Array, Array]:
    """Settings, and the mean log delay of each."""
    return np.array([float(name) for name in settings]), np.array(
        [np.mean(np.log(one["delays"])) for one in settings.values()]
    )


def _exponent(slope: float, low: float, high: float) -> str:
    return f"exponent {slope:.3g} [{low:.3g}, {high:.3g}]"


def _moduli(axis: Axes, result: Result) -> None:
    details = result["details"]
    settings: Settings = details["moduli"]
    _runs(axis, settings)
    moduli = np.array([float(name) for name in settings])
    fine = np.linspace(moduli.min(), moduli.max(), 200)
    law = -details["omega"] * np.log1p(-details["critical"] / fine)
    label = f"Omega {details['omega']:.3g}, p_crit {details['critical']:.3g}"
    axis.plot(fine, law, color=CORE, lw=1.2, label=label)
    told = [details["foretold"].get(name) for name in settings]
    axis.scatter(moduli, told, marker="_", s=160, c=INK, zorder=4, label="foretold from the other moduli")
    axis.set(xlabel="modulus p")
    axis.set_xticks(moduli, [f"{modulus:g}" for modulus in moduli])
    axis.minorticks_off()
    axis.legend(loc="upper right")


def _runs(axis: Axes, settings: Settings) -> None:
    """Every run, and the mean of the log delays of each setting; runs that were given up as arrows."""
    for name, one in settings.items():
        place = float(name)
        for delay, ended in zip(one["delays"], one["ended"], strict=True):
            marker, color = ("o", CONTROL) if ended else ("^", INK)
            axis.scatter(place, delay, s=14, c=color, marker=marker, alpha=0.7, linewidths=0)
        logs = np.log(one["delays"])
        if all(one["ended"]) and len(logs) > 1:
            reach = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
            ends = np.exp(logs.mean() + np.array([-reach, reach]))
            axis.plot([place, place], ends, color=INK, lw=1, solid_capstyle="butt", zorder=2)
    axis.plot([], [], color=INK, lw=1, label="95 % interval of the mean, each setting by itself")
    axis.scatter([], [], s=14, c=CONTROL, label="a run")
    if any(not ended for one in settings.values() for ended in one["ended"]):
        axis.scatter([], [], s=14, c=INK, marker="^", label="given up: the delay is longer")


def _ticks(axis: Axes, places: Array) -> None:
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.minorticks_off()


def words(results: Results) -> Words:
    """What is drawn, and the numbers in it."""
    panels = _trained(results)
    said = [panel.describe(results[panel.claim]) for panel in panels]
    trained = results[panels[0].claim]["details"]["sweep"]
    return Words(
        alt=f"Delays in steps on a logarithmic axis, {', and '.join(each.alt for each in said)}.",
        caption=" ".join([f"Delays from memorising to generalising: {trained}.", *(each.caption for each in said)]),
    )


def _trained(results: Results) -> list[Panel]:
    """The panels whose runs are trained."""
    return [panel for panel in PANELS if panel.part in results[panel.claim]["details"]]


def _words_of_decays(result: Result) -> Words:
    delays = [delay for one in result["details"]["decays"].values() for delay in one["delays"]]
    beside = result.get("beside", {})
    full = f", {FULL} (diamonds) {beside[FULL][0][0]:.3g}" if FULL in beside else ""
    return Words(
        alt="falling with the weight decay along a straight line",
        caption=f"Against the weight decay, from {span(delays)} steps, the exponent is {result['estimate']:.3g}{full}.",
    )


def _words_of_moduli(result: Result) -> Words:
    details = result["details"]
    moduli, factor = list(details["moduli"]), math.exp(abs(result["estimate"]))
    return Words(
        alt="falling with the modulus along a curve that steepens towards small moduli",
        caption=f"Over moduli {moduli[0]} to {moduli[-1]} the law with Omega {details['omega']:.3g} and p_crit"
        f" {details['critical']:.3g} misses no modulus left out (bars) by more than a factor of {factor:.3g}.",
    )


PANELS = (
    Panel(
        "decays",
        "law.omega",
        "Is the delay inversely proportional to the weight decay?",
        ("law.consistency",),
        _decays,
        _words_of_decays,
    ),
    Panel(
        "moduli",
        "law.redundancy",
        "Does it follow -Omega log(1 - p_crit / p)?",
        ("law.rivals", "law.split"),
        _moduli,
        _words_of_moduli,
    ),
)
FIGURES = (Drawing(CLAIMS, delay_figure, describe=words, partial=True),)
