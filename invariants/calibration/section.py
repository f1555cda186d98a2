"""The records that every kind of calibration fills: sections of the table, their simulations, the rows of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        cells: what stands in it, one text a column of its section.
        amiss: what is not as it should be, or "".
    """

    cells: tuple[str, ...]
    amiss: str = ""


@dataclass(frozen=True)
class Entry:
    """One simulation, which gives one row or, where several quantities are of the same data, several.

    Attributes:
        name: unique in its section.
        run: called with a number of trials.
        cost: trials of another entry that one of these takes as long as; an ordinary test run has so many fewer of it.
        thorough: not in the ordinary test run at all.
    """

    name: str
    run: Callable[[int], tuple[Row, ...]]
    cost: float = 1.0
    thorough: bool = False

    def quick(self, trials: int) -> tuple[Row, ...]:
        """Run as many of its trials as take the time of `trials` ordinary ones, 20 at least."""
        return self.run(max(20, round(trials / self.cost)))


@dataclass(frozen=True)
class Section:
    """One kind of calibration: a heading of the table, what stands under it, and its simulations."""

    title: str
    text: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
