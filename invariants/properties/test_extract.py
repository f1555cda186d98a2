"""Properties of extraction. Every test that takes the fixture `extractor` runs on whichever extractor is under test."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from ace.core import Core
from ace.extract import Extractor, extract_core, extract_stream, head_sensitivities
from ace.rank import Energy, Fixed, Full, Gap, Null, RankRule
from invariants.properties.strategies import (
    EPS,
    Planted,
    Problem,
    centred_frame,
    conditions,
    distance,
    frame,
    gaussian,
    gramians,
    invertible,
    planted_systems,
    problems,
    projector,
    rounding,
    seeds,
    widths,
)

RULES: dict[str, RankRule] = {
    "energy": Energy(0.9),
    "gap": Gap(),
    "full": Full(),
    "null": Null(quantile=0.9, draws=20),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
kinds = ["orthogonal", "oblique"]


def head_problem(seed: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Generic states (n, d) and the weight (classes, d) of a linear head."""
    return gaussian(seed, 2 * width + 4, width) + 1, gaussian(seed + 1, classes, width)


def span_error(core: Core, basis: Tensor) -> float:
    """Distance of a core's span from that of an orthonormal basis (d, r)."""
    return distance(core.projector(), projector(basis))


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


# --- What sigma is ----------------------------------------------------------------------------------------------------


@given(problem=problems)
def test_sigma_squared_are_the_eigenvalues_of_the_product_of_gramians(extractor: Extractor, problem: Problem) -> None:
    # The Gramian form is the slow twin. The eigenvalues of C O are those of L^T O L with C = L L^T, where they are
    # perfectly conditioned, so the error is that of forming the Gramians.
    reach, observe = gramians(problem.states, problem.sensitivities)
    root = torch.linalg.cholesky(reach)
    wanted = torch.linalg.eigvalsh(root.T @ observe @ root).flip(0)
    core = extractor(problem.states, problem.sensitivities, rank=Full())
    count = min(len(core.sigma), problem.width)
    scale = float(torch.linalg.matrix_norm(reach, 2) * torch.linalg.matrix_norm(observe, 2))
    assert distance(core.sigma[:count] ** 2, wanted[:count]) <= rounding(problem.size, scale)
    assert bool((core.sigma.diff() <= 0).all())


@given(system=planted_systems)
def test_directions_are_eigenvectors_of_the_product_of_gramians(extractor: Extractor, system: Planted) -> None:
    reach, observe = gramians(system.states, system.sensitivities)
    core = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    wanted = core.directions * core.sigma[: system.rank] ** 2
    # |C O x| is formed from products of size |C| |O| <= kappa^2 and vectors of size sqrt(kappa).
    assert distance(reach @ observe @ core.directions, wanted) <= rounding(4 * system.width, system.condition**3)


@given(problem=problems)
def test_in_core_coordinates_both_gramians_are_diagonal_with_sigma(problem: Problem) -> None:
    core = extract_core(problem.states, problem.sensitivities, rank=Full())
    reach, observe = gramians(problem.states, problem.sensitivities)
    wanted = torch.diag(core.sigma[: core.dimension])
    tolerance = rounding(problem.size, float(core.sigma[0] ** 2 / core.sigma[core.dimension - 1]) * 10)
    assert distance(core.readers @ reach @ core.readers.T, wanted) <= tolerance
    assert distance(core.directions.T @ observe @ core.directions, wanted) <= tolerance


@given(system=planted_systems)
def test_known_hankel_singular_values_are_recovered(extractor: Extractor, system: Planted) -> None:
    core = extractor(system.states, system.sensitivities, rank=Full())
    tolerance = rounding(4 * system.width, system.condition**2)
    assert core.dimension == system.rank
    assert distance(core.sigma[: system.rank], system.sigma) <= tolerance
    # Coordinates that are only reached or only observed outweigh the core in one Gramian and count for nothing.
    assert bool((core.sigma[system.rank :] <= tolerance).all())


@given(system=planted_systems, data=st.data())
def test_known_balanced_directions_are_recovered(extractor: Extractor, system: Planted, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, system.rank))
    core = extractor(system.states, system.sensitivities, rank=Fixed(rank))
    assert distance(core.projector("oblique"), system.projector(rank)) <= system.tolerance(rank)
    assert span_error(core, system.basis(rank)) <= system.tolerance(rank)


@given(seed=seeds, order=st.integers(1, 4), pole=st.floats(0.2, 0.6))
def test_sigma_of_a_linear_system_are_those_of_its_hankel_matrix(
    extractor: Extractor, seed: int, order: int, pole: float
) -> None:
    # The Hankel matrix [c A^(i+j) b] of the impulse response knows nothing of states or gradients.
    steps = 40  # 0.6^80 is 1e-18: the tail is below rounding
    dynamics = pole * frame(seed, order, order)
    inlet, outlet = gaussian(seed + 1, order), gaussian(seed + 2, order)
    powers = [torch.linalg.matrix_power(dynamics, k) for k in range(2 * steps)]
    response = torch.stack([outlet @ power @ inlet for power in powers])
    hankel = response[torch.arange(steps)[:, None] + torch.arange(steps)]
    reached = torch.stack([power @ inlet for power in powers[:steps]])
    observed = torch.stack([outlet @ power for power in powers[:steps]])
    core = extractor(torch.cat([reached, -reached]), observed, rank=Energy(0.9))
    # Each state comes with its mirror image, so that centring takes nothing out.
    scale = (2 / ((2 * steps - 1) * steps)) ** 0.5
    wanted = torch.linalg.svdvals(hankel)[:order] * scale
    size = float(reached.norm() * observed.norm()) * scale
    assert distance(core.sigma[:order], wanted) <= rounding(2 * steps, size)
    infinite = torch.from_numpy(solve_discrete_lyapunov(dynamics.numpy(), np.outer(inlet, inlet)))
    assert distance(reached.T @ reached, infinite) <= rounding(2 * steps, float(infinite.norm()))


# --- Change of coordinates --------------------------------------------------------------------------------------------


def moved(system: Planted, change: Tensor) -> tuple[Tensor, Tensor]:
    """The same system after h -> G h, with the head composed with G^-1."""
    return system.states @ change.T, system.sensitivities @ torch.linalg.inv(change)


def moved_tolerance(system: Planted, rank: int, condition: float) -> float:
    """Rounding of both systems, and of the change itself, whose condition number multiplies T's."""
    return system.tolerance(rank) * condition**2


@given(system=planted_systems, seed=seeds, condition=conditions)
def test_sigma_is_invariant_under_invertible_maps(
    extractor: Extractor, system: Planted, seed: int, condition: float
) -> None:
    states, sensitivities = moved(system, invertible(seed, system.width, condition))
    core = extractor(states, sensitivities, rank=Fixed(system.rank))
    plain = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    tolerance = rounding(4 * system.width, (system.condition * condition) ** 2)
    assert distance(core.sigma[: system.rank], plain.sigma[: system.rank]) <= tolerance


@given(system=planted_systems, seed=seeds, condition=conditions, data=st.data())
def test_spans_are_equivariant_under_invertible_maps(
    extractor: Extractor, system: Planted, seed: int, condition: float, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    change = invertible(seed, system.width, condition)
    core = extractor(*moved(system, change), rank=Fixed(rank))
    wanted = torch.linalg.qr(change @ extractor(system.states, system.sensitivities, rank=Fixed(rank)).basis).Q
    assert span_error(core, wanted) <= moved_tolerance(system, rank, condition)


@given(system=planted_systems, seed=seeds, condition=conditions, data=st.data())
def test_the_oblique_projector_is_covariant_under_invertible_maps(
    extractor: Extractor, system: Planted, seed: int, condition: float, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    change = invertible(seed, system.width, condition)
    core = extractor(*moved(system, change), rank=Fixed(rank))
    plain = extractor(system.states, system.sensitivities, rank=Fixed(rank))
    wanted = change @ plain.projector("oblique") @ torch.linalg.inv(change)
    assert distance(core.projector("oblique"), wanted) <= moved_tolerance(system, rank, condition)


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
def test_scaling_scales_sigma_and_leaves_rank_and_span(
    extractor: Extractor, rule: RankRule, problem: Problem, first: int, second: int
) -> None:
    # C and O are scaled by 1e-60 to 1e60: an absolute jitter anywhere would show. The scaled data are rounded anew.
    plain = extractor(problem.states, problem.sensitivities, rank=rule)
    scaled = extractor(problem.states * 10.0**first, problem.sensitivities * 10.0**second, rank=rule)
    size = float(plain.sigma[0])
    assert distance(scaled.sigma * 10.0 ** -(first + second), plain.sigma) <= rounding(problem.size, 20 * size)
    assert scaled.dimension == plain.dimension
    if isinstance(rule, Full):
        # The span at full rank has no gap behind it, only its own smallest sigma.
        least = float(plain.sigma[plain.dimension - 1])
        assert distance(scaled.projector(), plain.projector()) <= rounding(problem.size, 1e3 * size / least)


@given(system=planted_systems, offset=st.floats(-1e3, 1e3))
def test_translating_the_states_moves_only_the_mean(extractor: Extractor, system: Planted, offset: float) -> None:
    plain = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    core = extractor(system.states + offset, system.sensitivities, rank=Fixed(system.rank))
    # Adding an offset rounds each state to eps times the offset.
    tolerance = system.tolerance(system.rank) * (1 + abs(offset))
    assert distance(core.sigma, plain.sigma) <= tolerance
    assert distance(core.projector("oblique"), plain.projector("oblique")) <= tolerance
    assert distance(core.mean, plain.mean + offset) <= tolerance


@given(system=planted_systems, seed=seeds)
def test_the_order_of_the_states_is_immaterial(extractor: Extractor, system: Planted, seed: int) -> None:
    order = torch.randperm(len(system.states), generator=torch.Generator().manual_seed(seed))
    plain = extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    core = extractor(system.states[order], system.sensitivities, rank=Fixed(system.rank))
    assert distance(core.sigma, plain.sigma) <= system.tolerance(system.rank)
    assert distance(core.projector("oblique"), plain.projector("oblique")) <= system.tolerance(system.rank)


@given(problem=problems, seed=seeds)
def test_permuting_whole_rows_of_the_sensitivities_leaves_sigma(
    extractor: Extractor, problem: Problem, seed: int
) -> None:
    # J^T J is a sum over rows, so such a permutation cannot serve as a null: every "draw" is the observed spectrum.
    order = torch.randperm(problem.outputs, generator=torch.Generator().manual_seed(seed))
    plain = extractor(problem.states, problem.sensitivities, rank=Fixed(1))
    core = extractor(problem.states, problem.sensitivities[order], rank=Fixed(1))
    assert distance(core.sigma, plain.sigma) <= rounding(problem.size, 20 * float(plain.sigma[0]))


@given(seed=seeds, width=st.integers(2, 7))
def test_turning_the_sensitivities_does_change_sigma(extractor: Extractor, seed: int, width: int) -> None:
    # The negative case of the one above: what the null rule does instead is no symmetry. Where C and O share their
    # axes and both fall, any other orientation has a smaller trace of C O = sum of sigma^2 (von Neumann).
    sizes = 2.0 ** -torch.arange(width, dtype=torch.float64)
    states, axes = centred_frame(seed, 2 * width + 4, width) * sizes, torch.diag(sizes)
    plain = extractor(states, axes, rank=Fixed(1))
    core = extractor(states, axes @ frame(seed + 1, width, width), rank=Fixed(1))
    assert float(core.sigma.square().sum()) < float(plain.sigma.square().sum())


@every_rule
@given(problem=problems, copies=st.integers(2, 4))
def test_duplicating_rows_changes_no_rank(extractor: Extractor, rule: RankRule, problem: Problem, copies: int) -> None:
    samples = len(problem.states)
    plain = extractor(problem.states, problem.sensitivities, rank=rule)
    core = extractor(problem.states.repeat(copies, 1), problem.sensitivities.repeat(copies, 1), rank=rule)
    # O is a mean over rows and stays; C divides by n - 1, so duplication changes sigma by exactly this factor.
    factor = (copies * (samples - 1) / (copies * samples - 1)) ** 0.5
    count = min(problem.outputs, problem.width)
    tolerance = rounding(copies * problem.size, 20 * float(plain.sigma[0]))
    assert distance(core.sigma[:count], plain.sigma[:count] * factor) <= tolerance
    assert core.dimension == plain.dimension
    assert core.samples == copies * samples


@every_rule
@given(problem=problems, constant=st.floats(-10, 10), silent=st.booleans(), data=st.data())
def test_padding_that_is_constant_or_unread_is_inert(
    extractor: Extractor, rule: RankRule, problem: Problem, constant: float, silent: bool, data: st.DataObject
) -> None:
    # One column of no variance, whatever its gradient, and one of no gradient, whatever its variance.
    place = data.draw(st.integers(0, problem.width))
    states, gradients = problem.states, problem.sensitivities
    still = torch.full((len(states), 1), constant, dtype=torch.float64)
    live = gaussian(problem.seed + 5, len(states), 1)
    heard = gaussian(problem.seed + 6, len(gradients), 1)
    added, read = (live, torch.zeros_like(heard)) if silent else (still, heard)
    wider = torch.cat([states[:, :place], added, states[:, place:]], dim=1)
    reading = torch.cat([gradients[:, :place], read, gradients[:, place:]], dim=1)
    plain = extractor(states, gradients, rank=rule)
    core = extractor(wider, reading, rank=rule)
    count = min(len(core.sigma), len(plain.sigma))
    tolerance = rounding(problem.size, 100 * (1 + abs(constant)))
    assert distance(core.sigma[:count], plain.sigma[:count]) <= tolerance
    if not isinstance(rule, Null):  # the null turns the sensitivities within the whole space, so its width counts
        assert core.dimension == plain.dimension
    if not silent:
        assert bool((core.directions[place].abs() <= tolerance / core.sigma[: core.dimension].sqrt()).all())
    else:
        assert distance(core.readers[:, place], torch.zeros(core.dimension)) == 0.0


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
    # C = I: the leading eigenvectors of J^T J (Constantine's active subspace), sigma^2 its eigenvalues over m.
    rank = data.draw(st.integers(1, width))
    samples, outputs = 2 * width + 4, width + 3
    states = centred_frame(seed, samples, width) * (samples - 1) ** 0.5 + 2
    axes, sizes = frame(seed + 1, width, width), base ** -torch.arange(width, dtype=torch.float64)
    gradients = frame(seed + 2, outputs, width) * sizes @ axes.T
    core = extractor(states, gradients, rank=Fixed(rank))
    tolerance = rounding(samples, base**rank / (1 - 1 / base))  # smallest gap kept, relative to sigma_1
    assert distance(core.sigma[:width], sizes / outputs**0.5) <= rounding(samples)
    assert span_error(core, axes[:, :rank]) <= tolerance
    values, vectors = torch.linalg.eigh(gradients.T @ gradients)
    assert distance(core.sigma[:width] ** 2 * outputs, values.flip(0)) <= rounding(samples)
    assert span_error(core, vectors.flip(1)[:, :rank]) <= tolerance * base**rank  # squared by forming J^T J


@given(seed=seeds, width=widths, base=st.floats(1.5, 3.0), data=st.data())
def test_isotropic_sensitivities_give_principal_components(
    extractor: Extractor, seed: int, width: int, base: float, data: st.DataObject
) -> None:
    # O = I: the leading eigenvectors of the covariance, sigma^2 its eigenvalues.
    rank = data.draw(st.integers(1, width))
    axes, sizes = frame(seed, width, width), base ** -torch.arange(width, dtype=torch.float64)
    states = centred_frame(seed + 1, 2 * width + 4, width) * sizes @ axes.T + 1
    core = extractor(states, frame(seed + 2, width, width) * width**0.5, rank=Fixed(rank))
    assert span_error(core, axes[:, :rank]) <= rounding(len(states), base**rank / (1 - 1 / base))
    assert distance(core.sigma[:width] * (len(states) - 1) ** 0.5, sizes) <= rounding(len(states), 4.0)


@given(problem=problems)
def test_one_gradient_gives_the_direction_it_moves_the_states_along(extractor: Extractor, problem: Problem) -> None:
    # O = g g^T: one direction, C g, and sigma = sqrt(g^T C g), the standard deviation of the output.
    gradient = problem.sensitivities[0]
    core = extractor(problem.states, gradient.expand(problem.outputs, -1), rank=Full())
    reach, _ = gramians(problem.states, problem.sensitivities)
    wanted = reach @ gradient
    condition = float(torch.linalg.cond(reach))
    assert core.dimension == 1
    assert span_error(core, (wanted / wanted.norm())[:, None]) <= rounding(problem.size, condition)
    assert float(core.sigma[0]) == pytest.approx(float(gradient @ reach @ gradient) ** 0.5, rel=rounding(100))


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
def test_a_full_core_of_a_linear_head_is_the_concept_erasure_subspace(
    extractor: Extractor, seed: int, width: int, classes: int
) -> None:
    # The affine eraser that moves the states least (Belrose et al. 2023) removes along the range of Cov(h, z) = C W^T
    # and along it only, by the projector C W^T (W C W^T)^+ W.
    states, weight = head_problem(seed, width, classes)
    core = extractor(states, head_sensitivities(weight), rank=Full())
    reach, _ = gramians(states, weight)
    head = weight - weight.mean(dim=0)
    _, sizes, right = torch.linalg.svd(head, full_matrices=False)
    head = sizes[: core.dimension, None] * right[: core.dimension]  # the same outputs without the redundant class
    inner = head @ reach @ head.T
    eraser = reach @ head.T @ torch.linalg.inv(inner) @ head
    condition = float(torch.linalg.cond(inner) * torch.linalg.cond(reach))
    assert distance(core.projector("oblique"), eraser) <= rounding(len(states), condition)
    crossed = torch.linalg.qr(reach @ head.T).Q
    assert span_error(core, crossed) <= rounding(len(states), condition)
    # After erasure no linear function of the states predicts any output.
    erased = states - (states - core.mean) @ core.projector("oblique").T
    left_over = (erased - erased.mean(dim=0)).T @ (states - states.mean(dim=0)) @ head.T
    assert distance(left_over, torch.zeros_like(left_over)) <= rounding(len(states), condition * float(reach.norm()))


# --- The best linear reduction ----------------------------------------------------------------------------------------


def output_error(problem: Problem, reduction: Tensor) -> float:
    """Mean squared error of the outputs J h of a linear tail when h - mean is replaced by P (h - mean)."""
    centred = problem.states - problem.states.mean(dim=0)
    lost = (centred - centred @ reduction.T) @ problem.sensitivities.T
    return float(lost.square().sum()) / (len(centred) - 1) / problem.outputs


@given(problem=problems)
def test_the_error_of_a_linear_tail_is_the_tail_of_sigma_squared(extractor: Extractor, problem: Problem) -> None:
    full = extractor(problem.states, problem.sensitivities, rank=Full())
    energy = full.sigma.square()
    # The projector's size, sigma_1 over its smallest sigma at worst, multiplies the rounding of the outputs.
    for rank in range(1, full.dimension + 1):
        core = extractor(problem.states, problem.sensitivities, rank=Fixed(rank))
        found = output_error(problem, core.projector("oblique"))
        tolerance = rounding(problem.size, float(energy[0] * energy[0] / energy[rank - 1]))
        assert found == pytest.approx(float(energy[rank:].sum()), abs=tolerance)


@given(problem=problems, seed=seeds, data=st.data())
def test_no_other_linear_reduction_of_equal_rank_is_better(
    extractor: Extractor, problem: Problem, seed: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, min(problem.width, problem.outputs)))
    core = extractor(problem.states, problem.sensitivities, rank=Fixed(rank))
    best = output_error(problem, core.projector("oblique"))
    slack = rounding(problem.size, float(core.sigma[0] ** 4 / core.sigma[rank - 1] ** 2))
    # Any map of the rank, projector or not: random ones, the paper's orthogonal one, principal components, and the
    # optimum nudged, which is the hardest of all.
    reach, _ = gramians(problem.states, problem.sensitivities)
    nudge = 1e-3 * gaussian(seed, rank, problem.width)
    others = {
        "random": gaussian(seed + 1, problem.width, rank) @ gaussian(seed + 2, rank, problem.width) / problem.width,
        "random orthogonal": projector(frame(seed + 3, problem.width, rank)),
        "orthogonal": core.projector(),
        "principal": projector(torch.linalg.eigh(reach).eigenvectors[:, -rank:]),
        "nudged": core.directions @ (core.readers + nudge),
    }
    for name, other in others.items():
        assert output_error(problem, other) >= best - slack, name


@given(problem=problems)
def test_the_error_never_grows_with_the_rank(extractor: Extractor, problem: Problem) -> None:
    full = extractor(problem.states, problem.sensitivities, rank=Full()).dimension
    cores = [extractor(problem.states, problem.sensitivities, rank=Fixed(rank)) for rank in range(1, full + 1)]
    errors = [output_error(problem, core.projector("oblique")) for core in cores]
    sigma = cores[-1].sigma
    slack = rounding(problem.size, float(sigma[0] ** 4 / sigma[full - 1] ** 2))
    assert all(later <= earlier + slack for earlier, later in pairwise(errors))


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
    for part in (core.mean, core.directions, core.readers, core.basis, core.sigma):
        assert bool(torch.isfinite(part).all())
    for projection in kinds:
        assert core.projector(projection).shape == (width, width)


@given(seed=seeds, width=st.integers(2, 6), repeats=st.integers(2, 4), condition=conditions)
def test_repeated_sigma_determine_the_projector_but_no_single_direction(
    extractor: Extractor, seed: int, width: int, repeats: int, condition: float
) -> None:
    # Within equal sigma any rotation of the balanced directions is as good; only the whole span is determined.
    system = Planted(seed, (1.5,) + (1.0,) * (repeats - 1) + (2.0,), width, condition)
    assert float(system.sigma[repeats - 1] - system.sigma[repeats]) == pytest.approx(0.5)
    tolerance = system.tolerance(repeats)
    order = torch.randperm(len(system.states), generator=torch.Generator().manual_seed(seed))
    for states in (system.states, system.states[order]):
        core = extractor(states, system.sensitivities, rank=Fixed(repeats))
        assert distance(core.projector("oblique"), system.projector(repeats)) <= tolerance
        assert span_error(core, system.basis(repeats)) <= tolerance
        single = extractor(states, system.sensitivities, rank=Fixed(1)).directions[:, 0]
        # Each single direction lies in the determined span, wherever in it.
        assert distance(system.projector(repeats) @ single, single) <= tolerance


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

    size = lambda matrix: float(torch.linalg.matrix_norm(matrix, 2))  # noqa: E731
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
def test_the_error_grows_with_the_condition_number_and_not_its_square(extractor: Extractor, seed: int) -> None:
    # The square of this sigma is below eps: lost where Gramians are formed, kept where factors are.
    small = EPS**0.6
    steep = Planted(seed, (1.0, 1 / small), 0, 1.0, offset=0.0)
    core = extractor(steep.states, steep.sensitivities, rank=Full())
    assert core.dimension == 2
    assert float(core.sigma[1]) == pytest.approx(small, abs=rounding(len(steep.states)))
