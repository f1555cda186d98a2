"""The published protocol on our sweeps: means over the runs that grokked, the rest dropped, fits in sample."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit

from ace.arrays import Array
from ace.errors import Inapplicable
from ace.study.delays import Delays
from ace.study.sweep import SweepSubject


def omega(subject: SweepSubject) -> tuple[float, ...]:
    """Slope of the log of the mean delay against the log of the weight decay."""
    delays = subject.trained.delays("decays")
    decays, means = _means(delays, delays.decays)
    slope, _ = np.polyfit(np.log(decays), np.log(means), 1)
    return (float(slope),)


def redundancy(subject: SweepSubject) -> tuple[float, ...]:
    """R2 of the law with its two numbers fitted to the mean delays of the moduli.

    Raises:
        Inapplicable: the delays do not determine the two numbers.
    """
    delays = subject.trained.delays("moduli")
    moduli, means = _means(delays, delays.moduli)

    def law(modulus: Array, constant: float, critical: float) -> Array:
        return np.asarray(-constant * np.log1p(-critical / modulus))

    smallest = moduli.min()
    bounds = ((0, 0), (np.inf, smallest * (1 - 1e-6)))
    try:
        found, _ = curve_fit(law, moduli, means, p0=(means.mean(), smallest / 2), bounds=bounds)
    except RuntimeError as error:  # its search for the best two numbers does not end
        raise Inapplicable(f"expected delays that determine Omega and p_crit: {error}") from error
    errors = means - law(moduli, *found)
    return (float(1 - (errors**2).sum() / ((means - means.mean()) ** 2).sum()),)


def _means(delays: Delays, by: Array) -> tuple[Array, Array]:
    """Settings with a run that grokked, and the mean delay of those runs in steps."""
    ended = delays.where(delays.ended)
    settings = by[delays.ended]
    values = np.unique(settings)
    return values, np.array([np.exp(ended.logs[settings == value]).mean() for value in values])
