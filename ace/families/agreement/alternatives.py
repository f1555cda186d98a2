"""ACE beside the alternatives: what each does when kept, removed and flipped, by each projector, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ace.arrays import Array
from ace.auc import Discrimination, cluster_sums
from ace.discrimination import Quantities
from ace.errors import Inapplicable
from ace.families.agreement.axes import (
    Axis,
    all_axes,
    best_axes,
    displaced,
    extracted_axis,
    matched_flip,
    place,
    total_variance,
)
from ace.families.agreement.collateral import neutral_prompts
from ace.families.agreement.elsewhere import neutral_nats, transfer_aucs
from ace.families.agreement.specificity import axis_selectivities
from ace.stats import Estimate, bootstrap_ratio
from ace.study.memory import remembered
from ace.study.prompts import PromptStudy
from ace.tasks.base import Split

EDITS = ("keep", "remove", "flip", "matched flip")  # the last moves states as far as ACE's flip


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every axis under every edit, on the evaluation prompts.

    Attributes:
        axes: all of them.
        scored: row 0 the model as it is, then the edits of the first axis, of the second, and so on.
    """

    axes: tuple[Axis, ...]
    scored: Discrimination

    def value(self, axis: Axis, edit: str, quantity: str = "separation") -> Estimate:
        """Separation, AUC or accuracy of an edited model."""
        row = self._row(axis, edit)
        return self.scored.estimate(axis.method, lambda part: getattr(part, quantity)[row])

    def beyond(self, label: str, axis: Axis, other: Axis, edit: str, quantity: str = "separation") -> Estimate:
        """The same quantity of one axis less that of another, on the same draws of head nouns."""
        ours, theirs = self._row(axis, edit), self._row(other, edit)
        return self.scored.estimate(label, lambda part: getattr(part, quantity)[ours] - getattr(part, quantity)[theirs])

    def off_the_mirror(self, label: str, axis: Axis, other: Axis) -> Estimate:
        """How much further the flip of one axis is from a separation of -1, either way, than that of another."""
        ours, theirs = self._row(axis, "flip"), self._row(other, "flip")

        def distance(part: Quantities) -> Array:
            return np.asarray(abs(part.separation[ours] + 1) - abs(part.separation[theirs] + 1))

        return self.scored.estimate(label, distance)

    def _row(self, axis: Axis, edit: str) -> int:
        return 1 + len(EDITS) * self.axes.index(axis) + EDITS.index(edit)


@remembered
def comparison(study: PromptStudy) -> Comparison:
    """All axes at the site chosen by the selection split, on the evaluation split."""
    axes = all_axes(study)
    edits = [
        edit
        for axis in axes
        for edit in (*(axis.edit(mode) for mode in EDITS[:3]), matched_flip(study, axis, Split.EVALUATION))
    ]
    scores = study.push(Split.EVALUATION, place(study)[0], edits)
    base = study.base(Split.EVALUATION)[None]
    return Comparison(axes, study.discriminate(Split.EVALUATION, np.concatenate([base, scores])))


def methods_table(study: PromptStudy) -> dict[str, Any]:
    """One row for each method and projector, as plain data: values with both ends of their intervals.

    keep, remove and flip are separations. "beyond ACE" is a value less that of ACE by the oblique projector: of the
    flip as it is, and as far as ACE's. displaced is a share of the states' variance. Each method's better projector on
    the selection split, and ACE's oblique one, have more: the flip's AUC for other verbs, its effect on agreement over
    that on arbitrary contrasts, and nats of KL on neutral text with the axis removed.
    """
    compared, ours = comparison(study), extracted_axis(study)
    variance = total_variance(study, Split.EVALUATION)
    rows = []
    for axis in compared.axes:
        row: dict[str, Any] = {"method": axis.method, "projector": axis.projector, "rank": axis.core.dimension}
        row |= {mode: _shown(compared.value(axis, mode)) for mode in EDITS[:3]}
        row |= {name: _shown(compared.value(axis, "flip", name)) for name in ("auc", "accuracy")}
        if axis is not ours:
            row["beyond ACE"] = {
                edit: _shown(compared.beyond(axis.method, axis, ours, edit)) for edit in ("flip", "matched flip")
            }
            row["beyond ACE"]["auc"] = _shown(compared.beyond(axis.method, axis, ours, "flip", "auc"))
        row["displaced"] = displaced(study, axis, Split.EVALUATION) / variance
        rows.append(row | _elsewhere(study).get(axis, {}))
    return {"site": place(study)[0].index, "rows": rows}


@remembered
def _elsewhere(study: PromptStudy) -> dict[Axis, dict[str, Any]]:
    """Axis -> what its edits do to other contrasts and other text, for the better projector of each method."""
    axes = tuple(best_axes(study).values())
    transfers, nats = transfer_aucs(study, axes), neutral_nats(study, axes)
    clusters = neutral_prompts(study).clusters
    found: dict[Axis, dict[str, Any]] = {}
    for row, axis in enumerate(axes):
        sums = cluster_sums(np.column_stack([nats[row], np.ones(nats.shape[1])]), clusters)
        damage = bootstrap_ratio(axis.method, sums)
        found[axis] = {"transfer": {name: float(auc[row]) for name, auc in transfers.items()}, "nats": _shown(damage)}
    try:
        ratios = axis_selectivities(study, axes, [axis.method for axis in axes])
    except Inapplicable:  # no words to compare with: the rest of the table stands
        return found
    for axis, ratio in zip(axes, ratios, strict=True):
        found[axis]["specificity"] = _shown(ratio)
    return found


def _shown(estimate: Estimate) -> list[float]:
    """Value and both ends of its interval, four digits after the point."""
    return [round(float(number), 4) for number in (estimate.value, *estimate.interval())]
