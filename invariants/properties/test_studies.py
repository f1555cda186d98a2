"""What is measured of many subspaces at once, or in core coordinates alone, equals one plain evaluation each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from ace.alternatives.evidence import Evidence
from ace.alternatives.methods import ALTERNATIVES
from ace.compare import affine_map
from ace.families.core.transplant import transplants
from ace.model.intervene import Intervention
from ace.study import alternatives
from ace.study.memory import Memory, remembered
from ace.study.token_rest import rest_at, rest_performance
from ace.study.tokens import TokenStudy
from ace.tasks import MarkovChain, Split
from ace.training.transformer import Architecture
from invariants.contracts import builders

SIZES = {Split.EXTRACTION: 60, Split.SELECTION: 60, Split.EVALUATION: 80}


@pytest.fixture(scope="module")
def study() -> TokenStudy:
    """Untrained models: what is compared is arithmetic."""
    models = builders.untrained(Architecture(4, 16, 1, 12, 2, 24))
    transition = np.roll(np.eye(4), 1, axis=1) * 0.25 + np.eye(4) * 0.75
    return TokenStudy(models, MarkovChain("chain", transition, 12), sizes=SIZES)


@pytest.mark.parametrize("mode", ["keep", "remove"])
def test_the_rest_performs_as_each_of_its_subspaces_does_by_itself(study: TokenStudy, mode: str) -> None:
    plain = [study.performance(0, Intervention(study.core(0).with_basis(basis), mode).apply) for basis in drawn(study)]
    found = rest_performance(study, 0, mode, tuple(range(7)))
    hits, losses = (np.array([each[part].mean() for each in plain]) for part in (0, 1))
    assert found[:, 0] == pytest.approx(hits, abs=1e-9)
    assert found[:, 1] == pytest.approx(losses, rel=1e-5)
    assert np.ptp(hits) > 0  # subspaces differ, so that the agreement says something


def drawn(study: TokenStudy) -> Tensor:
    """(7, d, r) bases of the first draws of the rest."""
    return rest_at(study, 0).directions[:7]


def test_a_transplant_in_coordinates_is_one_of_whole_states(study: TokenStudy) -> None:
    host, donor = study.core(0), (study.coordinates(1, Split.SELECTION), study.coordinates(1, Split.EVALUATION))
    fit, given = (torch.from_numpy(part) for part in donor)
    carry = affine_map(fit.flatten(0, 1), torch.from_numpy(study.coordinates(0, Split.SELECTION)).flatten(0, 1))
    states = host.mean + carry(given) @ host.basis.T
    hits, _ = study.performance(0, lambda part: states.split(500)[0][: len(part)].to(part))
    wanted = float(hits.mean() - study.base(0)[0].mean())
    found = {estimate.label: estimate.value for estimate in transplants(study, study)}
    assert found["1>0"] == pytest.approx(wanted, abs=1e-9)


def test_alternatives_stand_in_the_place_of_a_models_core(study: TokenStudy) -> None:
    found = alternatives.alternative_cores(study, 0)
    assert list(found) == [*ALTERNATIVES, "DAS"]
    assert {core.dimension for core in found.values()} == {study.core(0).dimension}
    assert all(torch.equal(core.mean, study.core(0).mean) for core in found.values())
    assert alternatives.alternative_cores(study, 0) is found
    targets = study.batch(Split.EXTRACTION).targets.reshape(-1)
    states = study.states(0, Split.EXTRACTION).flatten(0, 1).double()
    means = torch.stack([states[torch.from_numpy(targets == k)].mean(dim=0) for k in range(4)])
    span = torch.linalg.qr((means[1:] - means[0]).T).Q
    assert study.core(0).dimension == 3  # as many as four class means span
    outside = found["mean difference"].basis - span @ span.T @ found["mean difference"].basis
    assert float(outside.abs().max()) < 1e-9


def test_methods_with_labels_see_a_sample_of_many_states(study: TokenStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternatives, "ROWS", 50)
    found = alternatives.alternative_cores(study, 1)
    samples = {name: core.samples for name, core in found.items()}
    assert samples.pop("DAS") == 60 * 11
    assert samples == {name: 50 if ALTERNATIVES[name].labelled else 60 * 11 for name in ALTERNATIVES}


def test_methods_with_labels_are_left_out_where_there_are_no_classes() -> None:
    states = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    evidence = Evidence(states, torch.eye(5))
    assert list(alternatives.found_cores(2, dict.fromkeys(ALTERNATIVES, evidence))) == ["PCA", "gradients alone"]


@dataclass(frozen=True)
class Block:
    """Something that says it takes so many bytes."""

    nbytes: int


def test_large_values_give_way_to_newer_ones_and_the_largest_stays_while_it_is_used() -> None:
    memory, made = Memory(100), []

    def obtain(name: str, size: int) -> Block:
        def compute() -> Block:
            made.append(name)
            return Block(size)

        return memory.get(name, compute)

    first = obtain("a", 60)
    assert obtain("a", 60) is first
    obtain("b", 40)
    obtain("c", 500)  # larger than the limit, and beside it 100 bytes
    obtain("a", 60)
    assert made == ["a", "b", "c"]
    obtain("d", 30)  # 130 beside the largest: b, used longest ago, gives way
    obtain("c", 500)
    obtain("b", 40)
    assert made == ["a", "b", "c", "d", "b"]


def test_small_values_stay_until_the_memory_is_cleared() -> None:
    memory = Memory(1)
    made: list[str] = []

    def value(name: str) -> str:
        made.append(name)
        return f"value of {name}"

    for _ in range(3):
        for name in "ab":
            assert memory.get(name, partial(value, name)) == f"value of {name}"
    assert made == ["a", "b"]
    memory.put("a", "another")
    assert memory.get("a", lambda: "computed") == "another"
    assert memory.holds("b")
    memory.clear()
    assert not memory.holds("b")
    assert memory.get("a", lambda: "computed") == "computed"


class Owner:
    """Something with a memory, which counts how often it is asked."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.asked: list[tuple[int, int]] = []

    @remembered
    def sum(self, first: int, second: int = 0) -> int:
        """A sum, counted."""
        self.asked.append((first, second))
        return first + second


def test_what_is_remembered_belongs_to_one_owner_and_to_its_arguments() -> None:
    one, other = (Owner(memory) for memory in [Memory()] * 2)
    assert [one.sum(1), one.sum(1), one.sum(1, 2), one.sum(2), other.sum(1)] == [1, 1, 3, 2, 1]
    assert one.asked == [(1, 0), (1, 2), (2, 0)]
    assert other.asked == [(1, 0)]
    one.memory.clear()
    one.sum(1)
    assert len(one.asked) == 4


def test_an_argument_is_the_same_by_name_by_place_and_by_default() -> None:
    one = Owner(Memory())
    assert [one.sum(1), one.sum(1, 0), one.sum(1, second=0), one.sum(second=0, first=1)] == [1] * 4
    assert one.asked == [(1, 0)]
    assert [one.sum(1, 2), one.sum(1, second=2)] == [3, 3]
    assert one.asked == [(1, 0), (1, 2)]
    for wrong in ({"first": 1, "third": 0}, {}):
        with pytest.raises(TypeError):
            one.sum(**wrong)
    with pytest.raises(TypeError):
        one.sum(1, 0, 0)  # type: ignore[call-arg]
