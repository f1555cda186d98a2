"""What scores of two classes showed, with every resample of it, and the estimate of any quantity made of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ace.arrays import Array
from ace.errors import InputError
from ace.intervals import acceleration, binomial_limits, effective_limits, effective_trials, freedom
from ace.stats import Estimate

FEW = 3.0  # effective errors below which an AUC or accuracy is near its edge


@dataclass(frozen=True, eq=False)
class Quantities:
    """Three quantities, each (m, ...): how well m rows of scores tell label 1 from label 0.

    Attributes:
        auc: area under the ROC curve, ties half.
        accuracy: share of prompts whose score has the sign of their class.
        separation: mean score of label 1 less that of label 0, over the same of row 0: by convention the model as it
            is. 1 untouched, 0 gone, -1 mirrored; NaN where row 0 itself separates nothing.
    """

    auc: Array
    accuracy: Array
    separation: Array


Quantity = Callable[[Quantities], Array]


@dataclass(frozen=True)
class Discrimination:
    """AUC, accuracy and separation of m rows of scores on the same prompts, resampled alike for all.

    Attributes:
        values: (m) on all prompts.
        replicates: (m, b) on clusters of prompts drawn with replacement.
        jackknife: (m, k) with each cluster left out; NaN where it is all that a class has.
        count: prompts.
        trials: clusters that hold the rarer class: what a row whose clusters are all alike has been tried on.
    """

    values: Quantities
    replicates: Quantities
    jackknife: Quantities
    count: int
    trials: int
    _kept: dict[float, Quantities] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def auc(self) -> Array:
        """(m)."""
        return self.values.auc

    @property
    def accuracy(self) -> Array:
        """(m)."""
        return self.values.accuracy

    @property
    def separation(self) -> Array:
        """(m)."""
        return self.values.separation

    @property
    def clusters(self) -> int:
        """How many clusters the prompts come in."""
        return int(self.jackknife.auc.shape[1])

    def estimate(self, label: str, quantity: Quantity) -> Estimate:
        """Any quantity of these, such as `lambda part: part.separation[3]`, with its interval.

        The interval is BCa at expanded levels. An AUC or accuracy near its edge has next to no errors to resample, and
        replicates say little or nothing of how many there are: such a value has binomial limits too (`_at_the_edge`).
        By how much a quantity moves when the value is moved to what these reach beyond its BCa limits is added, in
        squares, to the quantity's own reach on that side (Zou and Donner 2008, Construction of confidence limits about
        effect measures).

        Args:
            quantity: takes arrays (m, ...) and gives (...), entry by entry over the last axis.

        Raises:
            InputError: NaN or infinity, or another shape.
        """
        parts = (self.values, self.replicates, self.jackknife)
        value, replicates, left_out = (_computed(label, quantity, part) for part in parts)
        if not (np.isfinite(value) and np.isfinite(replicates).all()):
            raise InputError(f"{label}: expected finite values, got NaN or infinity")
        smooth = self._resampled(label, float(value), replicates, left_out)
        if not self._edges:
            return smooth

        def limits(confidence: float) -> tuple[float, float]:
            low, high = smooth.interval(confidence)
            changes = _computed(label, quantity, self._moved(confidence)) - smooth.value
            below = (smooth.value - low) ** 2 + float((np.minimum(changes, 0.0) ** 2).sum())
            above = (high - smooth.value) ** 2 + float((np.maximum(changes, 0.0) ** 2).sum())
            return smooth.value - float(np.sqrt(below)), smooth.value + float(np.sqrt(above))

        return replace(smooth, limits=limits)

    def _resampled(self, label: str, value: float, replicates: Array, left_out: Array) -> Estimate:
        return Estimate(
            label,
            value,
            replicates,
            count=self.count,
            acceleration=acceleration(left_out),
            clusters=self.clusters,
            freedom=freedom(left_out),
        )

    @cached_property
    def _edges(self) -> tuple[tuple[str, int], ...]:
        """Which AUC and accuracies have fewer effective errors, or effective hits, than replicates can show."""
        found = []
        for name in ("auc", "accuracy"):
            values, drawn = getattr(self.values, name), getattr(self.replicates, name)
            for row, value in enumerate(values):
                trials = effective_trials(value, drawn[row].var(), self.count)
                if _alike(drawn[row]) or min(value, 1 - value) * trials < FEW:
                    found.append((name, row))
        return tuple(found)

    def _moved(self, confidence: float) -> Quantities:
        """(m, 2 e) the values, in each column with one of those at their edge moved down or up.

        Kept for each confidence: every quantity of these asks for the same.
        """
        if confidence not in self._kept:
            columns = {
                name: np.repeat(getattr(self.values, name)[:, None], 2 * len(self._edges), axis=1)
                for name in ("auc", "accuracy")
            }
            for place, (name, row) in enumerate(self._edges):
                columns[name][row, 2 * place : 2 * place + 2] = self._at_the_edge(name, row, confidence)
            whole = np.broadcast_to(self.values.separation[:, None], columns["auc"].shape)
            self._kept[confidence] = Quantities(columns["auc"], columns["accuracy"], whole)
        return self._kept[confidence]

    def _at_the_edge(self, name: str, row: int, confidence: float) -> tuple[float, float]:
        """Where a value is moved down and up: by what its binomial limits reach beyond its BCa limits, in squares.

        The limits are Clopper-Pearson's at the effective number of trials (Korn and Graubard 1998). A value that is
        the same in all replicates, such as exactly 1, has no such number: of k clusters that are all alike, the share
        of clusters that are not is at most q = 1 - (alpha / 2)^(1 / k) (Clopper-Pearson), and those may be all wrong or
        all right, which takes a value v to v (1 - q) or v (1 - q) + q. A cluster is all wrong when its two classes are
        mirrored, and then takes its own share from an AUC.
        """
        value, drawn = getattr(self.values, name)[row], getattr(self.replicates, name)[row]
        if _alike(drawn):
            share = binomial_limits(0, self.trials, confidence)[1]
            return value * (1 - share), value * (1 - share) + share
        far = effective_limits(value, drawn.var(), self.count, confidence, self.clusters)
        near = self._resampled(name, value, drawn, getattr(self.jackknife, name)[row]).interval(confidence)
        below, above = ((value - far[end]) ** 2 - (value - near[end]) ** 2 for end in (0, 1))
        return value - float(np.sqrt(max(below, 0.0))), value + float(np.sqrt(max(above, 0.0)))


def _alike(drawn: Array) -> bool:
    """Whether replicates of a share differ by rounding alone."""
    return bool(np.ptp(drawn) <= 1e-12)


def _computed(label: str, quantity: Quantity, part: Quantities) -> Array:
    """A quantity, which must keep the last axes of what it is given."""
    found = np.asarray(quantity(part), dtype=np.float64)
    if found.shape != part.auc.shape[1:]:
        raise InputError(f"{label}: expected a quantity {part.auc.shape[1:]} of {part.auc.shape}, got {found.shape}")
    return found
