"""The one-step operator in coordinates: fitted by least squares, and its eigenvalues held against known ones."""

from __future__ import annotations

import numpy as np

from ace.arrays import Array, Complex
from ace.dynamics import match_spectra, spectrum
from ace.moments import moments, regression


def steps(*views: Array) -> Array:
    """Moments (n, p, p) of each view (n, t, k) before and after a step: [1, before_1, after_1, before_2, ...]."""
    return moments(*(part for view in views for part in (view[:, :-1], view[:, 1:]))).clusters


def fitted_spectrum(moment: Array) -> Complex:
    """(k) eigenvalues of the least-squares map from before to after, of a moment of one view's `steps`."""
    width = (len(moment) - 1) // 2
    slope, _ = regression(moment, slice(1, 1 + width), slice(1 + width, 1 + 2 * width))
    return spectrum(slope)


def spectrum_distance(moment: Array, wanted: Complex) -> float:
    """Largest distance in the best matching of the fitted eigenvalues with the known ones (k)."""
    fitted = fitted_spectrum(moment)
    size = max(len(fitted), len(wanted))
    return match_spectra(_padded(fitted, size), _padded(wanted, size)).largest


def _padded(values: Complex, size: int) -> Complex:
    """A missing dimension predicts nothing: eigenvalue 0. So do the modes that a larger core adds to the known ones."""
    return np.concatenate([values, np.zeros(max(0, size - len(values)), dtype=np.complex128)])
