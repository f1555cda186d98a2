"""Properties of shift operators: what turns is seen to turn, what is held out is held out, and the tautology is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ace import rotation
from ace.arrays import Array, Ints
from ace.errors import InputError
from invariants.properties.strategies import distance, rounding, seeds

moduli = st.sampled_from([7, 11, 13])


def noise(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def circles(modulus: int, frequencies: list[int], width: int, seed: int) -> Array:
    """(p, width) points that turn with the given frequencies, seen through a random well-conditioned map."""
    turns = 2 * np.pi * np.outer(np.arange(modulus), frequencies) / modulus
    flat = np.concatenate([np.cos(turns), np.sin(turns)], axis=1)
    return np.asarray(flat @ np.linalg.qr(noise(seed, width, flat.shape[1]))[0].T)


def plainly_held_out_r2(means: Array, order: Ints) -> float:
    """Fit anew without each edge, predict it, and compare with the mean of the other ends."""
    before, after = means[order], means[np.roll(order, -1)]
    left, baseline = 0.0, 0.0
    for edge in range(len(order)):
        rest = np.arange(len(order)) != edge
        design = np.column_stack([np.ones(len(order) - 1), before[rest]])
        solution, *_ = np.linalg.lstsq(design, after[rest], rcond=None)
        predicted = np.concatenate([[1.0], before[edge]]) @ solution
        left += float(((after[edge] - predicted) ** 2).sum())
        baseline += float(((after[edge] - after[rest].mean(axis=0)) ** 2).sum())
    return 1 - left / baseline


@given(seed=seeds, modulus=moduli, rank=st.integers(1, 5))
def test_leave_one_out_in_closed_form_equals_refitting_without_each_edge(seed: int, modulus: int, rank: int) -> None:
    means = noise(seed, modulus, 6)
    orders = rotation.random_orders(modulus, 3, np.random.default_rng(seed))
    wanted = [plainly_held_out_r2(means[:, :rank], order) for order in orders]
    np.testing.assert_allclose(rotation.held_out_r2(means, rank, orders), wanted, rtol=1e-6, atol=1e-6)
    natural = plainly_held_out_r2(means[:, :rank], np.arange(modulus))
    assert float(rotation.held_out_r2(means, rank)) == pytest.approx(natural, rel=1e-6, abs=1e-6)


@given(seed=seeds, modulus=moduli, smallest=st.floats(-8, 0))
def test_directions_below_the_tolerance_carry_no_step_and_all_others_do(
    seed: int, modulus: int, smallest: float
) -> None:
    sets = noise(seed, 3, modulus, 4)
    frame, _, axes = np.linalg.svd(sets - sets.mean(axis=-2, keepdims=True), full_matrices=False)
    sizes = np.array([1.0, 0.7, 0.3, 10**smallest])
    assume(abs(smallest + 3) > 0.01)  # on the tolerance itself rounding decides
    sets = (frame * sizes) @ axes
    operators = rotation.shift_operator(sets)
    for means, operator in zip(sets, operators, strict=True):
        wanted = np.linalg.pinv(means, rcond=rotation.TOLERANCE) @ np.roll(means, -1, axis=0)
        np.testing.assert_allclose(operator, wanted.T, rtol=1e-7, atol=1e-7 * np.abs(wanted).max())


@given(seed=seeds, modulus=moduli)
def test_held_out_eigenvalues_equal_those_of_each_fold_fitted_plainly(seed: int, modulus: int) -> None:
    means, rank = noise(seed, modulus, 4), 2
    found = rotation.held_out_eigenvalues(means, rank)
    for fold in range(rotation.FOLDS):
        edges = [c for c in range(modulus) if c % rotation.FOLDS != fold]
        before, after = means[edges, :rank], means[[(c + 1) % modulus for c in edges], :rank]
        design = np.column_stack([np.ones(len(edges)), before])
        slope = np.linalg.lstsq(design, after, rcond=None)[0][1:].T
        assert distance(np.sort_complex(found[fold]), np.sort_complex(np.linalg.eigvals(slope))) <= 1e-6


@given(seed=seeds, modulus=moduli, data=st.data())
def test_circles_turn_on_the_ring_at_multiples_of_a_turn_over_p(seed: int, modulus: int, data: st.DataObject) -> None:
    one, two = data.draw(st.permutations(range(1, modulus // 2 + 1)))[:2]
    means = circles(modulus, [one, two], 6, seed) @ np.linalg.qr(noise(seed + 1, 6, 6))[0]
    leading = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    coordinates = leading[0][:, :4] * leading[1][:4]
    values = rotation.held_out_eigenvalues(coordinates, 4)
    assert (rotation.ring_share(values, modulus) == 1).all()
    assert float(rotation.grid_distance(values, modulus).max()) <= rounding(modulus, 1e3)
    assert float(rotation.held_out_r2(coordinates, 4)) == pytest.approx(1.0, abs=1e-9)
    operator = rotation.shift_operator(coordinates)
    assert rotation.distinct_modes(np.linalg.eigvals(operator).astype(np.complex128), modulus) == 3
    energy = rotation.mode_energy(means)
    assert set(np.flatnonzero(energy > 1e-9) + 1) == {one, two}
    assert int(rotation.modes_needed(energy)) == 2
    assert set(rotation.leading_modes(energy).tolist()) == {one, two}


@given(seed=seeds, modulus=moduli)
def test_any_means_turn_perfectly_when_dimensions_are_as_many_as_classes(seed: int, modulus: int) -> None:
    # The tautology: at rank p - 1 the operator of random means has all p-th roots of unity but 1.
    operator = rotation.shift_operator(noise(seed, modulus, 3 * modulus))
    values = np.linalg.eigvals(operator).astype(np.complex128)
    turning = values[np.abs(values) > 0.5]
    assert len(turning) == modulus - 1
    assert float(rotation.grid_distance(turning, modulus)) <= 1e-6
    assert rotation.distinct_modes(values, modulus) == modulus // 2 + 1


@given(seed=seeds, modulus=moduli, shift=st.integers(1, 6))
def test_nothing_depends_on_which_class_is_called_zero_or_on_the_axes(seed: int, modulus: int, shift: int) -> None:
    means = noise(seed, modulus, 4)
    turned = np.roll(means, shift, axis=0) @ np.linalg.qr(noise(seed + 1, 4, 4))[0] + noise(seed + 2, 4)
    assert float(rotation.held_out_r2(turned, 4)) == pytest.approx(float(rotation.held_out_r2(means, 4)), abs=1e-7)
    assert distance(rotation.mode_energy(turned), rotation.mode_energy(means)) <= rounding(modulus, 1e3)
    one, two = (np.abs(np.linalg.eigvals(rotation.shift_operator(x))) for x in (means, turned))
    assert distance(np.sort(one), np.sort(two)) <= 1e-6


@given(seed=seeds, modulus=moduli)
def test_random_means_are_not_predicted(seed: int, modulus: int) -> None:
    values = rotation.held_out_r2(noise(seed, 200, modulus, 2), 2)
    assert float(np.median(values)) < 0.1


@given(seed=seeds, modulus=moduli)
def test_class_means_are_means_of_their_class_and_resampling_keeps_to_it(seed: int, modulus: int) -> None:
    rng = np.random.default_rng(seed)
    classes = np.concatenate([np.arange(modulus), rng.integers(0, modulus, 20)])
    values = noise(seed, len(classes), 3)
    means = rotation.class_means(values, classes, modulus)
    drawn = rotation.resampled_means(values, classes, modulus, 50, rng)
    for c in range(modulus):
        own = values[classes == c]
        assert distance(means[c], own.mean(axis=0)) <= rounding(len(values), 10)
        assert (drawn[:, c] >= own.min(axis=0) - 1e-12).all()
        assert (drawn[:, c] <= own.max(axis=0) + 1e-12).all()
    single = np.flatnonzero(np.bincount(classes) == 1)
    assert distance(drawn[:, single], np.repeat(means[None, single], 50, axis=0)) <= 1e-12


@given(values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), share=st.floats(0.1, 0.99))
def test_modes_needed_is_the_smallest_number_that_holds_the_share(values: list[float], share: float) -> None:
    energy: Array = np.array([*values, 1.0])
    energy /= energy.sum()
    count = int(rotation.modes_needed(energy, share))
    ordered = np.sort(energy)[::-1]
    assert ordered[:count].sum() >= share - 1e-9
    assert energy[rotation.leading_modes(energy, share) - 1].tolist() == ordered[:count].tolist()
    assert count == 1 or ordered[: count - 1].sum() < share + 1e-9


@pytest.mark.parametrize(("modulus", "dimension", "rank"), [(53, 40, 16), (53, 13, 12), (7, 5, 2), (29, 1, 0)])
def test_the_rank_limit_is_even_and_at_most_a_third(modulus: int, dimension: int, rank: int) -> None:
    assert rotation.rank_limit(modulus, dimension) == rank


def test_a_class_without_values_is_an_error() -> None:
    with pytest.raises(InputError, match="none in \\[2\\]"):
        rotation.class_means(noise(0, 4, 2), np.array([0, 1, 0, 1]), 3)
