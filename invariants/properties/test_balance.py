"""Properties of sigma, balanced readers and the oblique projector, of whichever extractor is under test.

They speak about extractors whose cores are balanced: the fixture `balanced_extractor` skips, with the reason, one that
gives a basis alone (`Core.from_basis` without sensitivities), whose oblique projector is the orthogonal one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from ace.extract import Extractor, head_sensitivities
from ace.rank import Energy, Fixed, Full, RankRule
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
    steep,
    widths,
)

# --- What sigma is ----------------------------------------------------------------------------------------------------


@given(problem=problems)
def test_sigma_squared_are_the_eigenvalues_of_the_product_of_gramians(
    balanced_extractor: Extractor, problem: Problem
) -> None:
    # The Gramian form is the slow twin. The eigenvalues of C O are those of L^T O L with C = L L^T, where they are
    # perfectly conditioned, so the error is that of forming the Gramians.
    reach, observe = gramians(problem.states, problem.sensitivities)
    root = torch.linalg.cholesky(reach)
    wanted = torch.linalg.eigvalsh(root.T @ observe @ root).flip(0)
    core = balanced_extractor(problem.states, problem.sensitivities, rank=Full())
    count = min(len(core.sigma), problem.width)
    scale = float(torch.linalg.matrix_norm(reach, 2) * torch.linalg.matrix_norm(observe, 2))
    assert distance(core.sigma[:count] ** 2, wanted[:count]) <= rounding(problem.size, scale)
    assert bool((core.sigma.diff() <= 0).all())


@given(system=planted_systems)
def test_directions_are_eigenvectors_of_the_product_of_gramians(balanced_extractor: Extractor, system: Planted) -> None:
    reach, observe = gramians(system.states, system.sensitivities)
    core = balanced_extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    wanted = core.directions * core.sigma[: system.rank] ** 2
    # |C O x| is formed from products of size |C| |O| <= kappa^2 and vectors of size sqrt(kappa).
    assert distance(reach @ observe @ core.directions, wanted) <= rounding(4 * system.width, system.condition**3)


@given(problem=problems)
def test_in_core_coordinates_both_gramians_are_diagonal_with_sigma(
    balanced_extractor: Extractor, problem: Problem
) -> None:
    core = balanced_extractor(problem.states, problem.sensitivities, rank=Full())
    reach, observe = gramians(problem.states, problem.sensitivities)
    wanted = torch.diag(core.sigma[: core.dimension])
    tolerance = rounding(problem.size, float(core.sigma[0] ** 2 / core.sigma[core.dimension - 1]) * 10)
    assert distance(core.readers @ reach @ core.readers.T, wanted) <= tolerance
    assert distance(core.directions.T @ observe @ core.directions, wanted) <= tolerance


@given(system=planted_systems)
def test_known_hankel_singular_values_are_recovered(balanced_extractor: Extractor, system: Planted) -> None:
    core = balanced_extractor(system.states, system.sensitivities, rank=Full())
    tolerance = rounding(4 * system.width, system.condition**2)
    assert distance(core.sigma[: system.rank], system.sigma) <= tolerance
    # Coordinates that are only reached or only observed outweigh the core in one Gramian and count for nothing.
    assert bool((core.sigma[system.rank :] <= tolerance).all())


@given(system=planted_systems, data=st.data())
def test_known_oblique_projectors_are_recovered(
    balanced_extractor: Extractor, system: Planted, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    core = balanced_extractor(system.states, system.sensitivities, rank=Fixed(rank))
    assert distance(core.projector("oblique"), system.projector(rank)) <= system.tolerance(rank)


@given(seed=seeds, order=st.integers(1, 4), pole=st.floats(0.2, 0.6))
def test_sigma_of_a_linear_system_are_those_of_its_hankel_matrix(
    balanced_extractor: Extractor, seed: int, order: int, pole: float
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
    core = balanced_extractor(torch.cat([reached, -reached]), observed, rank=Energy(0.9))
    # Each state comes with its mirror image, so that centring takes nothing out.
    scale = (2 / ((2 * steps - 1) * steps)) ** 0.5
    wanted = torch.linalg.svdvals(hankel)[:order] * scale
    size = float(reached.norm() * observed.norm()) * scale
    assert distance(core.sigma[:order], wanted) <= rounding(2 * steps, size)
    infinite = torch.from_numpy(solve_discrete_lyapunov(dynamics.numpy(), np.outer(inlet, inlet)))
    assert distance(reached.T @ reached, infinite) <= rounding(2 * steps, float(infinite.norm()))


# --- Change of coordinates --------------------------------------------------------------------------------------------


@given(system=planted_systems, seed=seeds, condition=conditions)
def test_sigma_is_invariant_under_invertible_maps(
    balanced_extractor: Extractor, system: Planted, seed: int, condition: float
) -> None:
    states, sensitivities = moved(system, invertible(seed, system.width, condition))
    core = balanced_extractor(states, sensitivities, rank=Fixed(system.rank))
    plain = balanced_extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    tolerance = rounding(4 * system.width, (system.condition * condition) ** 2)
    assert distance(core.sigma[: system.rank], plain.sigma[: system.rank]) <= tolerance


@given(system=planted_systems, seed=seeds, condition=conditions, data=st.data())
def test_the_oblique_projector_is_covariant_under_invertible_maps(
    balanced_extractor: Extractor, system: Planted, seed: int, condition: float, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    change = invertible(seed, system.width, condition)
    core = balanced_extractor(*moved(system, change), rank=Fixed(rank))
    plain = balanced_extractor(system.states, system.sensitivities, rank=Fixed(rank))
    wanted = change @ plain.projector("oblique") @ torch.linalg.inv(change)
    assert distance(core.projector("oblique"), wanted) <= moved_tolerance(system, rank, condition)


# --- Scale, translation, order and multiplicity of the rows -----------------------------------------------------------


@every_rule
@given(problem=problems, first=st.integers(-30, 30), second=st.integers(-30, 30))
def test_scaling_scales_sigma(
    balanced_extractor: Extractor, rule: RankRule, problem: Problem, first: int, second: int
) -> None:
    plain = balanced_extractor(problem.states, problem.sensitivities, rank=rule)
    scaled = balanced_extractor(problem.states * 10.0**first, problem.sensitivities * 10.0**second, rank=rule)
    size = float(plain.sigma[0])
    assert distance(scaled.sigma * 10.0 ** -(first + second), plain.sigma) <= rounding(problem.size, 20 * size)


@given(system=planted_systems, offset=st.floats(-1e3, 1e3))
def test_translating_the_states_moves_neither_sigma_nor_projector(
    balanced_extractor: Extractor, system: Planted, offset: float
) -> None:
    plain = balanced_extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    core = balanced_extractor(system.states + offset, system.sensitivities, rank=Fixed(system.rank))
    # Adding an offset rounds each state to eps times the offset.
    tolerance = system.tolerance(system.rank) * (1 + abs(offset))
    assert distance(core.sigma, plain.sigma) <= tolerance
    assert distance(core.projector("oblique"), plain.projector("oblique")) <= tolerance


@given(system=planted_systems, seed=seeds)
def test_the_order_of_the_states_moves_neither_sigma_nor_projector(
    balanced_extractor: Extractor, system: Planted, seed: int
) -> None:
    order = torch.randperm(len(system.states), generator=torch.Generator().manual_seed(seed))
    plain = balanced_extractor(system.states, system.sensitivities, rank=Fixed(system.rank))
    core = balanced_extractor(system.states[order], system.sensitivities, rank=Fixed(system.rank))
    assert distance(core.sigma, plain.sigma) <= system.tolerance(system.rank)
    assert distance(core.projector("oblique"), plain.projector("oblique")) <= system.tolerance(system.rank)


@given(problem=problems, seed=seeds)
def test_permuting_whole_rows_of_the_sensitivities_leaves_sigma(
    balanced_extractor: Extractor, problem: Problem, seed: int
) -> None:
    # J^T J is a sum over rows, so such a permutation cannot serve as a null: every "draw" is the observed spectrum.
    order = torch.randperm(problem.outputs, generator=torch.Generator().manual_seed(seed))
    plain = balanced_extractor(problem.states, problem.sensitivities, rank=Fixed(1))
    core = balanced_extractor(problem.states, problem.sensitivities[order], rank=Fixed(1))
    assert distance(core.sigma, plain.sigma) <= rounding(problem.size, 20 * float(plain.sigma[0]))


@given(seed=seeds, width=st.integers(2, 7))
def test_turning_the_sensitivities_does_change_sigma(balanced_extractor: Extractor, seed: int, width: int) -> None:
    # The negative case of the one above: what the null rule does instead is no symmetry. Where C and O share their
    # axes and both fall, any other orientation has a smaller trace of C O = sum of sigma^2 (von Neumann).
    sizes = 2.0 ** -torch.arange(width, dtype=torch.float64)
    states, axes = centred_frame(seed, 2 * width + 4, width) * sizes, torch.diag(sizes)
    plain = balanced_extractor(states, axes, rank=Fixed(1))
    core = balanced_extractor(states, axes @ frame(seed + 1, width, width), rank=Fixed(1))
    assert float(core.sigma.square().sum()) < float(plain.sigma.square().sum())


@every_rule
@given(problem=problems, copies=st.integers(2, 4))
def test_duplicating_rows_scales_sigma_by_a_known_factor(
    balanced_extractor: Extractor, rule: RankRule, problem: Problem, copies: int
) -> None:
    samples = len(problem.states)
    plain = balanced_extractor(problem.states, problem.sensitivities, rank=rule)
    core = balanced_extractor(problem.states.repeat(copies, 1), problem.sensitivities.repeat(copies, 1), rank=rule)
    # O is a mean over rows and stays; C divides by n - 1, so duplication changes sigma by exactly this factor.
    factor = (copies * (samples - 1) / (copies * samples - 1)) ** 0.5
    count = min(problem.outputs, problem.width)
    tolerance = rounding(copies * problem.size, 20 * float(plain.sigma[0]))
    assert distance(core.sigma[:count], plain.sigma[:count] * factor) <= tolerance


@every_rule
@given(problem=problems, constant=st.floats(-10, 10), silent=st.booleans(), data=st.data())
def test_padding_that_is_constant_or_unread_is_inert(
    balanced_extractor: Extractor, rule: RankRule, problem: Problem, constant: float, silent: bool, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, problem.width))
    plain = balanced_extractor(problem.states, problem.sensitivities, rank=rule)
    core = balanced_extractor(*padded(problem, place, constant, silent), rank=rule)
    count = min(len(core.sigma), len(plain.sigma))
    tolerance = rounding(problem.size, 100 * (1 + abs(constant)))
    assert distance(core.sigma[:count], plain.sigma[:count]) <= tolerance
    if not silent:
        assert bool((core.directions[place].abs() <= tolerance / core.sigma[: core.dimension].sqrt()).all())
    else:
        assert distance(core.readers[:, place], torch.zeros(core.dimension)) == 0.0


# --- Special cases with known answers ---------------------------------------------------------------------------------


@given(seed=seeds, width=widths, base=st.floats(1.5, 3.0), data=st.data())
def test_isotropic_states_give_the_sigma_of_the_sensitivities(
    balanced_extractor: Extractor, seed: int, width: int, base: float, data: st.DataObject
) -> None:
    # C = I: sigma^2 are the eigenvalues of J^T J over m.
    rank = data.draw(st.integers(1, width))
    samples, outputs = 2 * width + 4, width + 3
    states = centred_frame(seed, samples, width) * (samples - 1) ** 0.5 + 2
    axes, sizes = frame(seed + 1, width, width), base ** -torch.arange(width, dtype=torch.float64)
    gradients = frame(seed + 2, outputs, width) * sizes @ axes.T
    core = balanced_extractor(states, gradients, rank=Fixed(rank))
    assert distance(core.sigma[:width], sizes / outputs**0.5) <= rounding(samples)
    values = torch.linalg.eigvalsh(gradients.T @ gradients)
    assert distance(core.sigma[:width] ** 2 * outputs, values.flip(0)) <= rounding(samples)


@given(seed=seeds, width=widths, base=st.floats(1.5, 3.0), data=st.data())
def test_isotropic_sensitivities_give_the_sigma_of_the_states(
    balanced_extractor: Extractor, seed: int, width: int, base: float, data: st.DataObject
) -> None:
    # O = I: sigma^2 are the eigenvalues of the covariance.
    rank = data.draw(st.integers(1, width))
    axes, sizes = frame(seed, width, width), base ** -torch.arange(width, dtype=torch.float64)
    states = centred_frame(seed + 1, 2 * width + 4, width) * sizes @ axes.T + 1
    core = balanced_extractor(states, frame(seed + 2, width, width) * width**0.5, rank=Fixed(rank))
    assert distance(core.sigma[:width] * (len(states) - 1) ** 0.5, sizes) <= rounding(len(states), 4.0)


@given(problem=problems)
def test_one_gradient_gives_the_deviation_of_its_output(balanced_extractor: Extractor, problem: Problem) -> None:
    # O = g g^T: sigma = sqrt(g^T C g), the standard deviation of the output.
    gradient = problem.sensitivities[0]
    core = balanced_extractor(problem.states, gradient.expand(problem.outputs, -1), rank=Full())
    reach, _ = gramians(problem.states, problem.sensitivities)
    assert float(core.sigma[0]) == pytest.approx(float(gradient @ reach @ gradient) ** 0.5, rel=rounding(100))


@given(seed=seeds, width=widths, classes=st.integers(2, 6))
def test_the_oblique_projector_of_a_full_core_of_a_linear_head_is_that_of_concept_erasure(
    balanced_extractor: Extractor, seed: int, width: int, classes: int
) -> None:
    # The affine eraser that moves the states least (Belrose et al. 2023) removes along the range of Cov(h, z) = C W^T
    # and along it only, by the projector C W^T (W C W^T)^+ W.
    states, weight = head_problem(seed, width, classes)
    core = balanced_extractor(states, head_sensitivities(weight), rank=Full())
    crossed, inner, head, condition = crossed_moment(states, weight, core.dimension)
    eraser = crossed @ torch.linalg.inv(inner) @ head
    assert distance(core.projector("oblique"), eraser) <= rounding(len(states), condition)
    reach, _ = gramians(states, weight)
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
def test_the_error_of_a_linear_tail_is_the_tail_of_sigma_squared(
    balanced_extractor: Extractor, problem: Problem
) -> None:
    full = balanced_extractor(problem.states, problem.sensitivities, rank=Full())
    energy = full.sigma.square()
    # The projector's size, sigma_1 over its smallest sigma at worst, multiplies the rounding of the outputs.
    for rank in range(1, full.dimension + 1):
        core = balanced_extractor(problem.states, problem.sensitivities, rank=Fixed(rank))
        found = output_error(problem, core.projector("oblique"))
        tolerance = rounding(problem.size, float(energy[0] * energy[0] / energy[rank - 1]))
        assert found == pytest.approx(float(energy[rank:].sum()), abs=tolerance)


@given(problem=problems, seed=seeds, data=st.data())
def test_no_other_linear_reduction_of_equal_rank_is_better(
    balanced_extractor: Extractor, problem: Problem, seed: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, min(problem.width, problem.outputs)))
    core = balanced_extractor(problem.states, problem.sensitivities, rank=Fixed(rank))
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
def test_the_error_never_grows_with_the_rank(balanced_extractor: Extractor, problem: Problem) -> None:
    full = balanced_extractor(problem.states, problem.sensitivities, rank=Full()).dimension
    cores = [balanced_extractor(problem.states, problem.sensitivities, rank=Fixed(rank)) for rank in range(1, full + 1)]
    errors = [output_error(problem, core.projector("oblique")) for core in cores]
    sigma = cores[-1].sigma
    slack = rounding(problem.size, float(sigma[0] ** 4 / sigma[full - 1] ** 2))
    assert all(later <= earlier + slack for earlier, later in pairwise(errors))


# --- Degenerate and imprecise inputs ----------------------------------------------------------------------------------


@given(seed=seeds, width=st.integers(2, 6), repeats=st.integers(2, 4), condition=conditions)
def test_repeated_sigma_determine_the_oblique_projector(
    balanced_extractor: Extractor, seed: int, width: int, repeats: int, condition: float
) -> None:
    system = repeating(seed, width, repeats, condition)
    tolerance = system.tolerance(repeats)
    order = torch.randperm(len(system.states), generator=torch.Generator().manual_seed(seed))
    for states in (system.states, system.states[order]):
        core = balanced_extractor(states, system.sensitivities, rank=Fixed(repeats))
        assert distance(core.projector("oblique"), system.projector(repeats)) <= tolerance
        single = balanced_extractor(states, system.sensitivities, rank=Fixed(1)).directions[:, 0]
        # Each single direction lies in the determined span, wherever in it.
        assert distance(system.projector(repeats) @ single, single) <= tolerance


@given(seed=seeds)
def test_the_error_grows_with_the_condition_number_and_not_its_square(balanced_extractor: Extractor, seed: int) -> None:
    # The square of this sigma is below eps: lost where Gramians are formed, kept where factors are.
    system = steep(seed)
    core = balanced_extractor(system.states, system.sensitivities, rank=Full())
    assert float(core.sigma[1]) == pytest.approx(float(system.sigma[1]), abs=rounding(len(system.states)))
