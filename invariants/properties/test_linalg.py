"""Properties of the float64 linear algebra: factors stand for their matrices, balancing balances, frames are Haar."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ace.linalg import RowFactor, balance, merge, orthonormal, random_frames, row_factor, stream_factor, whitener
from invariants.properties.strategies import (
    Problem,
    distance,
    gaussian,
    hoeffding,
    invertible,
    problems,
    projector,
    rounding,
    seeds,
    widths,
)

cuts = st.lists(st.integers(1, 9), min_size=1, max_size=4)
HAAR_DRAWS = 2000


def gram(factor: RowFactor) -> Tensor:
    """(d, d) the Gramian that a factor stands for."""
    return factor.factor.T @ factor.factor


def chunks(seed: int, sizes: list[int], width: int) -> list[Tensor]:
    """Gaussian chunks of the given sizes around means about 10 apart, where a wrong merge of means shows."""
    return [gaussian(seed + i, size, width) + 10 * gaussian(seed - 1 - i, width) for i, size in enumerate(sizes)]


@given(seed=seeds, rows=st.integers(1, 30), width=widths, centred=st.booleans())
def test_a_row_factor_has_the_gramian_of_its_rows(seed: int, rows: int, width: int, centred: bool) -> None:
    matrix = gaussian(seed, rows, width) + 3
    factor = row_factor(matrix, centred=centred)
    shifted = matrix - matrix.mean(dim=0) if centred else matrix
    assert distance(gram(factor), shifted.T @ shifted) <= rounding(rows + width, rows * 10.0)  # |X|^2 is about 10 n
    assert distance(factor.mean, matrix.mean(dim=0) if centred else torch.zeros(width)) <= rounding(rows)


@given(seed=seeds, sizes=cuts, width=widths, centred=st.booleans())
def test_streaming_in_any_chunks_equals_one_shot(seed: int, sizes: list[int], width: int, centred: bool) -> None:
    parts = chunks(seed, sizes, width)
    streamed = stream_factor(iter(parts), centred=centred)
    whole = row_factor(torch.cat(parts), centred=centred)
    tolerance = rounding(whole.rows + width, 1e3 * whole.rows)  # entries are about 30, so |X|^2 about 1e3 n
    assert distance(gram(streamed), gram(whole)) <= tolerance
    assert distance(streamed.mean, whole.mean) <= tolerance
    assert streamed.rows == whole.rows


@given(seed=seeds, sizes=st.lists(st.integers(1, 12), min_size=3, max_size=3), width=widths, centred=st.booleans())
def test_merging_is_associative_and_commutative(seed: int, sizes: list[int], width: int, centred: bool) -> None:
    one, two, three = (row_factor(part, centred=centred) for part in chunks(seed, sizes, width))
    left, right, back = merge(merge(one, two), three), merge(one, merge(two, three)), merge(three, merge(two, one))
    tolerance = rounding(left.rows + width, 1e3 * left.rows)
    for other in (right, back):
        assert distance(gram(left), gram(other)) <= tolerance
        assert distance(left.mean, other.mean) <= tolerance
        assert left.rows == other.rows


@given(seed=seeds, sizes=cuts, width=widths)
def test_a_factor_needs_no_more_memory_than_its_gramian(seed: int, sizes: list[int], width: int) -> None:
    factor = stream_factor(chunks(seed, sizes, width), centred=True).factor
    assert factor.shape[0] <= max(width, sizes[0])
    assert row_factor(gaussian(seed, 50, width), centred=True).factor.shape[0] == width


@given(problem=problems)
def test_readers_are_dual_to_directions(problem: Problem) -> None:
    balanced = balance(problem.states, problem.sensitivities)
    product = balanced.readers(balanced.rank) @ balanced.directions(balanced.rank)
    spread = float(balanced.sigma[0] / balanced.sigma[balanced.rank - 1])
    assert distance(product, torch.eye(balanced.rank)) <= rounding(problem.size, spread)


@given(problem=problems)
def test_balanced_coordinates_have_equal_diagonal_gramians(problem: Problem) -> None:
    # What balancing means: in the coordinates z = readers h both Gramians are diag(sigma).
    balanced = balance(problem.states, problem.sensitivities)
    rank = balanced.rank
    reached = problem.states @ balanced.readers(rank).T
    observed = problem.sensitivities @ balanced.directions(rank)
    scale = float(balanced.sigma[0] ** 2 / balanced.sigma[rank - 1])
    for coordinates in (reached, observed):
        wanted = torch.diag(balanced.sigma[:rank])
        assert distance(coordinates.T @ coordinates, wanted) <= rounding(problem.size, scale)


@given(problem=problems)
def test_swapping_states_and_sensitivities_leaves_sigma(problem: Problem) -> None:
    forth = balance(problem.states, problem.sensitivities)
    back = balance(problem.sensitivities, problem.states)
    assert distance(forth.sigma, back.sigma) <= rounding(problem.size, float(forth.sigma[0]))


@given(problem=problems, first=st.integers(-150, 100), second=st.integers(-150, 100))
def test_sizes_of_the_factors_neither_underflow_nor_lose_rank(problem: Problem, first: int, second: int) -> None:
    # Powers of two scale without rounding, so that everything but sigma is the same to the last bit or two.
    plain = balance(problem.states, problem.sensitivities)
    scaled = balance(problem.states * 2.0**first, problem.sensitivities * 2.0**second)
    assert scaled.rank == plain.rank
    assert distance(scaled.sigma * 2.0 ** -(first + second), plain.sigma) <= rounding(1, float(plain.sigma[0]))
    directions = scaled.directions(plain.rank) * 2.0 ** ((second - first) / 2)
    size = float(plain.directions(plain.rank).abs().max())
    assert distance(directions, plain.directions(plain.rank)) <= rounding(1, size)


@given(seed=seeds, width=st.integers(2, 7), rows=st.integers(2, 40), offset=st.integers(0, 1000), data=st.data())
def test_the_numerical_rank_is_the_exact_rank_of_integer_factors(
    seed: int, width: int, rows: int, offset: int, data: st.DataObject
) -> None:
    # Integers carry no rounding of their own, so all that could inflate the rank is the library's.
    rank = data.draw(st.integers(0, width))
    generator = torch.Generator().manual_seed(seed)
    left, right, read = (
        torch.randint(-5, 6, shape, generator=generator).double() for shape in ((rows, rank), (rank, width), (9, width))
    )
    states = left @ right
    exact = int(torch.linalg.matrix_rank((rows * states - states.sum(dim=0)) @ read.T))
    factor = row_factor(states + offset, centred=True)
    assert balance(factor.factor, read, rounding=factor.rounding).rank == exact


@given(seed=seeds, sizes=cuts, width=widths)
def test_constant_rows_leave_nothing_above_rounding(seed: int, sizes: list[int], width: int) -> None:
    constant = gaussian(seed, 1, width)
    factor = stream_factor([constant.expand(size, width) for size in sizes], centred=True)
    assert balance(factor.factor, gaussian(seed + 1, 5, width), rounding=factor.rounding).rank == 0


@given(seed=seeds, width=st.integers(2, 7), zero=st.sampled_from(["states", "sensitivities", "orthogonal"]))
def test_a_zero_product_has_rank_zero_and_no_nan(seed: int, width: int, zero: str) -> None:
    states, sensitivities = gaussian(seed, 9, width), gaussian(seed + 1, 5, width)
    if zero != "sensitivities":
        states[:, 0 if zero == "orthogonal" else slice(None)] = 0
    if zero != "states":
        sensitivities[:, slice(1, None) if zero == "orthogonal" else slice(None)] = 0
    balanced = balance(states, sensitivities)
    assert balanced.rank == 0
    assert bool((balanced.sigma == 0).all())
    assert balanced.directions(0).shape == (width, 0)


@given(seed=seeds, width=widths, lengths=st.lists(st.integers(-30, 30), min_size=1, max_size=7))
def test_orthonormal_bases_are_nested_whatever_the_lengths_of_the_columns(
    seed: int, width: int, lengths: list[int]
) -> None:
    rank = min(width, len(lengths))
    columns = invertible(seed, width, 10.0)[:, :rank]
    basis = orthonormal(columns * torch.tensor([10.0**k for k in lengths[:rank]], dtype=torch.float64))
    assert distance(basis.T @ basis, torch.eye(rank)) <= rounding(width)
    for count in range(1, rank + 1):
        kept = torch.linalg.qr(columns[:, :count]).Q
        # Unit columns of condition 10: lengths over 60 orders of magnitude must not enter.
        assert distance(projector(basis[:, :count]), projector(kept)) <= rounding(width, 1e2)


@given(seed=seeds, width=widths, data=st.data())
def test_a_whitener_whitens_and_has_as_many_rows_as_the_rank(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, width))
    root = invertible(seed, width, 10.0)[:, :rank]
    white = whitener(root @ root.T)
    assert white.shape == (rank, width)
    assert distance(white @ root @ root.T @ white.T, torch.eye(rank)) <= rounding(width, 1e4)  # moment of kappa 1e2


@given(seed=seeds, width=widths, data=st.data())
def test_random_frames_are_orthonormal_and_fixed_by_the_generator(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, width))
    frames = random_frames(width, rank, 5, torch.Generator().manual_seed(seed))
    assert distance(frames.mT @ frames, torch.eye(rank).expand(5, rank, rank)) <= rounding(width)
    assert torch.equal(frames, random_frames(width, rank, 5, torch.Generator().manual_seed(seed)))


@given(seed=seeds, width=st.integers(1, 4), data=st.data())
def test_random_frames_have_haar_moments(seed: int, width: int, data: st.DataObject) -> None:
    # Invariance under rotations forces E Q = 0 and E Q Q^T = r/d; QR without its signs made unique fails the first.
    rank = data.draw(st.integers(1, width))
    frames = random_frames(width, rank, HAAR_DRAWS, torch.Generator().manual_seed(seed))
    assert distance(frames.mean(dim=0), torch.zeros(width, rank)) <= hoeffding(HAAR_DRAWS, spread=2.0)
    # Entries of a projector lie in [0, 1] or [-1/2, 1/2].
    mean = (frames @ frames.mT).mean(dim=0)
    assert distance(mean, torch.eye(width) * rank / width) <= hoeffding(HAAR_DRAWS)


@pytest.mark.parametrize("extreme", [1e-150, 1e150])
@given(seed=seeds, width=widths)
def test_orthonormal_bases_survive_extreme_lengths(extreme: float, seed: int, width: int) -> None:
    columns = invertible(seed, width, 4.0)
    assert distance(orthonormal(columns * extreme), orthonormal(columns)) <= rounding(width, 1e2)
