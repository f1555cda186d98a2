"""Generated texts of the worst model side by side: clean, flipped, and flipped along the rest."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from ace.families.agreement.figures.drawing import headed
from ace.families.style import INK, Results

KINDS = ("clean", "flipped", "along the rest")
LINE, SHOWN = 52, 4  # characters of a line, texts of a kind
HEIGHT = 0.135  # inches a line


def texts_figure(results: Results, subject: str) -> Figure | None:
    """The first texts of the worst model, a column for each kind; None where the record has no texts."""
    result = results["agreement.generation"]
    seeds = result["details"].get("seeds", [])
    if not any(seed.get("texts") for seed in seeds):
        return None
    number = shown_model(seeds)
    seed = seeds[number]
    kinds = [kind for kind in KINDS if seed["texts"].get(kind)]
    wrapped = {kind: [_lines(text) for text in seed["texts"][kind][:SHOWN]] for kind in kinds}
    rows = [max(len(lines) for lines in row) for row in zip(*wrapped.values(), strict=False)]
    total = sum(rows) + len(rows) + 2
    figure = Figure(figsize=(11, HEIGHT * total + 0.7), layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.set(xlim=(0, len(kinds)), ylim=(total, 0))
    for column, kind in enumerate(kinds):
        axis.text(column, 0, _heading(kind, seed), va="top", color=INK, fontsize=9, weight="bold")
        line = 2
        for lines, height in zip(wrapped[kind], rows, strict=False):
            axis.text(column, line, "\n".join(lines), va="top", color=INK, fontsize=7.5, family="monospace")
            line += height + 1
    one = f" of seed {number} of {len(seeds)}, in which most flipped copulas agree" if len(seeds) > 1 else ""
    headed(figure, subject, "Does number turn all through generated text?", f"the first texts{one}", result)
    return figure


def shown_model(seeds: Sequence[dict[str, Any]]) -> int:
    """Index of the model whose texts are shown: the one in which the flip does least, of those that have texts."""
    with_texts = [number for number, seed in enumerate(seeds) if seed.get("texts")]
    return max(with_texts, key=lambda number: seeds[number].get("share", {}).get("flipped") or 0.0)


def _heading(kind: str, seed: dict[str, Any]) -> str:
    return f"{kind}: {100 * seed['share'][kind]:.0f} % of {seed['copulas'][kind]} copulas agree"


def _lines(text: str) -> list[str]:
    """With a question mark for what fonts may not have."""
    plain = "".join(letter if letter.isspace() or _is_drawn(letter) else "?" for letter in text)
    return [line.replace("$", r"\$") for line in textwrap.wrap(plain, LINE)] or [""]


def _is_drawn(letter: str) -> bool:
    return letter.isprintable() and (ord(letter) < 0x250 or 0x2010 <= ord(letter) <= 0x2026)
