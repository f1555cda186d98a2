"""The one-step operator in coordinates: fitted by least squares, and its eigenvalues held against known ones."""

from __future__ import annotations

import numpy as np

from ace.arrays import Array, Complex
from ace.dynamics import match_spectra, spectrum
from ace.errors import Inapplicable, InputError
from ace.moments import moments, regression
from ace.tasks.base import Task


def known_eigenvalues(task: Task) -> Complex:
    """(k) eigenvalues of the task's one-step operator other than 1.

    Raises:
        Inapplicable: the task names none.
        InputError: what it names are no finite numbers (k).
    """
    if task.eigenvalues is None:
        raise Inapplicable(f"the task {task.name!r} names no eigenvalues of a known operator")
    try:
        values = np.asarray(task.eigenvalues, dtype=np.complex128)
    except (TypeError, ValueError) as error:
        raise InputError(f"eigenvalues: expected numbers (k) of the task {task.name!r}, got {error}") from error
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise InputError(f"eigenvalues: expected finite numbers (k) of the task {task.name!r}, got {values.shape}")
    return values


def plane(values: Complex) -> list[list[float]]:
    """[real part, imaginary part] of each value, for documents."""
    return [[float(value.real), float(value.imag)] for value in values]


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
