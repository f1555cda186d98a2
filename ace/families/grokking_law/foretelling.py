"""How well laws foretell a modulus that they were not fitted to: what each misses it by, and shares of variance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.families.grokking_law import laws
from ace.families.grokking_law.over_seeds import Statistic, estimates
from ace.families.grokking_law.shuffles import ALL
from ace.stats import Estimate, exact
from ace.study.delays import Delays

LAW = "the law"

Foretold = Callable[[Delays, Array], tuple[Array, Array]]  # (b, m) seen and foretold log delays of each modulus
RIVALS: dict[str, Foretold] = {
    "power law": lambda delays, counts: laws.foretold(delays, counts, laws.power_law),
    "norm-ratio law": laws.norm_foretold,
}
EVERY: dict[str, Foretold] = {
    LAW: lambda delays, counts: laws.foretold(delays, counts, laws.redundancy_law),
    **RIVALS,
}


def misses(delays: Delays, foretold: Foretold = EVERY[LAW], seeds: str = "") -> tuple[Estimate, ...]:
    """What a law misses each modulus by, log of the seen delay over the foretold one, fitted to the other moduli.

    Args:
        seeds: how labels begin, where several parts are of one control.

    Raises:
        Inapplicable: fewer than three moduli, of which two foretell another, or too few delays that ended.
    """
    moduli = np.unique(delays.moduli)
    if len(moduli) < 3:
        raise Inapplicable(f"expected three moduli, each to be foretold from the others, got {len(moduli)}")
    ended = len(np.unique(delays.moduli[delays.ended]))
    if ended < 3:  # told at once, not after a fit of every resample
        raise Inapplicable(f"expected delays that ended at three moduli, of which two foretell another, got {ended}")

    def missed(delays: Delays, counts: Array) -> Array:
        seen, told = foretold(delays, counts)
        return seen - told

    return estimates([f"{seeds}modulus {name}" for name in names_of(moduli)], delays, missed)


def of_control(name: str, delays: Delays) -> tuple[Estimate, ...]:
    """What the law misses a control's moduli by, all of the wait where none of its delays ended: no law is seen there.

    Raises:
        Inapplicable: some ended, and too few to hold the law against; names the control.
    """
    if not delays.ended.any():
        return (exact(ALL, delays.waited, len(delays.logs)),)
    try:
        return misses(delays, seeds=f"{ALL}, ")
    except Inapplicable as error:
        raise Inapplicable(f"the control {name!r}: {error}") from error


def names_of(values: Array) -> list[str]:
    """Settings in words."""
    return [f"{value:g}" for value in values]


def explained(foretold: Foretold) -> Statistic:
    """Held-out R2 of a law, (b): see `laws.explained`."""
    return lambda delays, counts: laws.explained(*foretold(delays, counts))


def advantage(delays: Delays, counts: Array) -> Array:
    """(b) held-out R2 of the law less that of the better rival."""
    law, *others = (explained(of)(delays, counts) for of in EVERY.values())
    return np.asarray(law - np.maximum.reduce(others))
