"""Simulation of intervals: how often they hold the truth, and how often they lie on one side of it.

A sentence whose truth lies on its bound HOLDS when the interval lies wholly on the right side of the truth.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ace.stats import Estimate
from invariants.calibration.section import Entry, Row

COLUMNS = ("interval of", "truth", "data", "trials", "covers", "below truth", "above truth", "misses at 99.75 %", "")
CONFIDENCE, STRICT = 0.95, 1 - 0.05 / 20  # the second is Holm's first level for twenty seeds
LEAST, MOST, SIDE = 0.93, 0.97, 0.05
ERRORS = 3.0  # Monte Carlo standard errors that a share may lie outside what is asked of it

Draw = Callable[[np.random.Generator], Mapping[str, Estimate]]


@dataclass(frozen=True)
class Asked:
    """What an interval is asked for, and why it is asked for something else than 93 to 97 % and 5 % on a side.

    Attributes:
        least, most: share of trials whose interval holds the truth.
        side: share of trials whose interval lies on one side of the truth, at most.
        note: why these differ from what is asked of every other interval; shown in the table.
    """

    least: float = LEAST
    most: float = MOST
    side: float = SIDE
    note: str = ""


PLAIN = Asked()
CONSERVATIVE = Asked(most=1.0, note="conservative")


@dataclass(frozen=True)
class Tally:
    """Trials of one interval, and in how many it missed the truth on either side.

    Attributes:
        below, above: trials in which the interval ends at or before the truth, or starts at or after it.
        covered: trials in which it holds the truth.
        strict: trials in which the interval at 99.75 % misses it.
    """

    trials: int = 0
    covered: int = 0
    below: int = 0
    above: int = 0
    strict: int = 0

    def count(self, estimate: Estimate, truth: float) -> Tally:
        """With one more trial."""
        low, high = estimate.interval(CONFIDENCE)
        lowest, highest = estimate.interval(STRICT)
        return Tally(
            self.trials + 1,
            self.covered + (low <= truth <= high),
            self.below + (high <= truth),
            self.above + (low >= truth),
            self.strict + (not lowest <= truth <= highest),
        )

    def amiss(self, asked: Asked) -> str:
        """What differs from what is asked for by more than Monte Carlo error, or ""."""
        shares = (
            ("covers", self.covered, asked.least, 1),
            ("covers", self.covered, asked.most, -1),
            ("lies below in", self.below, asked.side, -1),
            ("lies above in", self.above, asked.side, -1),
        )
        found = []
        for name, hits, limit, sign in shares:
            slack = ERRORS * math.sqrt(limit * (1 - limit) / self.trials)
            if sign * (hits / self.trials - limit) < -slack - 1e-12:
                found.append(f"{name} {hits / self.trials:.1%}, limit {limit:.0%}")
        return "; ".join(found)


def simulate(name: str, draw: Draw, truths: Mapping[str, float], trials: int) -> dict[str, Tally]:
    """A tally of each quantity that `draw` estimates; trials are the same whatever their number."""
    tallies = {quantity: Tally() for quantity in truths}
    for trial in range(trials):
        estimates = draw(np.random.default_rng([zlib.crc32(name.encode()), trial]))
        for quantity, truth in truths.items():
            tallies[quantity] = tallies[quantity].count(estimates[quantity], truth)
    return tallies


def coverage(
    data: str,
    draw: Draw,
    truths: Mapping[str, float],
    asked: Asked | Mapping[str, Asked] = PLAIN,
    *,
    cost: float = 1.0,
    thorough: bool = False,
) -> Entry:
    """An entry of the table, one row a quantity.

    Args:
        data: what is drawn.
        draw: from a generator to an estimate of each quantity.
        truths: quantity -> its value in the population.
        asked: of all quantities, or of each that is not plain.
    """
    first, *more = truths
    name = f"{first} = {truths[first]:g}{' and others' if more else ''}: {data}"

    def run(trials: int) -> tuple[Row, ...]:
        tallies = simulate(name, draw, truths, trials)
        return tuple(
            _row(
                quantity,
                data,
                truths[quantity],
                tally,
                asked if isinstance(asked, Asked) else asked.get(quantity, PLAIN),
            )
            for quantity, tally in tallies.items()
        )

    return Entry(name, run, cost, thorough)


def _row(quantity: str, data: str, truth: float, tally: Tally, asked: Asked) -> Row:
    amiss = tally.amiss(asked)
    shares = (tally.covered, tally.below, tally.above, tally.strict)
    error = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / tally.trials)
    covers, below, above, strict = (f"{share / tally.trials:.1%}" for share in shares)
    cells = (quantity, f"{truth:g}", data, f"{tally.trials}", f"{covers} ± {error:.1%}", below, above, strict)
    return Row((*cells, "; ".join(filter(None, (asked.note, amiss and f"**{amiss}**")))), amiss)


def crossed(first: Sequence[int], second: Sequence[bool]) -> list[tuple[int, bool]]:
    """Every pair."""
    return [(one, two) for one in first for two in second]
