"""The rank test of a core against the rest: draws come until the verdict is settled, and no longer.

A draw counts against the core where it lies inside the claim's bound or does at least as well as the core. Were the
core itself such a draw, its rank would be uniform, so p = (1 + number that count) / (draws + 1) is at most a level with
that probability (Phipson and Smyth 2010). Drawing ends early as soon as more count than the level lets through of all
draws: what is still to come cannot change the outcome, and p = number that count / draws (Besag and Clifford 1991).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ace.arrays import Array, Bools, Ints
from ace.errors import InputError
from ace.progress import told
from ace.study.subspaces import REST

DRAWS = 199  # with one of them as good as the core p is .01
LEVEL = 0.01
BATCH = 25  # draws at a time; as many are shown where the verdict needs none
DISMISSED = (
    5.0  # standard errors on few rows by which a draw must miss to be dismissed: 3e-7 of draws, were they normal
)


@dataclass(frozen=True, eq=False)
class Rest:
    """What random subspaces of the rest do in one seed's core's place.

    Attributes:
        label: which seed.
        parts: labels of the estimates that a draw is held against; it counts where it is as good in all of them.
        values: numbers of draws (g) -> (g, parts) their values on all evaluation rows.
        few: numbers of draws (g) -> (g, parts) values and standard errors on few of these rows, where all of them are
            many: a draw that misses by far there is not tried on the others.
        control: what the draws are, where they are others than the rest.
    """

    label: str
    parts: tuple[str, ...]
    values: Callable[[Sequence[int]], Array]
    few: Callable[[Sequence[int]], tuple[Array, Array]] | None = None
    control: str = REST


@dataclass(frozen=True)
class RankTest:
    """How a core ranks among the rest.

    Attributes:
        label: which seed. control: what was drawn.
        as_good: how many draws lie inside the bound or do at least as well as the core.
        draws: how many were drawn. of: how many would have been, had it not been settled before.
        level: what p must not exceed.
        nearest: values of the draw that speaks most for the claim, one a part; on few rows if dismissed there.
        median: the median draw's values, likewise.
        dismissed: how many draws were judged on few rows.
    """

    label: str
    control: str
    as_good: int
    draws: int
    of: int
    level: float
    nearest: tuple[float, ...]
    median: tuple[float, ...]
    dismissed: int

    @property
    def settled(self) -> bool:
        """Whether enough was drawn to say that the core beats the rest, or that it does not."""
        return self.draws >= self.of or self.as_good > allowed(self.of, self.level)

    @property
    def p_value(self) -> float:
        """Rank p-value of the core."""
        if self.draws < self.of:
            return max(self.as_good, 1) / self.draws
        return (1 + self.as_good) / (1 + self.draws)

    @property
    def beaten(self) -> bool:
        """Whether the core does better than the rest."""
        return self.settled and self.p_value <= self.level


def allowed(draws: int, level: float) -> int:
    """How many of the draws may be as good as the core for its p-value to be at most the level; -1 where none may."""
    return int(np.floor(level * (draws + 1) + 1e-9)) - 1


def rank_test(
    rest: Rest,
    margins: Callable[[float], float],
    needed: Sequence[float],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    shown: bool = False,
) -> RankTest:
    """Draw from the rest until it is settled how the core ranks.

    Args:
        margins: how far inside the claim's bound a value lies, negative outside.
        needed: for each part, the margin from which on a draw counts.
        draws: the most that are drawn.
        level: of the p-value.
        shown: draw a first few alone, on few rows where there are many, for the reader: the verdict does not need them.

    Raises:
        InputError: draws too few for the level, or values that are not finite.
    """
    if allowed(draws, level) < 0:
        raise InputError(f"draws: expected at least {int(np.ceil(1 / level - 1e-9)) - 1} for p <= {level}, got {draws}")
    margin = np.vectorize(margins, otypes=[np.float64])
    goals = np.asarray(needed)
    seen: list[Array] = []
    count = dismissed = 0
    for numbers, values, doubtful in _batches(rest, BATCH if shown else draws, margin, goals):
        left = np.zeros_like(doubtful) if shown and rest.few is not None else doubtful
        if left.any():
            values[left] = _finite(rest.values(numbers[left].tolist()), rest.label)
        good = (left | shown) & (margin(values) >= goals).all(axis=1)
        dismissed += int((~left).sum())
        count += int(good.sum())
        seen.append(values)
        if count > allowed(draws, level):
            break
    every = np.concatenate(seen)
    nearest = every[int(np.argmax((margin(every) - goals).min(axis=1)))]
    return RankTest(
        rest.label,
        rest.control,
        count,
        len(every),
        draws,
        level,
        tuple(nearest.tolist()),
        tuple(np.median(every, axis=0).tolist()),
        dismissed,
    )


def _batches(
    rest: Rest, draws: int, margin: Callable[[Array], Array], goals: Array
) -> Iterator[tuple[Ints, Array, Bools]]:
    """Batch by batch: (g) numbers of draws, (g, parts) their values on few rows, (g) which of them those leave open.

    What few rows say is asked for a block of draws at once: of each there is little to compute, of a call much.
    """
    for ahead in told(list(_blocks(draws)), "blocks of draws of the rest"):
        values, doubtful = _on_few(rest, ahead, margin, goals)
        for start in range(0, len(ahead), BATCH):
            part = slice(start, start + BATCH)
            yield ahead[part], values[part], doubtful[part]


def _blocks(draws: int) -> Iterator[Ints]:
    """Numbers of draws in their order: a first batch, then twice as many as came before, in whole batches."""
    start = 0
    while start < draws:
        end = min(draws, max(BATCH, 3 * start))
        yield np.arange(start, end)
        start = end


def jackknife(statistic: Callable[[Ints], Array], rows: int, groups: int) -> tuple[Array, Array]:
    """(...) a statistic of rows and its standard error, from leaving out every k-th of so many groups in turn.

    Args:
        statistic: numbers of the rows to keep -> (...) its value.
        rows: how many there are.
        groups: at most as many; with as many, each row is left out once.
    """
    every = np.arange(rows)
    without = np.array([statistic(every[every % groups != k]) for k in range(groups)])
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return statistic(every), np.asarray(np.sqrt((groups - 1) / groups * spread))


def _on_few(rest: Rest, numbers: np.ndarray, margin: Callable[[Array], Array], goals: Array) -> tuple[Array, Bools]:
    """(g, parts) values on few rows, and (g) which draws those do not dismiss."""
    if rest.few is None:
        return np.zeros((len(numbers), len(goals))), np.ones(len(numbers), dtype=bool)
    values, errors = (_finite(part, rest.label) for part in rest.few(numbers.tolist()))
    reach = np.linspace(-DISMISSED, DISMISSED, 21)[:, None, None]  # a bound with two ends may lie in between
    best = margin(values + reach * errors).max(axis=0)
    return values, np.asarray((best >= goals).all(axis=1))


def _finite(values: Array, label: str) -> Array:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InputError(f"{label}: expected finite values (draws, parts) of the rest, got shape {array.shape}")
    return array
