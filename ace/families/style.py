"""What the figures of families share: colours, and the small drawings that more than one of them needs.

It lies here because the figure modules of the family folders draw with it; `ace.report` takes the settings `STYLE` from
it and knows nothing else of how a family is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY, CORE, CONTROL, TRUE = "#222222", "#9a9a9a", "#1f6f8b", "#d1793b", "#b3202a"
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.dpi": 150,
}
Result = Mapping[str, Any]
Results = Mapping[str, Result]


@dataclass(frozen=True)
class Words:
    """What a figure shows, for those who do not see it and for those who do.

    Attributes:
        alt: what is drawn, in a sentence or two: it stands in the picture's place.
        caption: what is to be seen there, with numbers out of the record. Plain text.
    """

    alt: str
    caption: str


@dataclass(frozen=True)
class Drawing:
    """A figure of one subject.

    Attributes:
        claims: ids of those whose results it needs.
        draw: from the subject's results by claim, and a heading; None where they lack its data.
        ending: what its file is called beside the subject's name; nothing for a family's only figure.
        describe: its words, from the same results; only asked for once it is drawn.
        partial: whether it is drawn where some of its claims are inapplicable, too, without what they would show.
    """

    claims: tuple[str, ...]
    draw: Callable[[Results, str], Figure | None]
    ending: str = ""
    describe: Callable[[Results], Words] | None = None
    partial: bool = False

    def suits(self, results: Results) -> bool:
        """Whether all of its claims came out, and each, or some of a partial one, with values."""
        measured = [bool(results[claim].get("values")) for claim in self.claims if claim in results]
        return len(measured) == len(self.claims) and (any if self.partial else all)(measured)


def span(values: Iterable[float | None], digits: int = 3) -> str:
    """From the least to the greatest of the values, as text; those that are missing do not count."""
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    low, high = (f"{end:.{digits}g}" for end in (min(known), max(known)))
    return low if low == high else f"{low} to {high}"


def models(count: int) -> str:
    """How many models, in words."""
    return f"{count} models" if count != 1 else "one model"


def title(axis: Axes, text: str, *results: Result) -> None:
    """A question, and the verdicts on the claims that answer it."""
    axis.set_title("\n".join([text, *(f"{result['claim']}: {result['verdict']}" for result in results)]), color=INK)


def strip(
    axis: Axes,
    place: float,
    values: Any,
    color: str,
    label: str | None = None,
    marker: str = "o",
    width: float = 0.2,
) -> None:
    """Values as dots side by side around a place on the x axis, over `width` of it."""
    spread = np.linspace(-width / 2, width / 2, len(values)) if len(values) > 1 else np.zeros(1)
    axis.scatter(place + spread, values, s=16, c=color, marker=marker, label=label, zorder=3, linewidths=0)


def unit_circle(axis: Axes, radius: float = 1.0, line: str = "-") -> None:
    """A circle around the origin of the complex plane."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(radius * np.cos(angle), radius * np.sin(angle), color=GREY, lw=0.8, ls=line)
