"""Mean contrast of each number against the strength of the edit: along the core, and along the rest."""

from __future__ import annotations

from matplotlib.figure import Figure

from ace.families.agreement.figures.drawing import NUMBERS, headed, legend_below, named, side_by_side
from ace.families.style import GREY, INK, Results


def dose_figure(results: Results, subject: str) -> Figure | None:
    """A panel for each model; None where the record has no curves."""
    result = results["agreement.dose"]
    details = result["details"]
    if not details.get("curves"):
        return None
    strengths, curves = details["strengths"], details["curves"]
    rest = details.get("the rest", [])
    figure, panels = side_by_side(len(curves), 4.4)
    for seed, axis in enumerate(panels):
        axis.axhline(0, color=GREY, lw=0.6)
        axis.axvline(0, color=GREY, lw=0.6, ls=":")
        for name, color in NUMBERS:
            axis.plot(strengths, curves[seed][name], color=color, marker="o", ms=3, lw=1.2, label=f"{name}, the core")
            if rest:
                low, high = zip(*rest[seed][name], strict=True)
                axis.fill_between(strengths, low, high, color=color, alpha=0.2, lw=0, label=f"{name}, the rest")
        axis.invert_xaxis()
        axis.set_xlabel("strength: 1 clean, 0 removed, -1 flipped", fontsize=8)
        share = f"{result['values'][seed]:.2f} of prompts turn"
        axis.set_title("\n".join(filter(None, [named(seed, len(curves)), share])), color=INK, fontsize=9)
    panels[0].set_ylabel("mean contrast, nats")
    legend_below(figure, panels[0], 4)
    shown = ""
    if rest:
        first = rest[0]
        shown = (
            f"the rest: 5th to 95th percentile of {first['draws']} draws as strong as the core's edit, on"
            f" {first['prompts']} prompts"
        )
    headed(figure, subject, "Does the contrast follow the strength?", shown, result)
    return figure
