"""Delays between memorising and generalising as arrays, a column a setting and a row a seed, some of them censored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ace.arrays import Array, Bools, Ints
from ace.errors import Inapplicable
from ace.stats import resample_counts
from ace.training.sweep.recipe import Part, Run
from ace.training.sweep.state import Outcome
from ace.training.sweep.table import SweepTable

ENTRIES = ("moduli", "decays", "seeds", "logs", "ended", "ratios")  # one a run
SHORTEST = 1.0  # steps: a run may generalise at the step at which it memorises, or before


@dataclass(frozen=True, eq=False)
class Delays:
    """Delays of a part of a sweep, flat: one entry a run that memorised.

    Attributes:
        moduli, decays: (n) settings of each run.
        seeds: (n) which seed.
        logs: (n) log of the delay in steps, of at least one; where it did not end, of the steps that were waited.
        ended: (n) whether the run generalised.
        ratios: (n) log of the ratio of the weights' squared norms when memorised and when generalised; NaN where not.
        left_out: runs that did not memorise, or failed.
        waiting: runs that are done, of settings of which others are not.
        waited: log of the steps after which a run is given up: no delay could be seen that is longer.
    """

    moduli: Array
    decays: Array
    seeds: Ints
    logs: Array
    ended: Bools
    ratios: Array
    left_out: int
    waiting: int = 0
    waited: float = field(kw_only=True)

    @property
    def settings(self) -> list[tuple[float, float]]:
        """(n) modulus and weight decay of each run."""
        return list(zip(self.moduli.tolist(), self.decays.tolist(), strict=True))

    def where(self, chosen: Bools) -> Delays:
        """Some of the runs."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in ENTRIES})

    def __add__(self, other: Delays) -> Delays:
        """The runs of both, those of this first."""
        both: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ENTRIES}
        lacking: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in ("left_out", "waiting")}
        return Delays(**both, **lacking, waited=max(self.waited, other.waited))

    def counts(self, resamples: int, seed: int = 0) -> Array:
        """(1 + resamples, n) how often each run counts: once each, then with its seed drawn with replacement.

        A seed's runs stay together: they share initial weights, batches and, in part, the deal of the pairs.
        """
        names = np.unique(self.seeds)
        drawn = resample_counts(len(names), resamples, seed)
        whole = np.concatenate([np.ones((1, len(names))), drawn])
        return np.asarray(whole[:, np.searchsorted(names, self.seeds)], dtype=np.float64)

    def left_out_counts(self) -> Array:
        """(k, n) how often each run counts with each seed left out."""
        names = np.unique(self.seeds)
        return np.asarray(self.seeds[None] != names[:, None], dtype=np.float64)


def delays_of(table: SweepTable, part: Part) -> Delays:
    """Delays of a part's runs, of the settings whose runs are all in the table.

    Raises:
        Inapplicable: no setting is trained to its end, or none of the runs memorised.
    """
    outcomes, waiting = settled(table, part)
    if not outcomes:
        runs = len(tuple(part.runs()))
        raise Inapplicable(f"expected a setting all of whose runs are trained, got {waiting} runs of {runs}")
    told = [outcome for outcome in outcomes if outcome.memorised is not None and not outcome.error]
    if not told:
        raise Inapplicable(f"expected runs that memorised, got none of {len(outcomes)}")
    lengths = [_length(outcome) for outcome in told]
    return Delays(
        moduli=_array([outcome.run.modulus for outcome in told]),
        decays=_array([outcome.run.weight_decay for outcome in told]),
        seeds=np.asarray([outcome.run.seed for outcome in told], dtype=np.int64),
        logs=np.log(_array(lengths)),
        ended=np.asarray([outcome.generalised is not None for outcome in told]),
        ratios=_array([_ratio(outcome) for outcome in told]),
        left_out=len(outcomes) - len(told),
        waiting=waiting,
        waited=float(np.log(table.settings["search"]["limit"])),
    )


def settled(table: SweepTable, part: Part) -> tuple[list[Outcome], int]:
    """Outcomes of the settings of a part whose runs are all in the table, and how many others there are.

    Of a setting that is still being trained the fast runs are there first: they do not stand for all.
    """
    runs = tuple(part.runs())
    done = table.of(runs)
    open_settings = {run.setting for run in set(runs) - {outcome.run for outcome in done}}
    outcomes = [outcome for outcome in done if outcome.run.setting not in open_settings]
    return outcomes, len(done) - len(outcomes)


def missing(table: SweepTable, parts: Sequence[Part]) -> list[Run]:
    """Runs of some parts that are not in the table yet."""
    known = {outcome.run for outcome in table.outcomes}
    return sorted({run for part in parts for run in part.runs()} - known)


def dealt(delays: Delays, numbers: Sequence[int]) -> tuple[Delays, Array]:
    """The settings of each seed's runs dealt out anew among them, once for each of g numbers.

    A seed keeps its runs and its settings: what its runs share stays as it was.

    Returns:
        every run at each of the k settings, and (g, n k) which of these a number deals out: 1, or 0.
    """
    settings, of = np.unique(np.stack([delays.moduli, delays.decays], axis=1), axis=0, return_inverse=True)
    of, runs = of.reshape(-1), len(delays.logs)
    counts = np.zeros((len(numbers), runs, len(settings)))
    groups = [np.flatnonzero(delays.seeds == seed) for seed in np.unique(delays.seeds)]
    for row, number in enumerate(numbers):
        rng = np.random.default_rng(number)
        for group in groups:
            counts[row, group, rng.permutation(of[group])] = 1
    every: dict[str, Any] = {name: np.repeat(getattr(delays, name), len(settings)) for name in ENTRIES}
    every |= {"moduli": np.tile(settings[:, 0], runs), "decays": np.tile(settings[:, 1], runs)}
    return replace(delays, **every), counts.reshape(len(numbers), -1)


def regrouped(first: Delays, second: Delays, numbers: Sequence[int]) -> Array:
    """(g, n) which runs of both, those of the first before those of the second, are of the first: 1, or 0.

    Dealt out anew within each setting, once for each of g numbers; as many of each setting as there are.
    """
    both = first + second
    _, of = np.unique(np.stack([both.moduli, both.decays], axis=1), axis=0, return_inverse=True)
    own = (np.arange(len(both.logs)) < len(first.logs)).astype(np.float64)
    counts = np.empty((len(numbers), len(own)))
    groups = [np.flatnonzero(of.reshape(-1) == place) for place in range(of.max() + 1)]
    for row, number in enumerate(numbers):
        rng = np.random.default_rng(number)
        for group in groups:
            counts[row, group] = rng.permutation(own[group])
    return counts


def _length(outcome: Outcome) -> float:
    assert outcome.memorised is not None
    end = outcome.generalised.step if outcome.generalised is not None else outcome.steps
    return max(SHORTEST, end - outcome.memorised.step)


def _ratio(outcome: Outcome) -> float:
    if outcome.memorised is None or outcome.generalised is None:
        return np.nan
    return 2 * float(np.log(outcome.memorised.norm / outcome.generalised.norm))


def _array(values: Sequence[float]) -> Array:
    return np.asarray(values, dtype=np.float64)
