"""The law of the grokking delay on delays that are drawn along it, or as far off it as the bound lies."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ace.families.grokking_law import laws
from ace.families.grokking_law.claims import QUARTER
from ace.families.grokking_law.foretelling import misses
from ace.families.grokking_law.over_seeds import estimate
from ace.holm import holm_intervals
from ace.stats import Estimate
from ace.study.delays import Delays
from invariants.calibration.coverage import COLUMNS, ERRORS, PLAIN, SIDE, Asked, coverage
from invariants.calibration.samples import Generator
from invariants.calibration.section import Entry, Row, Section

DECAYS = (0.3, 0.5, 1.0, 1.5, 2.0, 3.0)
COMPACT, PUBLISHED = (29, 31, 37, 41, 47, 53, 59), (31, 43, 53, 61, 79, 89, 101)
NEVER = 20.0  # log of more steps than any run takes
CRITICAL = 24.0
OF_SEED = 0.5  # deviation of a seed over that of a run
COST = 6.0


def drawn(
    rng: Generator, settings: Sequence[tuple[float, float, float]], seeds: int, noise: float, wait: float
) -> Delays:
    """Delays at settings (modulus, weight decay, mean log delay), with deviations of each seed and of each run."""
    moduli, decays, means = (np.repeat(column, seeds) for column in np.array(settings).T)
    of = np.tile(np.arange(seeds), len(settings))
    logs = means + noise * (OF_SEED * rng.standard_normal(seeds)[of] + rng.standard_normal(of.size))
    nothing = np.full(of.size, np.nan)
    return Delays(moduli, decays, of, np.minimum(logs, wait), logs < wait, nothing, 0, waited=wait)


def exponent(rng: Generator, seeds: int, noise: float, wait: float) -> Mapping[str, Estimate]:
    """The exponent of delays that are as one over the weight decay."""
    delays = drawn(rng, [(31, decay, 6.5 - math.log(decay)) for decay in DECAYS], seeds, noise, wait)
    return {"exponent": estimate("", delays, laws.exponent)}


def of_moduli(
    rng: Generator, moduli: Sequence[int], seeds: int, noise: float, off: Mapping[int, float]
) -> tuple[Estimate, ...]:
    """What the law misses each modulus by, some of which are off it."""
    means = [(p, 1.0, math.log(-600 * math.log1p(-CRITICAL / p)) + off.get(p, 0.0)) for p in moduli]
    return misses(drawn(rng, means, seeds, noise, NEVER))


def missed(rng: Generator, moduli: Sequence[int], seeds: int, noise: float) -> Mapping[str, Estimate]:
    """The same by name, along the law."""
    return {f"miss of {one.label}": one for one in of_moduli(rng, moduli, seeds, noise, {})}


def holds(estimates: Sequence[Estimate]) -> bool:
    """Every modulus within the claim's margin, at its Holm level."""
    inside = holm_intervals(estimates, lambda value: QUARTER - abs(value))
    return all(one.low >= -QUARTER and one.high <= QUARTER for one in inside)


def _on_bound(moduli: Sequence[int], seeds: int, noise: float, modulus: int, sign: int) -> Entry:
    side = "over" if sign > 0 else "under"
    name = f"modulus {modulus} of {len(moduli)} a quarter {side} the law, {seeds} seeds, deviation {noise:g}"

    def run(trials: int) -> tuple[Row, ...]:
        held = 0
        for trial in range(trials):
            rng = np.random.default_rng([zlib.crc32(name.encode()), trial])
            held += holds(of_moduli(rng, moduli, seeds, noise, {modulus: sign * QUARTER}))
        share, error = held / trials, math.sqrt(SIDE * (1 - SIDE) / trials)
        amiss = f"HOLDS in {share:.1%}, limit {SIDE:.0%}" if share > SIDE + ERRORS * error else ""
        where = f"{modulus}, a quarter {side}"
        cells = (where, f"{len(moduli)}", f"{seeds}", f"{noise:g}", f"{trials}", f"{share:.1%} ± {error:.1%}")
        return (Row((*cells, amiss and f"**{amiss}**"), amiss),)

    return Entry(name, run, cost=COST)


def _misses(data: str, moduli: Sequence[int], seeds: int, noise: float, asked: Asked = PLAIN) -> Entry:
    draw = partial(missed, moduli=moduli, seeds=seeds, noise=noise)
    truths = {f"miss of modulus {one}": 0.0 for one in moduli}
    return coverage(f"{data}, deviation {noise:g}", draw, truths, asked, cost=COST)


def _exponent(seeds: int, noise: float, wait: float) -> Entry:
    given_up = ", some given up" if wait < NEVER else ""
    draw = partial(exponent, seeds=seeds, noise=noise, wait=wait)
    cost = COST if given_up else 3.0
    return coverage(f"6 decays, {seeds} seeds, deviation {noise:g}{given_up}", draw, {"exponent": -1.0}, cost=cost)


SECTION = Section(
    "The law of the grokking delay",
    "The exponent of `law.omega` and what `law.redundancy` judges, seen minus foretold log delay of each modulus, on"
    " log-normal delays along the law, with deviations of each run and half as large ones of each seed.",
    COLUMNS,
    (
        _exponent(6, 0.2, NEVER),
        _exponent(8, 0.2, NEVER),
        _exponent(12, 0.2, NEVER),
        _exponent(8, 0.2, 7.9),
        _misses("7 moduli, 6 seeds", COMPACT, 6, 0.15),
        _misses("7 published moduli, 12 seeds", PUBLISHED, 12, 0.15),
        _misses("4 moduli, 12 seeds", PUBLISHED[:4], 12, 0.15),
    ),
)
ON_BOUND = Section(
    "The law of the grokking delay, off by a quarter",
    "How often `law.redundancy` HOLDS where one modulus is off the law by as much as its bound allows. It is asked to"
    " be 5 % at most.",
    ("modulus off the law", "moduli", "seeds", "deviation", "trials", "HOLDS", ""),
    tuple(
        _on_bound(moduli, seeds, noise, modulus, sign)
        for moduli, seeds, noise, modulus, sign in (
            (COMPACT, 6, 0.05, 41, 1),
            (COMPACT, 6, 0.05, 59, -1),
            (PUBLISHED, 12, 0.05, 31, 1),
            (PUBLISHED, 12, 0.1, 61, -1),
        )
    ),
)
