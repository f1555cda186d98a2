"""Properties of the record `Core`: cut, compared, pickled, saved and loaded, and what of it is computed when."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ace.core import Core, Deferred
from ace.core_arrays import ARRAYS
from ace.errors import InputError
from ace.extract import extract_core
from ace.rank import Energy, Fixed, Full, RankChoice, RankRule
from ace.singular import SingularSystem
from invariants.properties.strategies import (
    Planted,
    Problem,
    distance,
    frame,
    gaussian,
    planted_core,
    planted_systems,
    problems,
    projector,
    rounding,
    seeds,
)

kinds = st.sampled_from(["orthogonal", "oblique"])


@given(system=planted_systems)
def test_the_dual_factors_the_oblique_projector(system: Planted) -> None:
    core = extract_core(system.states, system.sensitivities, rank=Fixed(system.rank))
    tolerance = system.tolerance(system.rank)
    assert distance(core.basis @ core.dual.T, core.projector("oblique")) <= tolerance
    assert distance(core.dual.T @ core.basis, torch.eye(core.dimension)) <= tolerance


@given(system=planted_systems, kind=kinds, data=st.data())
def test_truncation_is_extraction_at_the_smaller_rank(system: Planted, kind: str, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, system.rank))
    whole = extract_core(system.states, system.sensitivities, rank=Fixed(system.rank)).truncated(rank)
    direct = extract_core(system.states, system.sensitivities, rank=Fixed(rank))
    assert distance(whole.projector(kind), direct.projector(kind)) <= system.tolerance(rank)
    assert (whole.dimension, whole.rank.value) == (rank, rank)


@given(seed=seeds, width=st.integers(1, 7), kind=kinds, data=st.data())
def test_coordinates_rebuild_the_projected_state(seed: int, width: int, kind: str, data: st.DataObject) -> None:
    core = planted_core(seed, width, data.draw(st.integers(1, width)))
    states = gaussian(seed + 9, 4, 3, width)
    rebuilt = core.coordinates(states, kind) @ core.basis.T
    assert distance(rebuilt, (states - core.mean) @ core.projector(kind).T) <= rounding(width, 64.0)  # kappa 4, cubed


@given(seed=seeds, width=st.integers(1, 7), data=st.data())
def test_a_given_basis_makes_oblique_and_orthogonal_one(seed: int, width: int, data: st.DataObject) -> None:
    core = planted_core(seed, width, 1).with_basis(frame(seed, width, data.draw(st.integers(1, width))))
    assert torch.equal(core.projector("oblique"), core.projector("orthogonal"))
    assert distance(core.dual, core.basis) <= rounding(width)


@given(seed=seeds, width=st.integers(2, 7), excess=st.floats(1e-6, 1.0))
def test_a_basis_that_is_not_orthonormal_is_refused(seed: int, width: int, excess: float) -> None:
    with pytest.raises(InputError, match="orthonormal"):
        planted_core(seed, width, 1).with_basis(frame(seed, width, 2) * (1 + excess))


def test_a_core_of_a_basis_alone_says_that_it_has_no_sigma() -> None:
    core = planted_core(0, 4, 2)
    assert core.balanced
    other = core.with_basis(core.basis)
    assert not other.balanced
    with pytest.raises(InputError, match="sigma: expected a core of states and sensitivities"):
        _ = other.sigma


@given(seed=seeds, width=st.integers(2, 7))
def test_spans_of_a_core_are_nested(seed: int, width: int) -> None:
    core = planted_core(seed, width, width)
    for smaller, larger in pairwise(core.truncated(rank) for rank in range(1, width + 1)):
        inside = projector(larger.basis) @ smaller.basis
        assert distance(inside, smaller.basis) <= rounding(width)


# --- What is computed when --------------------------------------------------------------------------------------------


def test_a_core_of_fixed_rank_is_extracted_and_cut_without_all_singular_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: SingularSystem) -> None:
        raise AssertionError("all singular values were computed")

    states, sensitivities = gaussian(0, 300, 280), gaussian(1, 270, 280)
    with monkeypatch.context() as patch:
        patch.setattr(SingularSystem, "values", property(refuse))
        core = extract_core(states, sensitivities, rank=Fixed(2))
        given = Core.from_basis(core.basis, states=states, sensitivities=sensitivities, rank=Fixed(2))
        for made in (core, given):
            made.truncated(1), made.with_basis(made.basis), made.coordinates(states), replace(made, task="other")
    assert distance(core.sigma[:2], given.sigma[:2]) <= rounding(300, float(core.sigma[0]))


COMPUTED = torch.tensor([2.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize(
    "read",
    [
        lambda core, _: core.sigma,
        lambda core, folder: core.save(folder / "core.safetensors"),
        lambda core, _: pickle.dumps(core),
        lambda core, _: core == replace(core, hankel=COMPUTED),
    ],
    ids=["read", "save", "pickle", "compare"],
)
def test_sigma_is_computed_once_and_only_when_needed(read: Callable[[Core, Path], object], tmp_path: Path) -> None:
    calls = []

    def compute() -> Tensor:
        calls.append(1)
        return COMPUTED

    core = replace(planted_core(0, 4, 2), hankel=Deferred(compute))
    assert calls == []
    for _ in range(2):
        read(core, tmp_path)
        assert calls == [1]


# --- Plain data -------------------------------------------------------------------------------------------------------


@st.composite
def cores(draw: st.DrawFn) -> Core:
    """Cores of every kind: extracted by several rules, empty, cut, from outside with and without sensitivities."""
    problem: Problem = draw(problems)
    states, sensitivities = problem.states, problem.sensitivities
    kind = draw(st.sampled_from(["extracted", "empty", "cut", "given", "bare", "replaced"]))
    rules: list[RankRule] = [Full(), Energy(0.9), Fixed(1)]
    rule = draw(st.sampled_from(rules))
    named: dict[str, Any] = {"site": draw(st.text()), "task": "chain", "split": "extraction"}
    core = extract_core(states * (kind != "empty"), sensitivities, rank=Full() if kind == "empty" else rule, **named)
    match kind:
        case "cut":
            return core.truncated(1)
        case "given":
            return Core.from_basis(core.basis, states=states, sensitivities=sensitivities, **named)
        case "bare":
            return Core.from_basis(gaussian(problem.seed, problem.width, 1), gaussian(1, problem.width), **named)
        case "replaced":
            return core.with_basis(frame(problem.seed, problem.width, problem.width))
        case _:
            return core


def same_bits(first: Core, second: Core) -> bool:
    names = [*ARRAYS, "sigma"] if first.balanced else ARRAYS
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    return all(a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)


@given(core=cores())
def test_a_saved_core_is_loaded_to_the_bit(core: Core, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cores") / "core.safetensors"
    core.save(path)
    loaded = Core.load(str(path))
    assert same_bits(core, loaded)
    assert loaded == core
    for name in ("rank", "samples", "site", "task", "split", "balanced"):
        assert getattr(loaded, name) == getattr(core, name)
    first = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == first


@given(core=cores())
def test_pickles_and_copies_of_a_core_equal_it(core: Core) -> None:
    for other in (pickle.loads(pickle.dumps(core)), copy.deepcopy(core)):
        assert same_bits(core, other)
        assert other == core
        assert core == other


CHANGES = {
    "mean": lambda core: replace(core, mean=core.mean + 1),
    "directions": lambda core: replace(core, directions=-core.directions),
    "readers": lambda core: replace(core, readers=-core.readers),
    "basis": lambda core: replace(core, basis=-core.basis),
    "sigma": lambda core: replace(core, hankel=core.sigma * 2),
    "no sigma": lambda core: replace(core, hankel=None),
    "rank": lambda core: replace(core, rank=RankChoice(2, "another")),
    "evidence": lambda core: replace(core, rank=replace(core.rank, evidence={"energy": 1.0})),
    "samples": lambda core: replace(core, samples=core.samples + 1),
    "site": lambda core: replace(core, site="elsewhere"),
    "task": lambda core: replace(core, task="another"),
    "split": lambda core: replace(core, split="selection"),
    "dimension": lambda core: core.truncated(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_cores_differ_where_any_part_of_them_does(change: Callable[[Core], Core]) -> None:
    core = planted_core(0, 4, 2)
    assert core == replace(core)
    assert core != change(core)
    assert change(core) != core
    assert core != "core"
