"""What the claims about the grokking delay measure, each with its controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.families.grokking_law import laws
from ace.intervals import acceleration, freedom
from ace.stats import RESAMPLES, Estimate, exact
from ace.study.delays import Delays, shuffled
from ace.study.measurement import Measurement, measures
from ace.study.sweep import SweepSubject

SHUFFLED, GIVEN, NO_DECAY = "settings shuffled", "all but the head given", "without weight decay"
OTHERS = "mean of the other moduli"
POWER = "delays along a power of the modulus"
OPEN = 0.05  # share of resamples that may have too few delays that ended

Statistic = Callable[[Delays, Array], Array]


@measures(SHUFFLED, GIVEN)
def omega(subject: SweepSubject) -> Measurement:
    """Exponent of the delay in the weight decay."""
    delays, given = (subject.trained.delays(part) for part in ("decays", "decays-given"))
    return Measurement(
        (estimate("all seeds", delays, laws.exponent),),
        {
            SHUFFLED: (estimate("all seeds", shuffled(delays), laws.exponent),),
            GIVEN: (estimate("all seeds", given, laws.exponent),),
        },
        details={
            **_details(subject, delays),
            "decays": _typical(delays, delays.decays),
            "exponents between neighbours": _between_neighbours(delays),
            GIVEN: _typical(given, given.decays),
        },
        beside={
            "medians": (estimate("all seeds", delays, laws.median_exponent),),
            "those that ended": (estimate("all seeds", delays.where(delays.ended), laws.exponent),),
        },
    )


@measures(SHUFFLED, GIVEN, NO_DECAY)
def redundancy(subject: SweepSubject) -> Measurement:
    """Share of the variance of mean log delays over moduli that the law foretells, each modulus from the others."""
    delays, given, free = (subject.trained.delays(part) for part in ("moduli", "moduli-given", "moduli-no-decay"))
    ones = np.ones((1, len(delays.logs)))
    constant, critical = laws.redundancy(delays, ones)
    seen, told = laws.foretold(delays, ones, laws.redundancy_law)
    return Measurement(
        (estimate("all seeds", delays, _explained, most=1.0),),
        {
            SHUFFLED: (estimate("all seeds", shuffled(delays), _explained, most=1.0),),
            GIVEN: (_or_nothing(given),),
            NO_DECAY: (_or_nothing(free),),
        },
        details={
            **_details(subject, delays),
            "omega": float(np.exp(constant[0])),
            "critical": float(critical[0]),
            "moduli": _typical(delays, delays.moduli),
            GIVEN: _typical(given, given.moduli),
            NO_DECAY: _typical(free, free.moduli),
            "foretold": dict(zip(_names(np.unique(delays.moduli)), np.exp(told[0]).tolist(), strict=True)),
            "seen": dict(zip(_names(np.unique(delays.moduli)), np.exp(seen[0]).tolist(), strict=True)),
        },
        beside={name: (estimate("all seeds", delays, rival, most=1.0),) for name, rival in RIVALS.items()},
    )


@measures(POWER)
def rivals(subject: SweepSubject) -> Measurement:
    """How much more of the variance the law of redundancy foretells than the better of its rivals."""
    delays = subject.trained.delays("moduli")
    law, *others = (sampled(delays, way) for way in (_explained, *RIVALS.values()))

    def over(*rivals: Sampled) -> Estimate:
        better = Sampled(*(np.max(parts, axis=0) for parts in zip(*rivals, strict=True)))
        return estimated("all seeds", delays, Sampled(law.values - better.values, law.left_out - better.left_out))

    return Measurement(
        (over(*others),),
        {POWER: (estimate("all seeds", along_a_power(delays), _advantage),)},
        details=_details(subject, delays),
        beside={f"over the {name}": (over(rival),) for name, rival in zip(RIVALS, others, strict=True)},
    )


@measures(OTHERS)
def consistency(subject: SweepSubject) -> Measurement:
    """Log of the delay that the weight decays foretell at their modulus over that which the other moduli foretell."""
    study = subject.trained
    full = "decays-full-batch"  # where the decays have other batches than the moduli, once more with the same
    decays, moduli = study.delays(full if full in study.sweep.parts else "decays"), study.delays("moduli")
    (modulus,) = np.unique(decays.moduli)
    of_decays = decays.where(decays.decays != 1.0)
    others = moduli.where(moduli.moduli != modulus)
    if len(of_decays.logs) == 0 or len(np.unique(others.moduli)) < 3:
        raise Inapplicable("expected weight decays other than 1, and three moduli other than theirs")
    both = of_decays + others
    first = np.arange(len(both.logs)) < len(of_decays.logs)

    def apart(law: laws.Law) -> Statistic:
        def statistic(delays: Delays, counts: Array) -> Array:
            told = law(delays.where(~first), counts[:, ~first], np.array([modulus]))[:, 0]
            return laws.product(delays.where(first), counts[:, first]) - told

        return statistic

    return Measurement(
        (estimate("all seeds", both, apart(laws.redundancy_law)),),
        {OTHERS: (estimate("all seeds", both, apart(_mean_law)),)},
        details={**_details(subject, both), "modulus": int(modulus)},
        beside={"by the power law": (estimate("all seeds", both, apart(laws.power_law)),)},
    )


@measures(SHUFFLED)
def split(subject: SweepSubject) -> Measurement:
    """What changes where every seed has its own deal of the pairs: exponent, and mean log delay over moduli."""
    study = subject.trained
    decays, moduli = (study.delays(part) for part in ("decays", "moduli"))
    own_decays, own_moduli = (study.delays(f"{part}-own-split") for part in ("decays", "moduli"))
    own_decays, decays = _shared(own_decays, decays)
    own_moduli, moduli = _shared(own_moduli, moduli)

    def difference(label: str, own: Delays, shared: Delays, statistic: Statistic) -> Estimate:
        both = own + shared
        first = np.arange(len(both.logs)) < len(own.logs)
        return estimate(
            label,
            both,
            lambda d, c: statistic(d.where(first), c[:, first]) - statistic(d.where(~first), c[:, ~first]),
        )

    return Measurement(
        (
            difference("exponent", own_decays, decays, laws.exponent),
            difference("delay", own_moduli, moduli, _mean_delay),
        ),
        {SHUFFLED: (difference("exponent", shuffled(own_decays), decays, laws.exponent),)},
        details=_details(subject, own_moduli),
        beside={"explained with splits of their own": (estimate("all seeds", own_moduli, _explained, most=1.0),)},
    )


class Sampled(NamedTuple):
    """A statistic of delays: (1 + b) of all and of each resample of seeds, and (k) with each seed left out."""

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


def estimated(label: str, delays: Delays, found: Sampled, most: float = np.inf) -> Estimate:
    """A statistic with its interval over seeds.

    Args:
        most: that the statistic can be.

    Raises:
        Inapplicable: too few delays ended to tell, in the sample or in more than one resample of twenty.
    """
    value, replicates = float(found.values[0]), found.values[1:]
    told, known = np.isfinite(replicates), found.left_out[np.isfinite(found.left_out)]
    if not np.isfinite(value) or told.mean() < 1 - OPEN:
        ended = int(delays.ended.sum())
        raise Inapplicable(f"expected delays that ended at enough settings, got {ended} of {len(delays.ended)}")
    return Estimate(
        label,
        value,
        replicates[told],
        count=len(delays.logs),
        clusters=len(found.left_out),
        acceleration=acceleration(known),
        freedom=freedom(known),
        possible=(-np.inf, most),
    )


def estimate(label: str, delays: Delays, statistic: Statistic, most: float = np.inf) -> Estimate:
    """A statistic of delays with its interval over seeds; see `sampled` and `estimated`."""
    return estimated(label, delays, sampled(delays, statistic), most)


def _explained(delays: Delays, counts: Array) -> Array:
    return laws.explained(*laws.foretold(delays, counts, laws.redundancy_law))


def _power_explained(delays: Delays, counts: Array) -> Array:
    return laws.explained(*laws.foretold(delays, counts, laws.power_law))


def _norm_explained(delays: Delays, counts: Array) -> Array:
    return laws.explained(*laws.norm_foretold(delays, counts))


RIVALS: dict[str, Statistic] = {"power law": _power_explained, "norm-ratio law": _norm_explained}


def _advantage(delays: Delays, counts: Array) -> Array:
    return _explained(delays, counts) - np.maximum(_power_explained(delays, counts), _norm_explained(delays, counts))


def along_a_power(delays: Delays) -> Delays:
    """Delays as a power of the modulus would have them, each as far off its curve as it is off the other law's."""
    ones, each = np.ones((1, len(delays.logs))), delays.moduli
    moved = laws.power_law(delays, ones, each)[0] - laws.redundancy_law(delays, ones, each)[0]
    return replace(delays, logs=delays.logs + moved)


def _or_nothing(delays: Delays) -> Estimate:
    """What the law foretells of a control; nothing, exactly, where its delays do not end."""
    try:
        return estimate("all seeds", delays, _explained, most=1.0)
    except Inapplicable:
        return exact("all seeds", 0.0, len(delays.logs))


def _mean_law(delays: Delays, counts: Array, moduli: Array) -> Array:
    each = laws.means(delays, counts, np.unique(delays.moduli))
    return np.repeat(laws.known_mean(each)[:, None], len(moduli), axis=1)


def _mean_delay(delays: Delays, counts: Array) -> Array:
    return laws.known_mean(laws.means(delays, counts, np.unique(delays.moduli)))


def _shared(first: Delays, second: Delays) -> tuple[Delays, Delays]:
    """Both at the settings that both have.

    Raises:
        Inapplicable: there is none.
    """
    both = set(first.settings) & set(second.settings)
    if not both:
        raise Inapplicable("expected a modulus and weight decay that are trained with either split, got none")
    kept = [np.array([pair in both for pair in delays.settings]) for delays in (first, second)]
    return first.where(kept[0]), second.where(kept[1])


def _details(subject: SweepSubject, delays: Delays) -> dict[str, Any]:
    return {
        "sweep": subject.trained.progress,
        "runs": len(delays.logs),
        "censored": int((~delays.ended).sum()),
        "left_out": delays.left_out,
        **({"done, of settings of which others are not": delays.waiting} if delays.waiting else {}),
    }


def _between_neighbours(delays: Delays) -> dict[str, float]:
    """Exponent between each weight decay and the next, from their mean log delays; censored ones count as they are."""
    decays = np.unique(delays.decays)
    means = np.array([delays.logs[delays.decays == decay].mean() for decay in decays])
    slopes = np.diff(means) / np.diff(np.log(decays))
    return {f"{low:g} to {high:g}": float(slope) for (low, high), slope in zip(pairwise(decays), slopes, strict=True)}


def _typical(delays: Delays, by: Array) -> dict[str, Any]:
    """By setting: the delays of its runs, and which of them ended."""
    return {
        name: {"delays": np.exp(delays.logs[by == value]).tolist(), "ended": delays.ended[by == value].tolist()}
        for name, value in zip(_names(np.unique(by)), np.unique(by), strict=True)
    }


def _names(values: Array) -> list[str]:
    return [f"{value:g}" for value in values]
