"""Laws of the delay, fitted with censored delays kept, and how well each foretells a modulus that it was not fitted on.

Every function takes counts (b, n), how often each run counts in each of b resamples, and gives (b) numbers; NaN where
too few delays ended to tell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ace.arrays import Array, Bools
from ace.families.grokking_law.censored import fit
from ace.study.delays import Delays

Law = Callable[[Delays, Array, Array], Array]  # delays, counts, moduli (m) -> log delays (b, m) that it foretells
CRITICAL = np.linspace(0.02, 0.995, 79)  # critical moduli tried, as shares of the smallest whose delays end
POWER_NUMBERS = 2  # that a power of the modulus is fitted with


def exponent(delays: Delays, counts: Array) -> Array:
    """(b) exponent of the power law that delays follow in the weight decay."""
    columns = np.stack([np.ones_like(delays.logs), np.log(delays.decays)], axis=1)
    found, _, _ = fit(columns, delays.logs, delays.ended, counts)
    return found[:, 1]


def median_exponent(delays: Delays, counts: Array) -> Array:
    """(b) slope of the log of the median delay in the log of the decay, by least squares: one odd run moves no median.

    Of a setting most of whose delays are censored no median is known; then there is no slope.
    """
    decays = np.unique(delays.decays)
    medians = np.stack([_median(delays, counts, delays.decays == decay) for decay in decays], axis=1)
    away = np.log(decays) - np.log(decays).mean()
    return np.asarray(medians @ away / (away @ away))


def product(delays: Delays, counts: Array) -> Array:
    """(b) log of the typical product of delay and weight decay: the constant of the law that it is the same for all."""
    logs = delays.logs + np.log(delays.decays)
    found, _, _ = fit(np.ones((len(logs), 1)), logs, delays.ended, counts)
    return found[:, 0]


def means(delays: Delays, counts: Array, moduli: Array) -> Array:
    """(b, m) mean log delay at each modulus, censored ones kept."""
    columns = []
    for modulus in moduli:
        one = delays.moduli == modulus
        found, _, _ = fit(np.ones((int(one.sum()), 1)), delays.logs[one], delays.ended[one], counts[:, one])
        columns.append(found[:, 0])
    return np.stack(columns, axis=1)


def redundancy(delays: Delays, counts: Array) -> tuple[Array, Array]:
    """Log of the constant Omega (b) and critical modulus (b) of delay = -Omega log(1 - critical / modulus).

    The best of many critical moduli, and between it and its neighbours by a parabola. NaN where delays of fewer than
    two moduli ended.
    """
    nothing = np.full(len(counts), np.nan)
    if not delays.ended.any():
        return nothing, nothing
    smallest = delays.moduli[delays.ended].min()
    above = delays.moduli >= smallest  # below, no delay ended, as the law has it wherever the critical modulus lies
    if not above.all():
        delays, counts = delays.where(above), counts[:, above]
    tries = CRITICAL * smallest
    constants, misfits = _tried(delays, counts, tries)
    misfits = np.where(_two_moduli(delays, counts), misfits, np.nan)
    known = np.isfinite(misfits).any(axis=0)
    best = np.argmin(np.where(np.isfinite(misfits), misfits, np.inf), axis=0)
    each, place = np.arange(len(counts)), np.clip(best, 1, len(tries) - 2)
    before, at, after = (misfits[place + step, each] for step in (-1, 0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.where(place == best, (before - after) / (2 * (before - 2 * at + after)), best - place)
    away = np.where(np.isfinite(away), away, best - place)
    left, middle, right = (constants[place + step, each] for step in (-1, 0, 1))
    constant = middle + away * (right - left) / 2 + away**2 * (left - 2 * middle + right) / 2
    critical = tries[place] + away * (tries[1] - tries[0])
    return np.where(known, constant, np.nan), np.where(known, critical, np.nan)


def _tried(delays: Delays, counts: Array, tries: Array) -> tuple[Array, Array]:
    """(k, b) log Omega at each of k critical moduli, and how badly it fits: a variance, or what stands for it."""
    shapes = np.log(-np.log1p(-tries[:, None] / delays.moduli))
    if delays.ended.all():  # least squares, all at once
        away, total = delays.logs - shapes, counts.sum(axis=1)
        middle = away.mean(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = (away - middle) @ counts.T / total
            return middle + shift, (away - middle) ** 2 @ counts.T / total - shift**2
    ones = np.ones((len(delays.logs), 1))
    fits = [fit(ones, delays.logs - shape, delays.ended, counts) for shape in shapes]
    likelihoods = np.stack([likelihood for _, _, likelihood in fits])
    with np.errstate(invalid="ignore", divide="ignore"):
        best = np.where(np.isnan(likelihoods), -np.inf, likelihoods).max(axis=0)
        misfits = np.exp(-2 * (likelihoods - best) / (counts * delays.ended).sum(axis=1))
    return np.stack([found[:, 0] for found, _, _ in fits]), misfits


def _two_moduli(delays: Delays, counts: Array) -> Bools:
    """(b) whether delays of two moduli ended: two numbers are not known from one."""
    seen = [(counts[:, (delays.moduli == one) & delays.ended] > 0).any(axis=1) for one in np.unique(delays.moduli)]
    return np.asarray(np.sum(seen, axis=0) >= 2)


def redundancy_law(delays: Delays, counts: Array, moduli: Array) -> Array:
    """The law of redundancy: two numbers. Up to the critical modulus it foretells that a delay never ends: infinity."""
    constant, critical = redundancy(delays, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        told = constant[:, None] + np.log(-np.log1p(-critical[:, None] / moduli))
    return np.where(critical[:, None] >= moduli, np.inf, told)


def power_law(delays: Delays, counts: Array, moduli: Array) -> Array:
    """A power of the modulus: two numbers."""
    columns = np.stack([np.ones_like(delays.logs), np.log(delays.moduli)], axis=1)
    found, _, _ = fit(columns, delays.logs, delays.ended, counts)
    return found[:, :1] + found[:, 1:] * np.log(moduli)


def waited(told: Array, delays: Delays) -> Array:
    """What a law foretells, and no later than was waited: of "never" and of "later" alike no more can be seen."""
    return np.minimum(told, delays.waited)


def foretold(delays: Delays, counts: Array, law: Law) -> tuple[Array, Array]:
    """(b, m) mean log delays at each modulus, and what the law, fitted on the others, foretells of it.

    Where none of a modulus ended, what was waited stands for what was seen.
    """
    moduli = np.unique(delays.moduli)
    told = [
        law(delays.where(delays.moduli != modulus), counts[:, delays.moduli != modulus], moduli[[place]])[:, 0]
        for place, modulus in enumerate(moduli)
    ]
    return seen_at(delays, counts, moduli), waited(np.stack(told, axis=1), delays)


def seen_at(delays: Delays, counts: Array, moduli: Array) -> Array:
    """(b, m) mean log delay at each modulus; what was waited where none ended."""
    none = [~(counts[:, (delays.moduli == modulus) & delays.ended] > 0).any(axis=1) for modulus in moduli]
    return np.where(np.stack(none, axis=1), delays.waited, means(delays, counts, moduli))


def norm_foretold(delays: Delays, counts: Array) -> tuple[Array, Array]:
    """As `foretold` by the law of norms: delay in proportion to the log ratio of squared norms over the weight decay.

    One number, fitted on the other moduli (arXiv 2603.13331). It is told the norms of the modulus that it foretells,
    which are known only once the delay is over.
    """
    moduli = np.unique(delays.moduli)
    seen = seen_at(delays, counts, moduli)
    known = delays.where(delays.ended & (delays.ratios > 0))
    kept = counts[:, delays.ended & (delays.ratios > 0)]
    ratio = np.log(known.ratios / known.decays)
    each = np.stack([_mean(ratio, kept, known.moduli == modulus) for modulus in moduli], axis=1)
    away = seen - each
    told = np.stack([known_mean(np.delete(away, place, axis=1)) for place in range(len(moduli))], axis=1)
    return seen, waited(told + each, delays)


def explained(seen: Array, told: Array) -> Array:
    """(b) share of the variance of mean log delays over moduli that is foretold; 0 for who foretells their mean.

    A modulus without an estimate of its mean, since too few of its delays ended, is left out. A law that could not be
    fitted foretells nothing and explains nothing; one that foretells "never" is as far off as was waited.
    """
    known = np.isfinite(seen)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = known_mean(seen)[:, None]
        errors = np.where(np.isnan(told), centre - seen, told - seen)
        share = 1 - np.nansum(errors**2, axis=1) / np.nansum((seen - centre) ** 2, axis=1)
    return np.where(known.sum(axis=1) >= 3, share, np.nan)


def known_mean(values: Array) -> Array:
    """(b) mean over settings (b, m) of the values that are known; NaN where none is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1))


def _median(delays: Delays, counts: Array, chosen: Bools) -> Array:
    """(b) median log delay of some runs, those that did not end being the longest; NaN where it is not known.

    All of a setting are waited for equally long, so that this is the median by Kaplan and Meier.
    """
    logs = np.where(delays.ended[chosen], delays.logs[chosen], np.inf)
    order = np.argsort(logs)
    reached = np.cumsum(counts[:, chosen][:, order], axis=1)
    total = reached[:, -1:]
    lower = logs[order][np.argmax(reached >= total / 2, axis=1)]
    upper = logs[order][np.argmax(reached > total / 2, axis=1)]
    middle = (lower + upper) / 2
    return np.where(np.isfinite(middle) & (total[:, 0] > 0), middle, np.nan)


def _mean(values: Array, counts: Array, chosen: Array) -> Array:
    total = counts[:, chosen].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((counts[:, chosen] * values[chosen]).sum(axis=1) / total)
