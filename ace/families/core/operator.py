"""The one-step operator in coordinates: fitted by least squares, and its eigenvalues held against known ones."""

from __future__ import annotations

from functools import partial

import numpy as np

from ace.arrays import Array, Complex
from ace.dynamics import matching_distance, spectrum
from ace.errors import Inapplicable, InputError
from ace.moments import moments, regression
from ace.stats import Estimate, bootstrap
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


def fitted_operator(moment: Array) -> Array:
    """(..., k, k) the least-squares map from before to after, of moments (..., p, p) of one view's `steps`."""
    width = (moment.shape[-1] - 1) // 2
    slope, _ = regression(moment, slice(1, 1 + width), slice(1 + width, 1 + 2 * width))
    return slope


def fitted_spectrum(moment: Array) -> Complex:
    """(k) eigenvalues of the fitted map, of one moment (p, p)."""
    return spectrum(fitted_operator(moment))


def spectrum_distance(moment: Array, wanted: Complex) -> Array:
    """(...) largest distance of eigenvalues, of moments (..., p, p), best matched with known ones (k)."""
    fitted = np.linalg.eigvals(fitted_operator(moment)).astype(np.complex128)
    size = max(fitted.shape[-1], len(wanted))
    return matching_distance(_padded(fitted, size), _padded(wanted, size))


def spectrum_error(label: str, view: Array, wanted: Complex) -> Estimate:
    """`spectrum_distance` of a view (n, t, k) from known eigenvalues, resampled over its sequences."""
    return bootstrap(label, steps(view), partial(spectrum_distance, wanted=wanted), vectorized=True)


def _padded(values: Complex, size: int) -> Complex:
    """A missing dimension predicts nothing: eigenvalue 0. So do the modes that a larger core adds to the known ones."""
    missing = max(0, size - values.shape[-1])
    return np.concatenate([values, np.zeros((*values.shape[:-1], missing), dtype=np.complex128)], axis=-1)
