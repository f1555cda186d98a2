"""Core coordinates of models of different scales on the same prompts."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ace.families.agreement.figures.drawing import NUMBERS, headed
from ace.families.style import Results

LONGEST = 36  # characters of a model's name that an axis has room for


def scales_figure(results: Results, subject: str) -> Figure | None:
    """A panel for every two scales; None where the record has no coordinates of two."""
    details = results["agreement.scales"]["details"]
    if "coordinates" not in details:
        return None
    labels, coordinates = np.array(details["labels"]), details["coordinates"]
    names = [name for name in coordinates if name.endswith("seed 0")]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    if not pairs:
        return None
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axis, (first, second) in zip(np.atleast_1d(figure.subplots(1, len(pairs))), pairs, strict=True):
        for number, (name, color) in enumerate(NUMBERS):
            rows = labels == number
            across, up = (np.array(coordinates[model])[rows] for model in (first, second))
            within = np.corrcoef(across, up)[0, 1]
            axis.scatter(across, up, s=9, c=color, linewidths=0, alpha=0.8, label=f"{name}: r = {within:.2f}")
        axis.set(xlabel=f"coordinate in {first[-LONGEST:]}", ylabel=f"coordinate in {second[-LONGEST:]}")
        axis.legend(loc="best", handlelength=1)
    headed(figure, subject, "Do coordinates agree across scales, within each number?", "", results["agreement.scales"])
    return figure
