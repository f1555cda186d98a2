"""What laws say of delays whose settings were dealt out anew: draws that the laws of the real ones are ranked among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.families.grokking_law import laws
from ace.families.grokking_law.over_seeds import Statistic
from ace.study.delays import Delays, dealt, regrouped
from ace.study.rest import DRAWS, Rest

SHUFFLED = "settings shuffled"
ALL = "all seeds"


def exponent_dealt(delays: Delays) -> Rest:
    """Exponents of the same delays with weight decays dealt out anew."""

    def values(numbers: Sequence[int]) -> Array:
        return _told(laws.exponent(*dealt(delays, numbers)), 0.0)[:, None]  # without a fit, no exponent

    return Rest(ALL, (ALL,), values, control=SHUFFLED)


def misses_dealt(delays: Delays, parts: Sequence[str]) -> Rest:
    """What the law misses each modulus by that was fitted to the others, their runs' moduli dealt out anew among them.

    The modulus that is foretold keeps its own delays: were they dealt out as well, all means would be alike, which
    takes no law to foretell.
    """
    moduli = np.unique(delays.moduli)
    seen = laws.seen_at(delays, np.ones((1, len(delays.logs))), moduli)

    def values(numbers: Sequence[int]) -> Array:
        told = []
        for place, modulus in enumerate(moduli):
            others = delays.where(delays.moduli != modulus)
            told.append(laws.redundancy_law(*dealt(others, numbers), moduli[[place]])[:, 0])
        return _told(seen - laws.waited(np.stack(told, axis=1), delays), delays.waited)

    return Rest(ALL, tuple(parts), values, control=SHUFFLED)


def changes_dealt(decays: tuple[Delays, Delays], moduli: tuple[Delays, Delays], parts: Sequence[str]) -> Rest:
    """Changes of the exponent and of each modulus' mean log delay, from the second of each pair to the first.

    The first has its settings dealt out anew.
    """
    places = np.unique(moduli[0].moduli)
    ones = [np.ones((1, len(shared.logs))) for _, shared in (decays, moduli)]
    slope, means = laws.exponent(decays[1], ones[0]), laws.means(moduli[1], ones[1], places)

    def values(numbers: Sequence[int]) -> Array:
        slopes = laws.exponent(*dealt(decays[0], numbers)) - slope
        levels = laws.means(*dealt(moduli[0], numbers), places) - means
        return _told(np.concatenate([slopes[:, None], levels], axis=1), moduli[0].waited)

    return Rest(ALL, tuple(parts), values, control=SHUFFLED)


def regrouped_p(first: Delays, second: Delays, statistic: Statistic) -> float:
    """Rank p-value of the largest change of a statistic from the second delays to the first, were it all chance.

    Among as many draws as the rest has, in which runs are of the first or the second anew within each setting.
    """
    both = first + second
    mine = np.arange(len(both.logs)) < len(first.logs)
    own = np.concatenate([mine[None].astype(np.float64), regrouped(first, second, range(DRAWS))])
    with np.errstate(all="ignore"):
        change = np.abs(statistic(both, own) - statistic(both, 1 - own)).reshape(len(own), -1).max(axis=1)
    return float((1 + (change[1:] >= change[0] * (1 - 1e-9)).sum()) / (1 + DRAWS))


def along_a_power(delays: Delays, statistic: Statistic) -> Array:
    """A statistic (b) of delays that a power of the modulus is the law of, in as many draws as the rest has.

    In each, runs keep their scatter about their modulus' mean, and how far those means lie off the best power is dealt
    anew among the moduli, either way: were the power the law, they would lie off it by chance, as the deal of the
    pairs has it that all runs of a modulus share. The best power lies nearer to them than the true one would, since
    two numbers of it are fitted to them: what is dealt is longer by that much. A modulus none of whose delays ended
    has no mean: the best power is that of the others, and in a draw its runs end where that says, off it as others are.

    Raises:
        Inapplicable: fewer than three moduli have a mean, or a statistic cannot be told in a draw.
    """
    ones, moduli = np.ones((1, len(delays.logs))), np.unique(delays.moduli)
    means = laws.means(delays, ones, moduli)[0]
    known = np.isfinite(means)
    if known.sum() <= laws.POWER_NUMBERS:
        raise Inapplicable(f"expected three moduli with delays that ended, to deal out anew, got {known.sum()}")
    place, rng = np.searchsorted(moduli, delays.moduli), np.random.default_rng(0)
    told = known[place]
    power = laws.power_law(delays.where(told), ones[:, told], moduli)[0]
    off = means - power
    along = np.where(told, delays.logs - off[place], power[place])  # with each run's scatter, where it has one
    longer = np.sqrt(known.sum() / (known.sum() - laws.POWER_NUMBERS))

    def drawn() -> float:
        anew = np.empty(len(moduli))
        anew[known] = off[known][rng.permutation(known.sum())]
        anew[~known] = rng.choice(off[known], (~known).sum())
        logs = along + (longer * anew * rng.choice((-1.0, 1.0), len(moduli)))[place]
        ended = np.where(told, delays.ended, logs < delays.waited)
        logs = np.where(told, logs, np.minimum(logs, delays.waited))
        return float(statistic(replace(delays, logs=logs, ended=ended), ones)[0])

    draws = np.array([drawn() for _ in range(DRAWS)])
    untold = int((~np.isfinite(draws)).sum())
    if untold:
        raise Inapplicable(f"expected every draw along a power to be told, got {untold} of {DRAWS} that are not")
    return draws


def _told(values: Array, nothing: float) -> Array:
    """Draws with a number for what could not be fitted, far from any law."""
    return np.where(np.isfinite(values), values, nothing)
