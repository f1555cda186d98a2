"""Properties of operators in core coordinates and of the matching of spectra."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ace.arrays import Complex
from ace.dynamics import fit_operator, match_spectra, matching_distance, spectrum
from invariants.properties.strategies import conditions, distance, frame, gaussian, invertible, rounding, seeds, widths


@st.composite
def spectra_pairs(draw: st.DrawFn, largest: int = 6) -> tuple[Complex, Complex]:
    """Two random spectra of equal size; coarse values make ties, which a greedy matching gets wrong."""
    size, seed, coarse = draw(st.integers(1, largest)), draw(seeds), draw(st.booleans())
    values = gaussian(seed, 4, size)
    real, imaginary, other, last = (values.round() if coarse else values).numpy()
    return real + 1j * imaginary, other + 1j * last


def normal_operator(seed: int, width: int, condition: float) -> tuple[Tensor, Tensor]:
    """A = T B T^-1 (r, r) with B block-diagonal of planted rotations and T of given condition; also B's eigenvalues."""
    blocks, values = torch.zeros(width, width, dtype=torch.float64), []
    sizes, angles = 0.3 + gaussian(seed, width).abs(), gaussian(seed + 1, width)
    for start in range(0, width - 1, 2):
        cosine, sine = sizes[start] * angles[start].cos(), sizes[start] * angles[start].sin()
        blocks[start : start + 2, start : start + 2] = torch.stack([cosine, -sine, sine, cosine]).view(2, 2)
        values += [complex(cosine, sine), complex(cosine, -sine)]
    if width % 2:
        blocks[-1, -1] = sizes[-1]
        values.append(complex(sizes[-1]))
    change = invertible(seed + 2, width, condition)
    return change @ blocks @ torch.linalg.inv(change), torch.tensor(values, dtype=torch.complex128)


@given(seed=seeds, width=widths, condition=conditions)
def test_a_planted_affine_step_is_recovered(seed: int, width: int, condition: float) -> None:
    matrix, values = normal_operator(seed, width, condition)
    before, offset = gaussian(seed + 5, 3 * width + 5, width) + 1, gaussian(seed + 6, width)
    found = fit_operator(before, before @ matrix.T + offset)
    tolerance = rounding(len(before), 1e2 * condition)  # condition of a tall Gaussian, and of T
    assert distance(found.matrix, matrix) <= tolerance
    assert distance(found.offset, offset) <= tolerance
    # Bauer and Fike: eigenvalues move by at most kappa(T) times the matrix's error.
    assert match_spectra(found.eigenvalues, values.numpy()).largest <= tolerance * condition * width


@given(seed=seeds, width=widths, condition=conditions)
def test_eigenvalues_are_invariant_under_similarity(seed: int, width: int, condition: float) -> None:
    matrix, values = normal_operator(seed, width, 1.0)
    change = invertible(seed + 9, width, condition)
    moved = spectrum((change @ matrix @ torch.linalg.inv(change)).numpy())
    size = float(values.abs().max())
    assert match_spectra(moved, spectrum(matrix.numpy())).largest <= rounding(width, size * condition**2)


@given(seed=seeds, width=st.integers(2, 7), stretch=st.floats(2.0, 10.0))
def test_singular_values_are_not_invariant_under_similarity(seed: int, width: int, stretch: float) -> None:
    # Why spectra and not sizes are compared: the same rotation, in other coordinates, stretches.
    matrix = torch.eye(width, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    turn = frame(seed, width, width)
    scale = torch.ones(width, dtype=torch.float64)
    scale[0] = stretch
    moved = turn @ (scale[:, None] * matrix / scale) @ turn.T
    tolerance = rounding(width, stretch**2)
    assert match_spectra(spectrum(moved.numpy()), spectrum(matrix.numpy())).largest <= tolerance
    assert float(torch.linalg.svdvals(moved)[0]) == pytest.approx(stretch)


@given(seed=seeds, width=widths, condition=conditions)
def test_a_fitted_step_is_covariant_under_a_change_of_coordinates(seed: int, width: int, condition: float) -> None:
    # Noisy steps, so that this is about the fit: z -> G z + c turns A into G A G^-1, without any exact solution.
    before = gaussian(seed, 3 * width + 5, width)
    after = before @ gaussian(seed + 1, width, width).T + gaussian(seed + 2, 3 * width + 5, width)
    change, shift = invertible(seed + 3, width, condition), gaussian(seed + 4, width)
    plain = fit_operator(before, after)
    moved = fit_operator(before @ change.T + shift, after @ change.T + shift)
    wanted = change.numpy() @ plain.matrix @ np.linalg.inv(change.numpy())
    offset = change.numpy() @ plain.offset + shift.numpy() - wanted @ shift.numpy()
    tolerance = rounding(len(before), 1e3 * condition**2)
    assert distance(moved.matrix, wanted) <= tolerance
    assert distance(moved.offset, offset) <= tolerance


@given(seed=seeds, width=widths)
def test_directions_that_states_do_not_take_carry_no_step(seed: int, width: int) -> None:
    before = torch.cat([gaussian(seed, 20, width), torch.full((20, 1), 0.1, dtype=torch.float64)], dim=1)
    found = fit_operator(before, before.roll(1, dims=0))
    assert distance(found.matrix[:, -1], np.zeros(width + 1)) <= rounding(20)


@given(seed=seeds, width=widths)
def test_eigenvalues_come_largest_first_in_conjugate_pairs(seed: int, width: int) -> None:
    matrix = gaussian(seed, width, width).numpy()
    values = spectrum(matrix)
    assert bool((np.diff(np.abs(values)) <= rounding(width, 1e4)).all())
    assert values.sum() == pytest.approx(np.trace(matrix), abs=rounding(width, 10.0))
    for index in np.flatnonzero(values.imag > 0):
        assert values[index + 1] == pytest.approx(values[index].conjugate())


@given(pair=spectra_pairs())
def test_the_matching_is_the_best_of_all_permutations(pair: tuple[Complex, Complex]) -> None:
    found, wanted = pair
    # Slow twin: every permutation; the bottleneck first, ties by total distance.
    costs = [np.abs(found - wanted[list(order)]) for order in permutations(range(len(found)))]
    bottleneck = min(cost.max() for cost in costs)
    total = min(cost.sum() for cost in costs if cost.max() <= bottleneck)
    match = match_spectra(found, wanted)
    assert match.largest == pytest.approx(bottleneck, abs=rounding(1, 10.0))
    assert match.distances.sum() == pytest.approx(total, abs=rounding(len(found), 10.0))


@given(pair=spectra_pairs(largest=8), seed=seeds)
def test_distances_of_many_spectra_are_those_of_each(pair: tuple[Complex, Complex], seed: int) -> None:
    found, wanted = pair
    many = found + gaussian(seed, 2, 3, len(found)).numpy()
    slow = [[match_spectra(each, wanted).largest for each in row] for row in many]
    np.testing.assert_allclose(matching_distance(many, wanted), slow, rtol=1e-14)
    assert matching_distance(found, wanted) == pytest.approx(match_spectra(found, wanted).largest, rel=1e-14)


@given(pair=spectra_pairs(largest=12))
def test_a_matching_uses_every_eigenvalue_once(pair: tuple[Complex, Complex]) -> None:
    match = match_spectra(*pair)
    for matched, given_values in ((match.fitted, pair[0]), (match.wanted, pair[1])):
        assert sorted(matched, key=lambda z: (z.real, z.imag)) == sorted(given_values, key=lambda z: (z.real, z.imag))
    assert distance(match.distances, np.abs(match.fitted - match.wanted)) <= rounding(1, 10.0)


@given(pair=spectra_pairs(), seed=seeds, shift=st.complex_numbers(max_magnitude=10), turn=st.floats(0, 6.3))
def test_the_matching_distance_is_a_metric(
    pair: tuple[Complex, Complex], seed: int, shift: complex, turn: float
) -> None:
    found, wanted = pair
    order = np.random.default_rng(seed).permutation(len(found))
    other = gaussian(seed, len(found)).numpy() + 0j
    far = match_spectra(found, wanted).largest
    assert match_spectra(found, found[order]).largest == 0.0
    assert match_spectra(wanted, found).largest == far
    slack = rounding(1, 40.0)
    assert far <= match_spectra(found, other).largest + match_spectra(other, wanted).largest + slack
    # Motions of the plane, common to both, leave it.
    moved = match_spectra(found * np.exp(1j * turn) + shift, wanted * np.exp(1j * turn) + shift).largest
    assert moved == pytest.approx(far, abs=slack)


@given(pair=spectra_pairs(largest=10))
def test_the_matching_distance_is_at_least_any_one_sided_distance(pair: tuple[Complex, Complex]) -> None:
    # Matching to the nearest, with repetition, could call two spectra equal where one misses an eigenvalue.
    found, wanted = pair
    apart = np.abs(found[:, None] - wanted[None])
    hausdorff = max(apart.min(axis=0).max(), apart.min(axis=1).max())
    assert match_spectra(found, wanted).largest >= hausdorff
    crowded, spread = np.array([0, 0, 1.0]), np.array([0, 1.0, 1.0])
    assert match_spectra(crowded, spread).largest == 1.0
