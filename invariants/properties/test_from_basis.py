"""Properties of `Core.from_basis`: a core of a subspace that was found elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from ace.core import Core
from ace.extract import extract_core
from ace.rank import Fixed, Full, RankRule
from invariants.properties.strategies import (
    Planted,
    Problem,
    conditions,
    distance,
    every_rule,
    frame,
    gaussian,
    gramians,
    invertible,
    planted_systems,
    problems,
    projector,
    rounding,
    seeds,
    span_error,
)


def some_span(problem: Problem, data: st.DataObject) -> Tensor:
    """Independent columns (d, r), of no particular span, that the sensitivities read in all their dimensions."""
    rank = data.draw(st.integers(1, min(problem.width, problem.outputs)))
    columns = gaussian(problem.seed + 7, problem.width, rank) * 10.0 ** gaussian(problem.seed + 8, rank)
    assume(float(torch.linalg.cond(problem.sensitivities @ torch.linalg.qr(columns).Q)) < 1e2)
    return columns


def oblique_twin(columns: Tensor, observe: Tensor) -> Tensor:
    """Q (Q^T O Q)^-1 Q^T O (d, d), formed as it is defined."""
    basis = torch.linalg.qr(columns).Q
    return basis @ torch.linalg.inv(basis.T @ observe @ basis) @ basis.T @ observe


def output_errors(problem: Problem, core: Core) -> float:
    """Mean squared error of the outputs J h of a linear tail that sees the core's part of the states only."""
    centred = problem.states - problem.states.mean(dim=0)
    lost = (centred - centred @ core.projector("oblique").T) @ problem.sensitivities.T
    return float(lost.square().sum()) / (len(centred) - 1) / problem.outputs


@given(problem=problems, data=st.data())
def test_the_oblique_projector_of_a_given_span_is_the_coordinate_free_one(
    problem: Problem, data: st.DataObject
) -> None:
    columns = some_span(problem, data)
    core = Core.from_basis(columns, states=problem.states, sensitivities=problem.sensitivities)
    _, observe = gramians(problem.states, problem.sensitivities)
    assert core.dimension == columns.shape[1]
    assert distance(core.projector("oblique"), oblique_twin(columns, observe)) <= rounding(problem.size, 1e4 * 10)
    assert span_error(core, torch.linalg.qr(columns).Q) <= rounding(problem.size)


@given(problem=problems, seed=seeds, condition=conditions, data=st.data())
def test_it_is_covariant_under_invertible_maps(
    problem: Problem, seed: int, condition: float, data: st.DataObject
) -> None:
    columns, change = some_span(problem, data), invertible(seed, problem.width, condition)
    back = torch.linalg.inv(change)
    plain = Core.from_basis(columns, states=problem.states, sensitivities=problem.sensitivities)
    moved = Core.from_basis(
        change @ columns, states=problem.states @ change.T, sensitivities=problem.sensitivities @ back
    )
    tolerance = rounding(problem.size, 1e4 * condition**2)
    assert distance(moved.projector("oblique"), change @ plain.projector("oblique") @ back) <= tolerance
    assert distance(moved.sigma, plain.sigma) <= tolerance * float(plain.sigma[0])


@given(problem=problems, data=st.data())
def test_in_its_coordinates_both_gramians_are_diagonal_with_the_sigma_of_the_span(
    problem: Problem, data: st.DataObject
) -> None:
    core = Core.from_basis(some_span(problem, data), states=problem.states, sensitivities=problem.sensitivities)
    reach, observe = gramians(problem.states, problem.sensitivities)
    own = core.sigma[: core.dimension]
    tolerance = rounding(problem.size, 1e4 * float(core.sigma.max() ** 2 / own[-1]))
    assert bool((own.diff() <= 0).all())
    assert distance(core.readers @ core.directions, torch.eye(core.dimension)) <= rounding(problem.size, 1e4)
    assert distance(core.readers @ reach @ core.readers.T, torch.diag(own)) <= tolerance
    assert distance(core.directions.T @ observe @ core.directions, torch.diag(own)) <= tolerance


@given(problem=problems, data=st.data())
def test_the_sigma_of_what_a_span_leaves_out_give_the_error_of_a_linear_tail(
    problem: Problem, data: st.DataObject
) -> None:
    core = Core.from_basis(some_span(problem, data), states=problem.states, sensitivities=problem.sensitivities)
    energy = core.sigma.square()
    own = core.sigma[: core.dimension]
    # Whatever the span, nothing is lost between the two parts: all sigma^2 sum to the trace of C O.
    reach, observe = gramians(problem.states, problem.sensitivities)
    assert float(energy.sum()) == pytest.approx(float((reach @ observe).trace()), rel=rounding(problem.size, 10.0))
    for rank in range(1, core.dimension + 1):
        tolerance = rounding(problem.size, 1e4 * float(energy.sum() * own[0] / own[rank - 1]))
        assert output_errors(problem, core.truncated(rank)) == pytest.approx(float(energy[rank:].sum()), abs=tolerance)


@given(system=planted_systems, seed=seeds, data=st.data())
def test_the_span_of_a_core_gives_the_core_whatever_columns_stand_for_it(
    system: Planted, seed: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, system.rank))
    core = extract_core(system.states, system.sensitivities, rank=Fixed(rank))
    mixed = core.basis @ invertible(seed, rank, 4.0)
    made = Core.from_basis(mixed.numpy(), states=system.states, sensitivities=system.sensitivities)
    tolerance = 4 * system.tolerance(rank)  # the condition of the mixture
    assert distance(made.projector("oblique"), core.projector("oblique")) <= tolerance
    assert distance(made.sigma[: system.rank], core.sigma[: system.rank]) <= tolerance
    for smaller in range(1, rank):
        cut, wanted = made.truncated(smaller), core.truncated(smaller)
        assert distance(cut.projector("oblique"), wanted.projector("oblique")) <= 4 * system.tolerance(smaller)
        assert distance(cut.projector(), wanted.projector()) <= 4 * system.tolerance(smaller)


@given(seed=seeds, width=st.integers(1, 7), data=st.data())
def test_without_sensitivities_columns_keep_their_order_and_side(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, width))
    columns = gaussian(seed, width, rank) * 10.0 ** (5 * gaussian(seed + 1, rank))
    core = Core.from_basis(columns, np.arange(width), samples=7, site="site 1", task="chain", split="extraction")
    lengths = columns.norm(dim=0)
    condition = float(torch.linalg.cond(columns / lengths))
    assert distance(core.basis.T @ core.basis, torch.eye(rank)) <= rounding(width)
    for count in range(1, rank + 1):
        leading = torch.linalg.qr(columns[:, :count] / lengths[:count]).Q
        assert distance(projector(core.basis[:, :count]), projector(leading)) <= rounding(width, condition)
    assert bool(((core.basis * columns).sum(dim=0) > 0).all())
    assert torch.equal(core.projector("oblique"), core.projector("orthogonal"))
    assert core.mean.tolist() == list(range(width))
    assert not core.balanced
    assert (core.samples, core.site, core.task, core.split) == (7, "site 1", "chain", "extraction")


@given(problem=problems, seed=seeds)
def test_a_single_axis_keeps_its_side(problem: Problem, seed: int) -> None:
    axis = gaussian(seed, problem.width, 1)
    core = Core.from_basis(axis, states=problem.states, sensitivities=problem.sensitivities)
    assert float((core.basis * axis).sum()) > 0
    assert float((core.directions * axis).sum()) > 0


@given(problem=problems)
def test_the_mean_is_that_of_the_states_unless_it_is_given(problem: Problem) -> None:
    basis, point = frame(problem.seed, problem.width, 1), gaussian(problem.seed + 3, problem.width)
    for sensitivities in (None, problem.sensitivities):
        taken = Core.from_basis(basis, states=problem.states, sensitivities=sensitivities)
        given_one = Core.from_basis(basis, point, states=problem.states, sensitivities=sensitivities)
        assert distance(taken.mean, problem.states.mean(dim=0)) <= rounding(problem.size)
        assert torch.equal(given_one.mean, point)
        assert torch.equal(taken.readers, given_one.readers)
        assert taken.samples == given_one.samples == len(problem.states)


@every_rule
@given(problem=problems)
def test_a_rule_takes_as_many_columns_as_the_project_would(rule: RankRule, problem: Problem) -> None:
    core = extract_core(problem.states, problem.sensitivities, rank=rule)
    full = extract_core(problem.states, problem.sensitivities, rank=Full()).basis
    made = Core.from_basis(full, states=problem.states, sensitivities=problem.sensitivities, rank=rule)
    assert made.rank == core.rank
    assert made.dimension == core.dimension


@given(problem=problems)
def test_an_empty_span_is_a_core_of_no_dimensions(problem: Problem) -> None:
    none = torch.zeros(problem.width, 0)
    bare = Core.from_basis(none, states=problem.states)
    core = Core.from_basis(none, states=problem.states, sensitivities=problem.sensitivities)
    whole = extract_core(problem.states, problem.sensitivities, rank=Full())
    assert (bare.dimension, core.dimension) == (0, 0)
    assert torch.equal(core.sigma, whole.sigma)  # all of it is left out
