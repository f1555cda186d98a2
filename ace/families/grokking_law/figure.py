"""The delays of a sweep in one figure of two panels, with what the laws say and runs that were given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ace.families.style import CONTROL, CORE, GREY, INK, Drawing, Result, Results, Words, span, title

CLAIMS = ("law.omega", "law.redundancy", "law.rivals", "law.consistency", "law.split")
Settings = Mapping[str, Mapping[str, Sequence[float]]]


def delay_figure(results: Results, heading: str) -> Figure | None:
    """Delays against weight decay, and against the modulus."""
    omega, redundancy = results["law.omega"], results["law.redundancy"]
    if "decays" not in omega["details"] or "moduli" not in redundancy["details"]:
        return None
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _decays(left, omega)
    _moduli(right, redundancy)
    title(left, "Is the delay inversely proportional to the weight decay?", omega, results["law.consistency"])
    title(right, "Does it follow -Omega log(1 - p_crit / p)?", redundancy, results["law.rivals"], results["law.split"])
    figure.suptitle(f"{heading}: {omega['details']['sweep']}, steps from memorising to generalising", x=0.01, ha="left")
    return figure


def _decays(axis: Axes, result: Result) -> None:
    settings: Settings = result["details"]["decays"]
    _runs(axis, settings)
    decays = np.array([float(name) for name in settings])
    middles = np.array([np.mean(np.log(one["delays"])) for one in settings.values()])
    slope, low, high = result["estimate"], result["low"], result["high"]
    found = f"exponent {slope:.3g} [{low:.3g}, {high:.3g}]"
    for rate, line, label in ((slope, "-", found), (-1.0, "--", "exponent -1")):
        level = (middles - rate * np.log(decays)).mean()
        color = CORE if line == "-" else GREY
        axis.plot(decays, np.exp(level + rate * np.log(decays)), color=color, ls=line, lw=1.2, label=label)
    axis.set(xscale="log", yscale="log", xlabel="weight decay", ylabel="delay, steps")
    _ticks(axis, decays)
    axis.legend(loc="lower left")


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


def _ticks(axis: Axes, places: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.minorticks_off()


def words(results: Results) -> Words:
    """What is drawn, and the numbers in it."""
    omega, redundancy = results["law.omega"], results["law.redundancy"]
    delays = [delay for one in omega["details"]["decays"].values() for delay in one["delays"]]
    moduli = list(redundancy["details"]["moduli"])
    details = redundancy["details"]
    return Words(
        alt="Two panels of delays in steps on a logarithmic axis: falling with the weight decay along a straight line,"
        " and falling with the modulus along a curve that steepens towards small moduli.",
        caption=f"Delays from memorising to generalising: {omega['details']['sweep']}. Against the weight decay, from"
        f" {span(delays)} steps, the exponent is {omega['estimate']:.3g}. Over moduli {moduli[0]} to {moduli[-1]} the"
        f" law with Omega {details['omega']:.3g} and p_crit {details['critical']:.3g} foretells"
        f" {redundancy['estimate']:.3g} of what moduli left out differ by (bars).",
    )


FIGURES = (Drawing(CLAIMS, delay_figure, describe=words),)
