"""What these figures share: colours, headings, and panels side by side, one a model."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ace.families.style import CONTROL, CORE, INK, Result

PROJECTORS = (("oblique", CORE, "-"), ("orthogonal", CONTROL, "--"))
NUMBERS = (("singular", CORE), ("plural", CONTROL))
WANTED = {"keep": 1.0, "remove": 0.0, "flip": -1.0}  # separation of a core that is all there is
SEEDS = 5  # models shown side by side
LETTERS = 13  # of a heading in an inch


def headed(figure: Figure, subject: str, question: str, caption: str, *results: Result) -> None:
    """The subject, a question with the verdicts on the claims that answer it, and what is shown."""
    verdicts = ", ".join(f"{result['claim']}: {result['verdict']}" for result in results)
    width = int(LETTERS * figure.get_figwidth())
    parts = (subject, f"{question}  {verdicts}", caption)
    lines = [line for part in parts for line in textwrap.wrap(part, width)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", color=INK, fontsize=9.5)


def side_by_side(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each model, of common scales."""
    shown = min(count, SEEDS)
    figure = Figure(figsize=(max(5.5, 2.6 * shown + 0.6), height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, shown, sharey=True, squeeze=False)))


def legend_below(figure: Figure, axis: Axes, columns: int) -> None:
    """One legend for all panels, where it covers nothing."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=columns, handlelength=2.2)


def named(seed: int, count: int) -> str:
    """The heading of a model's panel; none where there is one alone."""
    return f"seed {seed}" if count > 1 else ""
