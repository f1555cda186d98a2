"""Properties of extraction: span, rank and reference point, of whichever extractor is under test.

Those of sigma and of balanced readers stand in `test_balance`. Tests without the fixture are about the project's own.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from ace.core import PROJECTORS
from ace.extract import Extractor, extract_core, extract_stream, head_sensitivities
from ace.rank import Energy, Fixed, Full, Null, RankRule
from invariants.properties.strategies import (
    Planted,
    Problem,
    centred_frame,
    conditions,
    crossed_moment,
    distance,
    every_rule,
    frame,
    gaussian,
    gramians,
    hankel_values,
    head_problem,
    invertible,
    moved,
    moved_tolerance,
    padded,
    planted_systems,
    problems,
    projector,
    repeating,
    rounding,
    seeds,
    span_error,
    steep,
    widths,
)

# --- The core and its two bases ---------------------------------------------------------------------------------------


@given(problem=problems)
def test_the_basis_is_orthonormal(extractor: Extractor, problem: Problem) -> None:
    core = extractor(problem.states, problem.sensitivities, rank=Full())
    assert distance(core.basis.T @ core.basis, torch.eye(core.dimension)) <= rounding(problem.width)


@given(system=planted_systems)
def test_spans_are_nested_in_the_rank(extractor: Extractor, system: Planted) -> None:
    cores = [extractor(system.states, system.sensitivities, rank=Fixed(rank)) for rank in range(1, system.rank + 1)]
    for rank, (smaller, larger) in enumerate(pairwise(cores), start=1):
        tolerance = system.tolerance(rank) + system.tolerance(rank + 1)
        assert distance(larger.projector() @ smaller.basis, smaller.basis) <= tolerance


@given(system=planted_systems, data=st.data())
def test_the_leading_columns_of_a_core_span_the_smaller_core(
    extractor: Extractor, system: Planted, data: st.DataObject
) -> None:
    # Every rank of a scan is the leading columns of one core: in another order they would be of no rank.
    rank = data.draw(st.integers(1, system.rank))
    whole = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    assert span_error(whole.truncated(rank), system.basis(rank)) <= system.tolerance(rank)


@given(system=planted_systems)
def test_basis_and_directions_span_the_same(extractor: Extractor, system: Planted) -> None:
    core = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    assert distance(core.projector() @ core.directions, core.directions) <= system.tolerance(system.rank)


@given(system=planted_systems)
def test_the_oblique_projector_is_idempotent_and_of_rank_r(extractor: Extractor, system: Planted) -> None:
    core = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    oblique = core.projector("oblique")
    tolerance = system.tolerance(system.rank)
    assert distance(oblique @ oblique, oblique) <= tolerance
    # The trace of a projector is its rank.
    assert float(oblique.trace()) == pytest.approx(core.dimension, abs=system.width * tolerance)
    assert distance(core.readers @ core.directions, torch.eye(core.dimension)) <= tolerance


@given(problem=problems)
def test_the_reference_point_is_the_mean_of_the_states(extractor: Extractor, problem: Problem) -> None:
    core = extractor(problem.states, problem.sensitivities, rank=Fixed(1))
    assert distance(core.mean, problem.states.mean(dim=0)) <= rounding(problem.size)
    assert core.samples == len(problem.states)


@given(system=planted_systems)
def test_the_full_rank_is_that_of_the_system(extractor: Extractor, system: Planted) -> None:
    # Coordinates that are only reached or only observed outweigh the core in one Gramian and count for nothing.
    assert extractor(system.states, system.sensitivities, rank=Full()).dimension == system.rank


@given(system=planted_systems, data=st.data())
def test_known_spans_are_recovered(extractor: Extractor, system: Planted, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, system.rank))
    core = extractor(system.states, system.sensitivities, rank=Fixed(rank))
    assert span_error(core, system.basis(rank)) <= system.tolerance(rank)


# --- Change of coordinates --------------------------------------------------------------------------------------------


@given(system=planted_systems, seed=seeds, condition=conditions, data=st.data())
def test_spans_are_equivariant_under_invertible_maps(
    extractor: Extractor, system: Planted, seed: int, condition: float, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    change = invertible(seed, system.width, condition)
    core = extractor(*moved(system, change), rank=Fixed(rank))
    wanted = torch.linalg.qr(change @ extractor(system.states, system.sensitivities, rank=Fixed(rank)).basis).Q
    assert span_error(core, wanted) <= moved_tolerance(system, rank, condition)


@given(system=planted_systems, seed=seeds, data=st.data())
def test_the_orthogonal_projector_is_covariant_under_rotations(
    extractor: Extractor, system: Planted, seed: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    change = frame(seed, system.width, system.width)
    core = extractor(*moved(system, change), rank=Fixed(rank))
    plain = extractor(system.states, system.sensitivities, rank=Fixed(rank))
    assert distance(core.projector(), change @ plain.projector() @ change.T) <= moved_tolerance(system, rank, 1.0)


@given(system=planted_systems, strength=st.floats(0.5, 2.0))
def test_the_orthogonal_projector_is_covariant_under_rotations_only(
    extractor: Extractor, system: Planted, strength: float
) -> None:
    assume(system.rank < system.width)
    plain = extractor(system.states, system.sensitivities, rank=Fixed(1))
    inside = plain.basis[:, 0]
    outside = torch.linalg.svd(inside[None]).Vh[1]
    # The shear G = I + g q p^T leaves the span of q where it is, but G Q Q^T G^-1 = Q Q^T - g q p^T is off by g.
    change = torch.eye(system.width) + strength * torch.outer(inside, outside)
    core = extractor(*moved(system, change), rank=Fixed(1))
    off = core.projector() - change @ plain.projector() @ torch.linalg.inv(change)
    tolerance = moved_tolerance(system, 1, (1 + strength) ** 2)
    assert distance(core.projector(), plain.projector()) <= tolerance
    assert float(torch.linalg.matrix_norm(off, 2)) == pytest.approx(strength, abs=system.width * tolerance)


# --- Scale, translation, order and multiplicity of the rows -----------------------------------------------------------


@every_rule
@given(problem=problems, first=st.integers(-30, 30), second=st.integers(-30, 30))
def test_scaling_leaves_rank_and_span(
    extractor: Extractor, rule: RankRule, problem: Problem, first: int, second: int
) -> None:
    # C and O are scaled by 1e-60 to 1e60: an absolute jitter anywhere would show. The scaled data are rounded anew.
    plain = extractor(problem.states, problem.sensitivities, rank=rule)
    scaled = extractor(problem.states * 10.0**first, problem.sensitivities * 10.0**second, rank=rule)
    assert scaled.dimension == plain.dimension
    if isinstance(rule, Full):
        # The span at full rank has no gap behind it, only its own smallest sigma.
        sigma = hankel_values(problem.states, problem.sensitivities)
        spread = float(sigma[0] / sigma[plain.dimension - 1])
        assert distance(scaled.projector(), plain.projector()) <= rounding(problem.size, 1e3 * spread)


@given(system=planted_systems, offset=st.floats(-1e3, 1e3))
def test_translating_the_states_moves_only_the_mean(extractor: Extractor, system: Planted, offset: float) -> None:
    plain = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    core = extractor(system.states + offset, system.sensitivities, rank=Fixed(system.rank))
    # Adding an offset rounds each state to eps times the offset.
    tolerance = system.tolerance(system.rank) * (1 + abs(offset))
    assert distance(core.projector(), plain.projector()) <= tolerance
    assert distance(core.mean, plain.mean + offset) <= tolerance


@given(system=planted_systems, seed=seeds)
def test_the_order_of_the_states_is_immaterial(extractor: Extractor, system: Planted, seed: int) -> None:
    order = torch.randperm(len(system.states), generator=torch.Generator().manual_seed(seed))
    plain = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    core = extractor(system.states[order], system.sensitivities, rank=Fixed(system.rank))
    assert distance(core.projector(), plain.projector()) <= system.tolerance(system.rank)


@every_rule
@given(problem=problems, copies=st.integers(2, 4))
def test_duplicating_rows_changes_no_rank(extractor: Extractor, rule: RankRule, problem: Problem, copies: int) -> None:
    plain = extractor(problem.states, problem.sensitivities, rank=rule)
    core = extractor(problem.states.repeat(copies, 1), problem.sensitivities.repeat(copies, 1), rank=rule)
    assert core.dimension == plain.dimension
    assert core.samples == copies * len(problem.states)


@every_rule
@given(problem=problems, constant=st.floats(-10, 10), silent=st.booleans(), data=st.data())
def test_padding_that_is_constant_or_unread_changes_no_rank(
    extractor: Extractor, rule: RankRule, problem: Problem, constant: float, silent: bool, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, problem.width))
    plain = extractor(problem.states, problem.sensitivities, rank=rule)
    core = extractor(*padded(problem, place, constant, silent), rank=rule)
    if not isinstance(rule, Null):  # the null turns the sensitivities within the whole space, so its width counts
        assert core.dimension == plain.dimension


# --- Streaming --------------------------------------------------------------------------------------------------------


@given(
    system=planted_systems,
    states=st.lists(st.integers(1, 6), max_size=6),
    sensitivities=st.lists(st.integers(1, 6), max_size=6),
)
def test_streaming_equals_one_shot_for_any_chunking(
    system: Planted, states: list[int], sensitivities: list[int]
) -> None:
    def cut(rows: Tensor, sizes: list[int]) -> list[Tensor]:
        edges = torch.tensor(sizes, dtype=torch.int64).cumsum(dim=0)
        return [part for part in rows.tensor_split(edges[edges < len(rows)]) if len(part)]

    rule = Fixed(system.rank)
    streamed = extract_stream(cut(system.states, states), cut(system.sensitivities, sensitivities), rank=rule)
    whole = extract_core(system.states, system.sensitivities, rank=rule)
    tolerance = system.tolerance(system.rank)
    assert distance(streamed.sigma[: system.rank], whole.sigma[: system.rank]) <= tolerance
    assert distance(streamed.projector("oblique"), whole.projector("oblique")) <= tolerance
    assert distance(streamed.mean, whole.mean) <= tolerance
    assert streamed.samples == whole.samples


# --- Special cases with known answers ---------------------------------------------------------------------------------


@given(seed=seeds, width=widths, base=st.floats(1.5, 3.0), data=st.data())
def test_isotropic_states_give_the_active_subspace(
    extractor: Extractor, seed: int, width: int, base: float, data: st.DataObject
) -> None:
    # C = I: the leading eigenvectors of J^T J (Constantine's active subspace).
    rank = data.draw(st.integers(1, width))
    samples, outputs = 2 * width + 4, width + 3
    states = centred_frame(seed, samples, width) * (samples - 1) ** 0.5 + 2
    axes, sizes = frame(seed + 1, width, width), base ** -torch.arange(width, dtype=torch.float64)
    gradients = frame(seed + 2, outputs, width) * sizes @ axes.T
    core = extractor(states, gradients, rank=Fixed(rank))
    tolerance = rounding(samples, base**rank / (1 - 1 / base))  # smallest gap kept, relative to sigma_1
    assert span_error(core, axes[:, :rank]) <= tolerance
    vectors = torch.linalg.eigh(gradients.T @ gradients).eigenvectors
    assert span_error(core, vectors.flip(1)[:, :rank]) <= tolerance * base**rank  # squared by forming J^T J


@given(seed=seeds, width=widths, base=st.floats(1.5, 3.0), data=st.data())
def test_isotropic_sensitivities_give_principal_components(
    extractor: Extractor, seed: int, width: int, base: float, data: st.DataObject
) -> None:
    # O = I: the leading eigenvectors of the covariance.
    rank = data.draw(st.integers(1, width))
    axes, sizes = frame(seed, width, width), base ** -torch.arange(width, dtype=torch.float64)
    states = centred_frame(seed + 1, 2 * width + 4, width) * sizes @ axes.T + 1
    core = extractor(states, frame(seed + 2, width, width) * width**0.5, rank=Fixed(rank))
    assert span_error(core, axes[:, :rank]) <= rounding(len(states), base**rank / (1 - 1 / base))


@given(problem=problems)
def test_one_gradient_gives_the_direction_it_moves_the_states_along(extractor: Extractor, problem: Problem) -> None:
    # O = g g^T: one direction, C g.
    gradient = problem.sensitivities[0]
    core = extractor(problem.states, gradient.expand(problem.outputs, -1), rank=Full())
    reach, _ = gramians(problem.states, problem.sensitivities)
    wanted = reach @ gradient
    condition = float(torch.linalg.cond(reach))
    assert core.dimension == 1
    assert span_error(core, (wanted / wanted.norm())[:, None]) <= rounding(problem.size, condition)


@given(seed=seeds, width=widths, classes=st.integers(2, 6), size=st.floats(-100, 100))
def test_shifting_all_logits_changes_no_sensitivity(seed: int, width: int, classes: int, size: float) -> None:
    weight = gaussian(seed, classes, width)
    shift = size * gaussian(seed + 1, width)
    exact = head_sensitivities(weight)
    assert distance(head_sensitivities(weight + shift), exact) <= rounding(classes, 10 * (1 + abs(size)))
    assert distance(exact.sum(dim=0), torch.zeros(width)) <= rounding(classes, 10.0)


@given(seed=seeds, width=widths, classes=st.integers(2, 6))
def test_a_head_reads_at_most_one_dimension_fewer_than_its_classes(
    extractor: Extractor, seed: int, width: int, classes: int
) -> None:
    states, weight = head_problem(seed, width, classes)
    core = extractor(states, head_sensitivities(weight), rank=Full())
    assert core.dimension == min(width, classes - 1)
    # Uncentred, the shift of all logits counts as an output that no prediction depends on.
    assert extractor(states, weight, rank=Full()).dimension == min(width, classes)


@given(seed=seeds, width=widths, classes=st.integers(2, 6))
def test_a_full_core_of_a_linear_head_spans_what_concept_erasure_removes(
    extractor: Extractor, seed: int, width: int, classes: int
) -> None:
    # The affine eraser that moves the states least (Belrose et al. 2023) removes along the range of Cov(h, z) = C W^T.
    states, weight = head_problem(seed, width, classes)
    core = extractor(states, head_sensitivities(weight), rank=Full())
    crossed, _, _, condition = crossed_moment(states, weight, core.dimension)
    assert span_error(core, torch.linalg.qr(crossed).Q) <= rounding(len(states), condition)


@given(problem=problems, first=st.floats(0.01, 0.999), second=st.floats(0.01, 0.999))
def test_the_rank_grows_with_the_energy_threshold(
    extractor: Extractor, problem: Problem, first: float, second: float
) -> None:
    low, high = (
        extractor(problem.states, problem.sensitivities, rank=Energy(value)) for value in sorted((first, second))
    )
    assert 1 <= low.dimension <= high.dimension <= problem.width


# --- Degenerate and imprecise inputs ----------------------------------------------------------------------------------

DEGENERATE = ["zero states", "zero sensitivities", "constant", "rank one", "duplicates", "two states", "orthogonal"]


def degenerate(kind: str, seed: int, width: int) -> tuple[Tensor, Tensor, int]:
    """States and sensitivities of a degenerate kind, and the largest rank that they can have."""
    states, sensitivities = gaussian(seed, 9, width) + 1, gaussian(seed + 1, 4, width)
    turn, half = frame(seed + 2, width, width), width // 2
    match kind:
        case "zero states":
            return torch.zeros_like(states), sensitivities, 0
        case "zero sensitivities":
            return states, torch.zeros_like(sensitivities), 0
        case "constant":
            return states[:1].expand(9, width), sensitivities, 0
        case "rank one":
            return states[:, :1] @ states[:1] + 1, sensitivities, 1
        case "duplicates":
            return states[:2].repeat(5, 1), sensitivities[:1].repeat(4, 1), 1
        case "two states":
            return states[:2], sensitivities, 1
        case _:
            return states[:, :half] @ turn[:half] + 1, sensitivities[:, half:] @ turn[half:], 0


@every_rule
@pytest.mark.parametrize("kind", DEGENERATE)
@given(seed=seeds, width=st.integers(2, 6))
def test_degenerate_inputs_give_small_finite_cores(
    extractor: Extractor, rule: RankRule, kind: str, seed: int, width: int
) -> None:
    states, sensitivities, largest = degenerate(kind, seed, width)
    core = extractor(states, sensitivities, rank=rule)
    # A core made of rounding alone would be a finding where there is nothing to find.
    assert core.dimension <= largest
    for part in (core.mean, core.directions, core.readers, core.basis):
        assert bool(torch.isfinite(part).all())
    for projection in PROJECTORS:
        assert core.projector(projection).shape == (width, width)


@given(seed=seeds, width=st.integers(2, 6), repeats=st.integers(2, 4), condition=conditions)
def test_repeated_sigma_determine_the_span_but_no_single_direction(
    extractor: Extractor, seed: int, width: int, repeats: int, condition: float
) -> None:
    # Within equal sigma any rotation of the balanced directions is as good; only the whole span is determined.
    system = repeating(seed, width, repeats, condition)
    whole = extractor(system.states, system.sensitivities, rank=Fixed(repeats))
    assert span_error(whole, system.basis(repeats)) <= system.tolerance(repeats)
    single = extractor(system.states, system.sensitivities, rank=Fixed(1)).basis
    # Each single direction lies in the determined span, wherever in it.
    assert distance(projector(system.basis(repeats)) @ single, single) <= system.tolerance(repeats)


@given(system=planted_systems, data=st.data())
def test_float32_data_move_the_span_no_further_than_wedin_allows(
    extractor: Extractor, system: Planted, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    rounded = system.states.float(), system.sensitivities.float()
    core = extractor(*rounded, rank=Fixed(rank))
    plain = extractor(system.states, system.sensitivities, rank=Fixed(rank))

    def factors(states: Tensor, sensitivities: Tensor) -> tuple[Tensor, Tensor]:
        states = states.double() - states.double().mean(dim=0)
        scale = ((len(states) - 1) * len(sensitivities)) ** 0.5
        return states / scale, states @ sensitivities.double().T / scale

    def size(matrix: Tensor) -> float:
        return float(torch.linalg.matrix_norm(matrix, 2))

    (exact, product), (noisy, perturbed) = factors(system.states, system.sensitivities), factors(*rounded)
    sigma, noisy_sigma = torch.linalg.svdvals(product), torch.linalg.svdvals(perturbed)
    # Wedin: sin of the angle between the leading left singular subspaces U of H_c J^T <= |error| / gap.
    after = float(noisy_sigma[rank]) if rank < len(noisy_sigma) else 0.0
    turned = size(perturbed - product) / (float(sigma[rank - 1]) - after)
    # The span is that of H_c^T U, and |(1 - P) Q'| <= |H'^T U' - H^T U R| / smallest singular value of H'^T U'.
    left = torch.linalg.svd(perturbed).U[:, :rank]
    moved = size(noisy - exact) + size(exact) * 2**0.5 * turned
    bound = moved / float(torch.linalg.svdvals(noisy.T @ left)[-1])
    apart = size(core.projector() - plain.projector())
    assert apart <= bound + system.tolerance(rank)
    assert bound < 1e-2  # the bound says something


@given(seed=seeds)
def test_a_sigma_whose_square_is_lost_in_a_gramian_counts_in_the_rank(extractor: Extractor, seed: int) -> None:
    system = steep(seed)
    assert extractor(system.states, system.sensitivities, rank=Full()).dimension == 2
