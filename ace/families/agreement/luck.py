"""How well models that were never trained do by luck, from as many of them as it takes to say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import chi2, norm

from ace.stats import Estimate
from ace.study.prompt_seeds import TWINS

SHARE = 0.95  # of models without training
MOST = 19  # of them
CHANCE = 0.5


def reach_of_luck(draw: Callable[[int], float], bound: float) -> tuple[Estimate, list[float]]:
    """The AUC that 95 of 100 untrained models stay below, and those of the models that were tried.

    Which of two words a random model prefers is a matter of luck, so that its AUC lies about chance and on both sides
    alike: only how widely is estimated, with the limits of a normal variance of known mean. Models are drawn, three at
    least, until that AUC is told to be above or below the bound, or until there are 19.

    Args:
        draw: number of a model, from 0 on -> its AUC.
        bound: AUC that is said to be no luck.
    """
    aucs = [draw(index) for index in range(TWINS)]
    while True:
        found = _share_below(aucs)
        low, high = found.interval()
        if low >= bound or high < bound or len(aucs) >= MOST:
            return found, aucs
        aucs.append(draw(len(aucs)))


def _share_below(aucs: Sequence[float]) -> Estimate:
    """The AUC that `SHARE` of the models stay below, from those of some."""
    count = len(aucs)
    reach = float(norm.ppf(SHARE) * np.sqrt(np.mean((np.asarray(aucs) - CHANCE) ** 2)))

    def limits(confidence: float) -> tuple[float, float]:
        low, high = (reach * np.sqrt(count / chi2.ppf((1 + side * confidence) / 2, count)) for side in (1, -1))
        return min(1.0, CHANCE + float(low)), min(1.0, CHANCE + float(high))

    return Estimate(f"{SHARE:.0%} of models", min(1.0, CHANCE + reach), limits=limits, count=count)
