"""Statistics of delays with their intervals, from resamples of seeds, each with all of its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.intervals import acceleration, freedom
from ace.stats import RESAMPLES, Estimate
from ace.study.delays import Delays

OPEN = 0.05  # share of resamples that may have too few delays that ended

Statistic = Callable[[Delays, Array], Array]  # delays, counts (b, n) -> (b), or (b, m) of m parts


class Sampled(NamedTuple):
    """A statistic of delays: (1 + b) or (1 + b, m) of all and of each resample of seeds, and (k) or (k, m) jackknifed.

    The latter has each seed left out in turn.
    """

    values: Array
    left_out: Array


def sampled(delays: Delays, statistic: Statistic) -> Sampled:
    """A statistic of all delays, of resamples of their seeds, each with all of its runs, and without each seed.

    Raises:
        Inapplicable: fewer than two seeds.
    """
    seeds = len(np.unique(delays.seeds))
    if seeds < 2:
        raise Inapplicable(f"expected two seeds at least, got {seeds}")
    with np.errstate(all="ignore"):
        return Sampled(statistic(delays, delays.counts(RESAMPLES)), statistic(delays, delays.left_out_counts()))


def estimated(label: str, delays: Delays, drawn: Sampled, most: float = np.inf) -> Estimate:
    """A statistic with its interval over seeds.

    Args:
        most: that the statistic can be.

    Raises:
        Inapplicable: too few delays ended to tell, in the sample or in more than one resample of twenty.
    """
    value, replicates = float(drawn.values[0]), drawn.values[1:]
    told, known = np.isfinite(replicates), drawn.left_out[np.isfinite(drawn.left_out)]
    if not np.isfinite(value) or told.mean() < 1 - OPEN:
        ended = int(delays.ended.sum())
        raise Inapplicable(f"{label}: expected delays that ended at enough settings, got {ended} of {len(delays.logs)}")
    return Estimate(
        label,
        value,
        replicates[told],
        count=len(delays.logs),
        clusters=len(drawn.left_out),
        acceleration=acceleration(known),
        freedom=freedom(known),
        possible=(-np.inf, most),
    )


def estimate(label: str, delays: Delays, statistic: Statistic, most: float = np.inf) -> Estimate:
    """A statistic of delays with its interval over seeds; see `sampled` and `estimated`."""
    return estimated(label, delays, sampled(delays, statistic), most)


def estimates(labels: Sequence[str], delays: Delays, statistic: Statistic) -> tuple[Estimate, ...]:
    """As `estimate`, of a statistic of several parts (b, m), labelled one by one."""
    drawn = sampled(delays, statistic)
    return tuple(
        estimated(label, delays, Sampled(drawn.values[:, part], drawn.left_out[:, part]))
        for part, label in enumerate(labels)
    )
