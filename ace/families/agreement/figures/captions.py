"""What the figures about agreement show, in words, from the record alone."""

from __future__ import annotations

from typing import Any

from ace.families.agreement.figures.drawing import PROJECTORS, WANTED
from ace.families.agreement.figures.scales import pairs_of, worst
from ace.families.agreement.figures.texts import shown_model
from ace.families.style import Result, Results, Words, span
from ace.families.style import models as counted


def depth_words(results: Results) -> Words:
    """Separation at the site chosen, and what is asked for."""
    models = results["agreement.depth"]["details"]["by depth"]
    alt = (
        f"Six panels: separation and AUC against the depth of the site, with one axis kept, removed and flipped, by"
        f" the oblique and the orthogonal projector, a line for each of {counted(len(models))}, over bands of"
        " random axes of the rest."
    )
    parts = []
    for projector, _, _ in PROJECTORS:
        values = [span(_at_chosen(each, projector, mode) for each in models) for mode in WANTED]
        parts.append(f"{_listed(values)} by the {projector} projector")
    asked = _listed([f"{wanted:g}" for wanted in WANTED.values()])
    return Words(
        alt,
        f"With one axis kept, removed and flipped at the site chosen, separation is {' and '.join(parts)}; asked for"
        f" are {asked}. Separations beyond 2.5 are cut off.",
    )


def _listed(values: list[str]) -> str:
    return f"{', '.join(values[:-1])} and {values[-1]}"


def _at_chosen(curves: Any, projector: str, mode: str) -> float:
    found = curves[projector]
    return float(found[mode][curves["sites"].index(found["chosen"])])


def methods_words(results: Results) -> Words:
    """What flips by each method leave, where its projector suits it best."""
    result = results["agreement.advantage"]
    models = [seed["rows"] for seed in result["details"]["seeds"] if "rows" in seed]
    methods = list(dict.fromkeys(row["method"] for rows in models for row in rows))
    alt = (
        f"Three panels, for an axis kept, removed and flipped: a row for each of {len(methods)} methods with the"
        f" separation that its axis leaves in {counted(len(models))}, with 95 % intervals, by each projector."
    )
    best = {
        name: [min(row["flip"][0] for row in rows if row["method"] == name) for rows in models]
        for name in methods
        if all(any(row["method"] == name for row in rows) for rows in models)
    }
    flips = "; ".join(f"{name} {span(values)}" for name, values in best.items())
    return Words(alt, f"Separation after a flip, by the projector under which the method mirrors furthest: {flips}.")


def knob_words(results: Results) -> Words:
    """How much of the contrast the coordinate explains, over both numbers and within one."""
    result = results["agreement.knob"]
    count = len(result["details"]["points"])
    alt = (
        f"A panel for each of {counted(count)}: the contrast of held-out prompts in nats against the core coordinate,"
        " singular and plural in two colours, as they are and with the axis flipped, with fitted lines."
    )
    text = f"A line fitted to other prompts explains {span(result['values'])} of the contrast's variance (R2)"
    within = results.get("agreement.knob_within", {}).get("values")
    return Words(alt, f"{text}{f', and {span(within)} within one number' if within else ''}.")


def dose_words(results: Results) -> Words:
    """How many prompts turn step by step."""
    result = results["agreement.dose"]
    details = result["details"]
    alt = (
        f"A panel for each of {counted(len(details['curves']))}: mean contrast of singular and of plural prompts"
        " against the strength of the edit, from untouched over removed to flipped, along the core and along random"
        " axes of the rest."
    )
    ends = [[(curve[name][0], curve[name][-1]) for name in ("singular", "plural")] for curve in details["curves"]]
    both = sum(all(first * last < 0 for first, last in numbers) for numbers in ends)
    text = f"Of the prompts, a share of {span(result['values'])} turns step by step with the strength. Mean contrasts"
    return Words(alt, f"{text} of both numbers change sign between the two ends in {both} of {counted(len(ends))}.")


def texts_words(results: Results) -> Words:
    """What share of copulas agrees in clean and flipped text; which model is shown."""
    seeds = results["agreement.generation"]["details"]["seeds"]
    shown = shown_model(seeds)
    alt = (
        "Generated texts side by side: as the model writes them, with the axis flipped at every token, and flipped"
        " along a random axis of the rest."
    )
    shares = {kind: span(seed["share"].get(kind) for seed in seeds) for kind in seeds[shown]["share"]}
    listed = ", ".join(f"{share} {kind}" for kind, share in shares.items())
    which = f" Shown is seed {shown}, in which most flipped copulas still agree." if len(seeds) > 1 else ""
    return Words(alt, f"Share of copulas that agree with their subject: {listed}.{which}")


def scales_words(results: Results) -> Words:
    """All pairs' correlations, and the worst pair, between every two scales."""
    result: Result = results["agreement.scales"]
    scales = pairs_of(result)
    alt = (
        f"For each of {len(scales)} pairs of scales two panels: above, the correlation of core coordinates of every two"
        " models, beside the bound; below, the coordinates of the pair that correlates least, prompt by prompt."
    )
    parts = []
    for (first, second), pairs in scales.items():
        by_statistic: dict[str, list[float]] = {}
        for pair in pairs:
            by_statistic.setdefault(pair.statistic, []).append(pair.value)
        values = " and ".join(f"{statistic} {span(values)}" for statistic, values in by_statistic.items())
        least = worst(pairs)
        which = f" ({' and '.join(least.models)} least)" if len(pairs) > len(by_statistic) else ""
        parts.append(f"{first} and {second}: {values}{which}")
    return Words(
        alt, f"Every pair of models of different scales. {'; '.join(parts)}. The bound is {result['bound']:g}."
    )
