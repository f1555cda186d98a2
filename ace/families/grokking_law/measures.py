"""What the claims about the grokking delay measure, each with its controls."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.families.grokking_law import laws
from ace.families.grokking_law.foretelling import (
    EVERY,
    LAW,
    RIVALS,
    advantage,
    explained,
    misses,
    names_of,
    of_control,
)
from ace.families.grokking_law.over_seeds import Sampled, Statistic, estimate, estimated, estimates, sampled
from ace.families.grokking_law.shuffles import (
    ALL,
    SHUFFLED,
    along_a_power,
    changes_dealt,
    exponent_dealt,
    misses_dealt,
    regrouped_p,
)
from ace.stats import Estimate
from ace.study.delays import Delays
from ace.study.measurement import Measurement, measures
from ace.study.sweep import SweepSubject

GIVEN, NO_DECAY = "all but the head given", "without weight decay"
OTHERS = "mean of the other moduli"
FULL, FULL_PART = "with full batches", "decays-full-batch"  # where the decays have other batches than the moduli
OWN = "each seed with a deal of its own"
POWER = "delays along a power of the modulus"
REACH = "what a power reaches by chance"
SHARE = 0.95  # of draws along a power


@measures(SHUFFLED, GIVEN)
def omega(subject: SweepSubject) -> Measurement:
    """Exponent of the delay in the weight decay."""
    delays, given = (subject.trained.delays(part) for part in ("decays", "decays-given"))
    full, in_full = dict[str, Any](), dict[str, tuple[Estimate, ...]]()
    with suppress(Inapplicable):  # not trained, or too little of it, which the claim does not hang on
        beside = subject.trained.delays(FULL_PART)
        in_full = {FULL: (estimate(ALL, beside, laws.exponent),)}
        full = {
            f"decays, {FULL}": _typical(beside, beside.decays),
            f"exponents between neighbours, {FULL}": _between_neighbours(beside),
        }
    return Measurement(
        (estimate(ALL, delays, laws.exponent),),
        {GIVEN: (estimate(ALL, given, laws.exponent),)},
        rest=(exponent_dealt(delays),),
        details={
            **_details(subject, delays),
            "decays": _typical(delays, delays.decays),
            "exponents between neighbours": _between_neighbours(delays),
            **full,
            GIVEN: _typical(given, given.decays),
        },
        beside={
            **in_full,
            "medians": (estimate(ALL, delays, laws.median_exponent),),
            "those that ended": (estimate(ALL, delays.where(delays.ended), laws.exponent),),
        },
    )


@measures(SHUFFLED, GIVEN, NO_DECAY)
def redundancy(subject: SweepSubject) -> Measurement:
    """What the law misses each modulus by, seen minus foretold in log delay, each modulus from the others."""
    delays, given, free = (subject.trained.delays(part) for part in ("moduli", "moduli-given", "moduli-no-decay"))
    ones = np.ones((1, len(delays.logs)))
    constant, critical = laws.redundancy(delays, ones)
    seen, told = laws.foretold(delays, ones, laws.redundancy_law)
    missed = misses(delays)
    of_rivals = {name: misses(delays, of) for name, of in RIVALS.items()}
    own_deals: dict[str, tuple[Estimate, ...]] = {}
    with suppress(Inapplicable):  # not trained, or too little of it, which the claim does not hang on
        own_deals = {OWN: misses(subject.trained.delays("moduli-own-split"))}
    named = names_of(np.unique(delays.moduli))
    return Measurement(
        missed,
        {GIVEN: of_control(GIVEN, given), NO_DECAY: of_control(NO_DECAY, free)},
        rest=(misses_dealt(delays, [one.label for one in missed]),),
        details={
            **_details(subject, delays),
            "omega": float(np.exp(constant[0])),
            "critical": float(critical[0]),
            "moduli": _typical(delays, delays.moduli),
            GIVEN: _typical(given, given.moduli),
            NO_DECAY: _typical(free, free.moduli),
            "foretold": dict(zip(named, np.exp(told[0]).tolist(), strict=True)),
            "seen": dict(zip(named, np.exp(seen[0]).tolist(), strict=True)),
            "missed": {
                name: {modulus: _written(one) for modulus, one in zip(named, each, strict=True)}
                for name, each in {LAW: missed, **of_rivals}.items()
            },
            "held-out R2": {
                name: _written(estimate(ALL, delays, explained(of), most=1.0)) for name, of in EVERY.items()
            },
        },
        beside={**of_rivals, **own_deals},
    )


@measures(POWER)
def rivals(subject: SweepSubject) -> Measurement:
    """How much more of the variance the law of redundancy foretells than the better of its rivals.

    The bound is what 95 of 100 draws stay below in which a power of the modulus is the law: of a few moduli that lie
    off a straight line by chance, a line that bends often misses less.
    """
    delays = subject.trained.delays("moduli")
    law, *others = (sampled(delays, explained(of)) for of in EVERY.values())

    def over(*rivals: Sampled) -> Estimate:
        better = Sampled(*(np.max(parts, axis=0) for parts in zip(*rivals, strict=True)))
        return estimated(ALL, delays, Sampled(law.values - better.values, law.left_out - better.left_out))

    ours = over(*others)
    drawn = along_a_power(delays, advantage)
    as_good = int((drawn >= ours.value - 1e-9).sum())
    return Measurement(
        (ours,),
        {POWER: (estimate(ALL, moved_to_a_power(delays), advantage),)},
        {REACH: max(0.0, float(np.quantile(drawn, SHARE, method="higher")))},
        details={
            **_details(subject, delays),
            "by chance, were the power the law": (1 + as_good) / (1 + len(drawn)),
            "draws along a power in which the law does better": float((drawn > 0).mean()),
        },
        beside={f"over the {name}": (over(rival),) for name, rival in zip(RIVALS, others, strict=True)},
    )


@measures(OTHERS)
def consistency(subject: SweepSubject) -> Measurement:
    """Log of the delay that the weight decays foretell at their modulus over that which the other moduli foretell."""
    study = subject.trained
    decays, moduli = study.delays(FULL_PART if FULL_PART in study.sweep.parts else "decays"), study.delays("moduli")
    (modulus,) = np.unique(decays.moduli)
    of_decays = decays.where(decays.decays != 1.0)
    others = moduli.where(moduli.moduli != modulus)
    if len(of_decays.logs) == 0 or len(np.unique(others.moduli)) < 3:
        raise Inapplicable("expected weight decays other than 1, and three moduli other than theirs")
    both = of_decays + others
    first = np.arange(len(both.logs)) < len(of_decays.logs)

    def apart(law: laws.Law) -> Statistic:
        def statistic(delays: Delays, counts: Array) -> Array:
            told = laws.waited(law(delays.where(~first), counts[:, ~first], np.array([modulus]))[:, 0], delays)
            return laws.product(delays.where(first), counts[:, first]) - told

        return statistic

    return Measurement(
        (estimate(ALL, both, apart(laws.redundancy_law)),),
        {OTHERS: (estimate(ALL, both, apart(_mean_law)),)},
        details={**_details(subject, both), "modulus": int(modulus)},
        beside={"by the power law": (estimate(ALL, both, apart(laws.power_law)),)},
    )


@measures(SHUFFLED)
def split(subject: SweepSubject) -> Measurement:
    """What changes where every seed has its own deal of the pairs: exponent, and mean log delay at each modulus."""
    study = subject.trained
    decays, moduli = (study.delays(part) for part in ("decays", "moduli"))
    own_decays, own_moduli = (study.delays(f"{part}-own-split") for part in ("decays", "moduli"))
    own_decays, decays = _shared(own_decays, decays)
    own_moduli, moduli = _shared(own_moduli, moduli)

    slope, level, each = (
        _change(statistic, own, shared)
        for statistic, own, shared in (
            (laws.exponent, own_decays, decays),
            (_mean_delay, own_moduli, moduli),
            (_delay_at_each, own_moduli, moduli),
        )
    )
    both = own_moduli + moduli
    changes = (
        estimate("exponent", own_decays + decays, slope),
        *estimates([f"modulus {name}" for name in names_of(np.unique(both.moduli))], both, each),
    )
    labels = [change.label for change in changes]
    law: dict[str, list[float]] = {}
    with suppress(Inapplicable):  # of fewer than three moduli none is foretold from the others
        law = {
            "explained with splits of their own": _written(estimate(ALL, own_moduli, explained(EVERY[LAW]), most=1.0))
        }
    return Measurement(
        changes,
        {},
        rest=(changes_dealt((own_decays, decays), (own_moduli, moduli), labels),),
        details={
            **_details(subject, own_moduli),
            "by chance": {
                "exponent": regrouped_p(own_decays, decays, laws.exponent),
                "largest change of a modulus": regrouped_p(own_moduli, moduli, _delay_at_each),
            },
            **law,
        },
        beside={"mean over moduli": (estimate("delay", both, level),)},
    )


def _change(statistic: Statistic, own: Delays, shared: Delays) -> Statistic:
    """Of the runs of both, those of the first before those of the second: the first's statistic less the second's."""
    first = np.arange(len(own.logs) + len(shared.logs)) < len(own.logs)
    return lambda both, counts: (
        statistic(both.where(first), counts[:, first]) - statistic(both.where(~first), counts[:, ~first])
    )


def moved_to_a_power(delays: Delays) -> Delays:
    """Delays as a power of the modulus would have them, each as far off its curve as it is off the other law's."""
    ones, each = np.ones((1, len(delays.logs))), delays.moduli
    moved = laws.power_law(delays, ones, each)[0] - laws.redundancy_law(delays, ones, each)[0]
    return replace(delays, logs=delays.logs + moved)


def _mean_law(delays: Delays, counts: Array, moduli: Array) -> Array:
    each = laws.means(delays, counts, np.unique(delays.moduli))
    return np.repeat(laws.known_mean(each)[:, None], len(moduli), axis=1)


def _mean_delay(delays: Delays, counts: Array) -> Array:
    return laws.known_mean(laws.means(delays, counts, np.unique(delays.moduli)))


def _delay_at_each(delays: Delays, counts: Array) -> Array:
    return laws.means(delays, counts, np.unique(delays.moduli))


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
        for name, value in zip(names_of(np.unique(by)), np.unique(by), strict=True)
    }


def _written(estimate: Estimate) -> list[float]:
    """Value and both ends of its interval, plain numbers."""
    return [float(number) for number in (estimate.value, *estimate.interval())]
