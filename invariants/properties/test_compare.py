"""Properties of comparisons: symmetric, invariant under what cannot matter, and equal to their definitions."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from ace.compare import (
    CHUNK,
    affine_map,
    canonical_correlations,
    consensus,
    overlap,
    overlap_null,
    principal_angles,
    weight_cosine,
)
from ace.linalg import random_frames
from invariants.properties.strategies import (
    Language,
    conditions,
    distance,
    frame,
    gaussian,
    hoeffding,
    invertible,
    languages,
    rounding,
    seeds,
    widths,
)

HAAR_DRAWS = 2000


@st.composite
def subspaces(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two bases (d, r) and (d, s) of random subspaces."""
    width, seed = draw(widths), draw(seeds)
    ranks = draw(st.integers(1, width)), draw(st.integers(1, width))
    return frame(seed, width, ranks[0]), frame(seed + 1, width, ranks[1])


@st.composite
def paired_views(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two views (n, k) and (n, l) that share a noisy signal, so that their correlations are neither 0 nor 1."""
    seed, first, second = draw(seeds), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    samples = 2 * (first + second) + 4
    signal = gaussian(seed, samples, 2)
    ours = signal @ gaussian(seed + 1, 2, first) + gaussian(seed + 2, samples, first)
    return ours, signal @ gaussian(seed + 3, 2, second) + gaussian(seed + 4, samples, second)


# --- Subspaces --------------------------------------------------------------------------------------------------------


@given(pair=subspaces())
def test_overlap_is_symmetric_and_between_chance_free_ends(pair: tuple[Tensor, Tensor]) -> None:
    width, first, second = len(pair[0]), pair[0].shape[1], pair[1].shape[1]
    found = overlap(*pair)
    assert found == pytest.approx(overlap(*pair[::-1]), abs=rounding(width))
    # Subspaces too large to avoid each other share r + s - d dimensions at least.
    least = max(0, first + second - width) / min(first, second)
    assert least - rounding(width) <= found <= 1 + rounding(width)


@given(pair=subspaces())
def test_overlap_is_the_mean_squared_cosine_of_the_principal_angles(pair: tuple[Tensor, Tensor]) -> None:
    angles = principal_angles(*pair)
    assert len(angles) == min(pair[0].shape[1], pair[1].shape[1])
    assert overlap(*pair) == pytest.approx(float((np.cos(angles) ** 2).mean()), abs=rounding(len(pair[0])))


@given(pair=subspaces(), seed=seeds)
def test_overlap_and_angles_are_invariant_under_rotations_of_space_and_of_the_bases(
    pair: tuple[Tensor, Tensor], seed: int
) -> None:
    first, second = pair
    turn = frame(seed, len(first), len(first))
    within = frame(seed + 1, first.shape[1], first.shape[1])
    moved = turn @ first @ within, turn @ second
    assert overlap(*moved) == pytest.approx(overlap(first, second), abs=rounding(len(first)))
    # An angle near 0 may be read from its cosine, which turns an error into its own square root.
    assert distance(principal_angles(*moved), principal_angles(first, second)) <= rounding(len(first)) ** 0.5


@given(seed=seeds, width=st.integers(2, 7), condition=st.floats(2.0, 10.0), data=st.data())
def test_overlap_is_invariant_under_rotations_only(
    seed: int, width: int, condition: float, data: st.DataObject
) -> None:
    # Two coordinate axes at 45 degrees: stretching one of them changes their angle, to arctan(1 / condition).
    first, second = torch.eye(width, dtype=torch.float64)[:, :1], torch.ones(width, 1, dtype=torch.float64)
    second[2:] = 0
    stretch = torch.ones(width, dtype=torch.float64)
    stretch[0] = condition
    turn = frame(seed, width, width)
    moved = [torch.linalg.qr(turn @ (stretch[:, None] * basis)).Q for basis in (first, second)]
    assert overlap(first, second / 2**0.5) == pytest.approx(0.5)
    assert overlap(*moved) == pytest.approx(condition**2 / (1 + condition**2))
    assert float(principal_angles(*moved)[0]) == pytest.approx(np.arctan(1 / condition))


@given(pair=subspaces(), data=st.data())
def test_a_subspace_of_another_overlaps_it_fully_and_its_complement_not_at_all(
    pair: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    basis = pair[0]
    width, rank = basis.shape
    inside = basis @ frame(0, rank, data.draw(st.integers(1, rank)))
    assert overlap(inside, basis) == pytest.approx(1.0, abs=rounding(width))
    if rank < width:
        outside = torch.linalg.qr(basis, mode="complete").Q[:, rank:]
        assert overlap(outside, basis) == pytest.approx(0.0, abs=rounding(width))
        assert distance(principal_angles(outside, basis), np.array([np.pi / 2])) <= rounding(width)


@given(seed=seeds, width=widths, data=st.data())
def test_haar_overlap_has_mean_r_over_d(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, width))
    draws = overlap_null(width, rank, HAAR_DRAWS, torch.Generator().manual_seed(seed))
    assert bool(((draws >= 0) & (draws <= 1 + rounding(width))).all())
    assert float(draws.mean()) == pytest.approx(rank / width, abs=hoeffding(HAAR_DRAWS))


@given(seed=seeds, width=st.integers(2, 7))
def test_haar_overlap_of_lines_has_a_beta_distribution(seed: int, width: int) -> None:
    draws = overlap_null(width, 1, 500, torch.Generator().manual_seed(seed))
    assert stats.kstest(draws, stats.beta(0.5, (width - 1) / 2).cdf).pvalue > 1e-9


@given(seed=seeds, width=st.integers(2, 6), data=st.data())
def test_holding_one_subspace_fixed_leaves_the_null_distribution(seed: int, width: int, data: st.DataObject) -> None:
    # Slow twin: both subspaces drawn, their overlap computed pair by pair.
    rank = data.draw(st.integers(1, width - 1))
    generator = torch.Generator().manual_seed(seed)
    pairs = random_frames(width, rank, 200, generator).split(1), random_frames(width, rank, 200, generator).split(1)
    slow = [overlap(one[0], two[0]) for one, two in zip(*pairs, strict=True)]
    fast = overlap_null(width, rank, 200, generator)
    assert stats.ks_2samp(slow, fast).pvalue > 1e-9


# --- Canonical correlations -------------------------------------------------------------------------------------------


@given(views=paired_views())
def test_canonical_correlations_are_sorted_fractions_and_symmetric(views: tuple[Tensor, Tensor]) -> None:
    found = canonical_correlations(*views)
    assert len(found) == min(views[0].shape[1], views[1].shape[1])
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool((np.diff(found) <= 0).all())
    assert distance(found, canonical_correlations(*views[::-1])) <= rounding(len(views[0]), 1e2)


@given(views=paired_views(), seed=seeds, condition=conditions)
def test_canonical_correlations_are_invariant_under_invertible_affine_maps(
    views: tuple[Tensor, Tensor], seed: int, condition: float
) -> None:
    ours, theirs = views
    moved = ours @ invertible(seed, ours.shape[1], condition) + gaussian(seed, ours.shape[1])
    other = theirs @ invertible(seed + 3, theirs.shape[1], condition)
    tolerance = rounding(len(ours), 1e3 * condition)  # condition of the views themselves is below 1e3
    assert distance(canonical_correlations(moved, other), canonical_correlations(ours, theirs)) <= tolerance


@given(views=paired_views())
def test_canonical_correlations_squared_are_the_eigenvalues_of_their_definition(views: tuple[Tensor, Tensor]) -> None:
    # Slow twin: Sxx^-1 Sxy Syy^-1 Syx, with covariances formed and inverted.
    ours, theirs = (view - view.mean(dim=0) for view in views)
    across = ours.T @ theirs
    product = torch.linalg.solve(ours.T @ ours, across) @ torch.linalg.solve(theirs.T @ theirs, across.T)
    wanted = torch.linalg.eigvals(product).real.sort(descending=True).values
    found = canonical_correlations(*views)
    condition = float(torch.linalg.cond(ours) * torch.linalg.cond(theirs)) ** 2
    assert distance(found**2, wanted[: len(found)]) <= rounding(len(ours), condition)


@given(views=paired_views(), seed=seeds, condition=conditions)
def test_a_view_correlates_perfectly_with_its_own_images(
    views: tuple[Tensor, Tensor], seed: int, condition: float
) -> None:
    view = views[0]
    image = view @ invertible(seed, view.shape[1], condition)
    assert distance(canonical_correlations(view, image), np.ones(1)) <= rounding(len(view), 1e3 * condition)


@given(views=paired_views(), seed=seeds)
def test_a_common_reordering_of_the_samples_is_immaterial_and_a_separate_one_is_not(
    views: tuple[Tensor, Tensor], seed: int
) -> None:
    ours, theirs = views
    order = torch.randperm(len(ours), generator=torch.Generator().manual_seed(seed))
    found = canonical_correlations(ours[order], theirs[order])
    assert distance(found, canonical_correlations(ours, theirs)) <= rounding(len(ours), 1e3)
    # Pairing is what they measure: a view against its own rows in reverse is no longer perfect.
    assert canonical_correlations(ours, ours.flip(0))[-1] < 1 - 1e-9


@given(views=paired_views(), constant=st.floats(-10, 10))
def test_constant_and_repeated_columns_add_no_correlation(views: tuple[Tensor, Tensor], constant: float) -> None:
    ours, theirs = views
    padded = torch.cat([ours, torch.full((len(ours), 1), constant, dtype=torch.float64), ours[:, :1]], dim=1)
    plain = canonical_correlations(ours, theirs)
    assert distance(canonical_correlations(padded, theirs)[: len(plain)], plain) <= rounding(len(ours), 1e3)
    assert len(canonical_correlations(padded, ours)) == ours.shape[1]


@given(seed=seeds, width=widths, constant=st.floats(-10, 10))
def test_a_constant_view_has_no_correlations(seed: int, width: int, constant: float) -> None:
    still = torch.full((9, width), constant, dtype=torch.float64)
    assert canonical_correlations(still, gaussian(seed, 9, width)).size == 0
    assert canonical_correlations(gaussian(seed, 9, width), still).size == 0


# --- Consensus --------------------------------------------------------------------------------------------------------


@given(views=paired_views())
def test_consensus_of_two_views_is_canonical_correlation(views: tuple[Tensor, Tensor]) -> None:
    # The mean of two projectors has eigenvalues (1 + rho) / 2.
    found = consensus(views).agreement
    assert distance(found, (1 + canonical_correlations(*views)) / 2) <= rounding(len(views[0]), 1e3)


@given(seed=seeds, width=st.integers(1, 4), views=st.integers(2, 4))
def test_agreement_lies_between_one_view_alone_and_all(seed: int, width: int, views: int) -> None:
    found = consensus([gaussian(seed + i, 2 * width * views + 2, width) for i in range(views)]).agreement
    assert found.shape == (width,)
    assert bool((found >= 1 / views - rounding(width)).all())
    assert bool((found <= 1 + rounding(width)).all())
    assert bool((found.diff() <= rounding(width)).all())


@given(seed=seeds, width=st.integers(1, 4), views=st.integers(2, 4), condition=conditions)
def test_views_of_one_space_agree_fully_and_loadings_read_the_same_variates(
    seed: int, width: int, views: int, condition: float
) -> None:
    latent = gaussian(seed, 4 * width + 4, width)
    matrices = [latent @ invertible(seed + 2 * i + 1, width, condition) + i for i in range(views)]
    found = consensus(matrices)
    tolerance = rounding(len(latent), 1e3 * condition)
    assert distance(found.agreement, torch.ones(width)) <= tolerance
    variates = [
        (matrix - matrix.mean(dim=0)) @ loading for matrix, loading in zip(matrices, found.loadings, strict=True)
    ]
    for variate, loading in zip(variates, found.loadings, strict=True):
        assert distance(loading.norm(dim=0), torch.ones(width)) <= rounding(width)
        # Equal up to length, and to sign where the columns were made unit.
        cosine = torch.nn.functional.cosine_similarity(variate, variates[0], dim=0)
        assert distance(cosine.abs(), torch.ones(width)) <= tolerance


@given(views=paired_views(), seed=seeds, condition=conditions)
def test_consensus_is_invariant_under_invertible_affine_maps(
    views: tuple[Tensor, Tensor], seed: int, condition: float
) -> None:
    moved = [view @ invertible(seed, view.shape[1], condition) + 3 for view in views]
    assert distance(consensus(moved).agreement, consensus(views).agreement) <= rounding(len(views[0]), 1e3 * condition)


@pytest.mark.parametrize("rows", [3 * CHUNK + 17, CHUNK, 20])
def test_consensus_in_blocks_of_rows_is_that_of_the_mean_projector(rows: int) -> None:
    latent = gaussian(0, rows, 2)
    views = [torch.cat([latent + 0.3 * gaussian(k, rows, 2), gaussian(9 + k, rows, 2)], dim=1) + k for k in (1, 2, 3)]
    # Slow twin: orthonormal columns of every whole view, side by side.
    joined = torch.cat([torch.linalg.qr(view - view.mean(dim=0)).Q for view in views], dim=1)
    left, sizes, _ = torch.linalg.svd(joined, full_matrices=False)
    found = consensus(views)
    assert distance(found.agreement, sizes[:4].square() / 3) <= rounding(rows, 1e2)
    for view, loading in zip(views, found.loadings, strict=True):
        # Both read the view along its own projection of the consensus variate.
        basis = torch.linalg.qr(view - view.mean(dim=0)).Q
        wanted = basis @ (basis.T @ left[:, :4])
        cosine = torch.nn.functional.cosine_similarity((view - view.mean(dim=0)) @ loading, wanted, dim=0)
        assert distance(cosine.abs(), torch.ones(4)) <= rounding(rows, 1e3)


# --- Transplants and weights ------------------------------------------------------------------------------------------


@given(seed=seeds, source=st.integers(1, 4), target=st.integers(1, 4))
def test_a_planted_affine_map_is_recovered(seed: int, source: int, target: int) -> None:
    coordinates = gaussian(seed, 3 * source + 5, source) + 1
    slope, offset = gaussian(seed + 1, source, target), gaussian(seed + 2, target)
    found = affine_map(coordinates, coordinates @ slope + offset)
    tolerance = rounding(len(coordinates), 1e2)  # condition of a tall Gaussian
    assert distance(found.matrix, slope) <= tolerance
    assert distance(found.offset, offset) <= tolerance
    elsewhere = gaussian(seed + 3, 2, source)
    assert distance(found(elsewhere), elsewhere @ slope + offset) <= 10 * tolerance


@given(views=paired_views(), seed=seeds)
def test_no_other_affine_map_is_closer(views: tuple[Tensor, Tensor], seed: int) -> None:
    source, target = views
    found = affine_map(source, target)
    residual = target - found(source)
    # Residuals are orthogonal to everything that an affine map could use.
    assert distance(residual.mean(dim=0), torch.zeros(1)) <= rounding(len(source), 1e2)
    assert distance(source.T @ residual, torch.zeros(1)) <= rounding(len(source), 1e3)
    other = source @ (found.matrix + 1e-3 * gaussian(seed, *found.matrix.shape)) + found.offset
    assert float((target - other).norm()) >= float(residual.norm())


@given(views=paired_views(), condition=conditions, seed=seeds)
def test_a_transplant_predicts_the_same_whatever_the_source_s_coordinates(
    views: tuple[Tensor, Tensor], condition: float, seed: int
) -> None:
    source, target = views
    moved = source @ invertible(seed, source.shape[1], condition) + 2
    assert distance(affine_map(moved, target)(moved), affine_map(source, target)(source)) <= rounding(
        len(source), 1e4 * condition
    )


@given(language=languages, seed=seeds, scale=st.floats(0.1, 10.0))
def test_weight_cosine_is_a_symmetric_cosine(language: Language, seed: int, scale: float) -> None:
    model = language.model
    other = Language(seed, language.blocks, 1, language.length).model
    found = weight_cosine(model, other)
    assert found == pytest.approx(weight_cosine(other, model), abs=rounding(1000))
    assert abs(found) <= 1 + rounding(1000)
    scaled = copy.deepcopy(other)
    with torch.no_grad():
        for parameter in scaled.parameters():
            parameter.mul_(-scale)
    assert weight_cosine(model, scaled) == pytest.approx(-found, abs=rounding(1000))
    assert weight_cosine(model, model) == pytest.approx(1.0, abs=rounding(1000))
