"""Each alternative is what its source says: against scikit-learn, plain loops, closed forms and invariances."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ace.alternatives.classes import least_squares_erasure, linear_discriminants, mean_difference
from ace.alternatives.directions import gradients_alone, principal_components
from ace.alternatives.evidence import Evidence
from ace.alternatives.methods import ALTERNATIVES, onto_readers, own_readers
from ace.alternatives.probe import logistic_probe
from ace.core import Core
from ace.core_arrays import ARRAYS, array_fault, dual_fault
from ace.errors import InputError
from ace.extract import extract_core
from ace.model.intervene import Intervention
from ace.rank import Fixed
from invariants.properties.strategies import distance, gaussian, invertible, projector, rounding, seeds


@dataclass(frozen=True)
class Labelled:
    """Gaussian clouds (30 a class) around different means, with correlated coordinates and an offset."""

    seed: int
    width: int
    classes: int

    @cached_property
    def labels(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.random.default_rng(self.seed).permutation(np.repeat(np.arange(self.classes), 30))

    @cached_property
    def states(self) -> Tensor:
        noise = gaussian(self.seed, len(self.labels), self.width) @ invertible(self.seed + 1, self.width, 9.0)
        means = 2 * gaussian(self.seed + 2, self.classes, self.width)
        return noise + means[torch.from_numpy(self.labels)] + gaussian(self.seed + 3, self.width)

    @cached_property
    def sensitivities(self) -> Tensor:
        return gaussian(self.seed + 4, self.width + 2, self.width)

    @cached_property
    def evidence(self) -> Evidence:
        return Evidence(self.states, self.sensitivities, self.labels)


clouds = st.builds(Labelled, seed=seeds, width=st.integers(4, 7), classes=st.integers(2, 4))
pairs = st.builds(Labelled, seed=seeds, width=st.integers(3, 7), classes=st.just(2))


@pytest.mark.parametrize("name", ALTERNATIVES)
@given(case=clouds)
def test_each_is_a_core_with_readers_dual_to_its_directions(name: str, case: Labelled) -> None:
    found = ALTERNATIVES[name].find(case.evidence, 2)
    assert found.dimension == (min(2, case.classes - 1) if ALTERNATIVES[name].labelled else 2)
    arrays = {part: getattr(found, part) for part in ARRAYS}
    assert array_fault(arrays) is None
    assert dual_fault(arrays) is None
    oblique = found.projector("oblique")
    assert distance(oblique @ oblique, oblique) < 1e-9
    assert distance(found.truncated(1).projector(), ALTERNATIVES[name].find(case.evidence, 1).projector()) < 1e-6


@given(case=clouds)
def test_readers_get_the_pattern_that_they_leave_in_the_states(case: Labelled) -> None:
    readers = gaussian(case.seed + 9, 2, case.width)
    found = case.evidence.core_of_readers(readers, "given")
    covariance = torch.from_numpy(np.cov(case.states.T.numpy()))
    pattern = covariance @ readers.T @ torch.linalg.inv(readers @ covariance @ readers.T)
    assert distance(found.projector("oblique"), pattern @ readers) < rounding(len(case.states), 1e4)


@given(case=pairs)
def test_the_pattern_is_what_balancing_gives_a_reader_of_its_own(case: Labelled) -> None:
    reader = gaussian(case.seed + 9, 1, case.width)
    balanced = extract_core(case.states, reader, rank=Fixed(1))
    found = case.evidence.core_of_readers(reader, "given")
    assert distance(found.projector("oblique"), balanced.projector("oblique")) < 1e-9
    assert distance(found.projector(), balanced.projector()) < 1e-9


@given(case=pairs)
def test_the_mean_difference_is_that_of_a_plain_loop(case: Labelled) -> None:
    means = [sum(row for row, label in zip(case.states, case.labels, strict=True) if label == k) / 30 for k in (0, 1)]
    apart = means[1] - means[0]
    wanted = torch.outer(apart, apart) / (apart @ apart)
    found = mean_difference(case.evidence, 1)
    assert distance(found.projector(), wanted) < rounding(len(case.states), 1e3)
    assert own_readers(found)


@given(case=clouds)
def test_principal_components_have_the_largest_variances(case: Labelled) -> None:
    _, vectors = np.linalg.eigh(np.cov(case.states.T.numpy()))
    wanted = torch.from_numpy(vectors[:, -2:].copy())
    assert distance(principal_components(case.evidence, 2).projector(), projector(wanted)) < 1e-6


@given(case=clouds)
def test_gradients_alone_read_the_leading_eigenvectors_of_observability(case: Labelled) -> None:
    _, vectors = torch.linalg.eigh(case.sensitivities.T @ case.sensitivities)
    found = onto_readers(gradients_alone(case.evidence, 2))
    assert distance(found.projector(), projector(vectors[:, -2:])) < 1e-6


@given(case=clouds)
def test_discriminants_without_shrinkage_are_scikit_learns(case: Labelled) -> None:
    rank = case.classes - 1
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(case.states.numpy(), case.labels)
    wanted = torch.linalg.qr(torch.from_numpy(theirs.scalings_[:, :rank])).Q
    found = linear_discriminants(case.evidence, rank, shrinkage=0.0)
    assert distance(onto_readers(found).projector(), projector(wanted)) < 1e-6


@given(case=pairs)
def test_full_shrinkage_reads_the_mean_difference(case: Labelled) -> None:
    found = onto_readers(linear_discriminants(case.evidence, 1, shrinkage=1.0))
    assert distance(found.projector(), mean_difference(case.evidence, 1).projector()) < 1e-9


@given(case=pairs)
def test_the_probe_reads_scikit_learns_coefficients(case: Labelled) -> None:
    centred = case.states - case.states.mean(dim=0)
    theirs = LogisticRegression().fit((centred / centred.square().mean().sqrt()).numpy(), case.labels)
    wanted = torch.from_numpy(theirs.coef_[0] / np.linalg.norm(theirs.coef_[0]))
    assert distance(onto_readers(logistic_probe(case.evidence, 1)).projector(), torch.outer(wanted, wanted)) < 1e-9


@given(case=clouds)
def test_erasure_leaves_equal_class_means_and_nothing_to_separate(case: Labelled) -> None:
    core = least_squares_erasure(case.evidence, case.classes)
    erased = Intervention(core, "remove", projector="oblique").apply(case.states)
    means = torch.stack([erased[torch.from_numpy(case.labels == k)].mean(dim=0) for k in range(case.classes)])
    assert distance(means, means[:1].expand_as(means)) < 1e-9 * float(case.states.abs().max())
    assert core.dimension == case.classes - 1
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(erased.numpy(), case.labels)
    apart = fitted.coef_ - fitted.coef_.mean(axis=0) if case.classes > 2 else fitted.coef_
    assert apart == pytest.approx(np.zeros_like(apart), abs=1e-6)


@pytest.mark.parametrize("method", [mean_difference, least_squares_erasure, linear_discriminants])
def test_classes_with_one_mean_are_refused(method: Callable[[Evidence, int], Core]) -> None:
    states = gaussian(0, 10, 4).repeat(2, 1) + 100
    with pytest.raises(InputError, match="different means"):
        method(Evidence(states, gaussian(1, 3, 4), np.repeat([0, 1], 10)), 1)


@given(case=clouds)
def test_erasure_moves_states_least(case: Labelled) -> None:
    """Of all oblique projectors that equal the class means, in the norm of theorem 4.3: any, so also the plain one."""
    rank = case.classes - 1
    moved = [
        float((Intervention(core, "remove", projector="oblique").apply(case.states) - case.states).square().sum())
        for core in (least_squares_erasure(case.evidence, rank), mean_difference(case.evidence, rank))
    ]
    assert moved[0] <= moved[1] * (1 + 1e-9)


@pytest.mark.parametrize("method", [least_squares_erasure, linear_discriminants])
@given(case=clouds, turn=seeds)
def test_erasure_and_discriminants_do_not_depend_on_coordinates(method: object, case: Labelled, turn: int) -> None:
    change = invertible(turn, case.width, 9.0)
    moved = Evidence(case.states @ change.T, case.sensitivities @ torch.linalg.inv(change), case.labels)

    def found(evidence: Evidence) -> Tensor:
        core = (
            linear_discriminants(evidence, 1, shrinkage=0.0)
            if method is linear_discriminants
            else least_squares_erasure(evidence, 1)
        )
        return core.projector("oblique")

    wanted = change @ found(case.evidence) @ torch.linalg.inv(change)
    assert distance(found(moved), wanted) < 1e-6 * float(wanted.abs().max())


@given(case=clouds)
def test_discriminants_and_erasure_of_two_classes_differ_in_the_covariance_only(case: Labelled) -> None:
    """C = within + between: for the whole span of the class means both whiten to the same readers."""
    rank = case.classes - 1
    first = linear_discriminants(case.evidence, rank, shrinkage=0.0).projector("oblique")
    second = least_squares_erasure(case.evidence, rank).projector("oblique")
    assert distance(first, second) < 1e-6 * float(second.abs().max())


@pytest.mark.skipif(importlib.util.find_spec("concept_erasure") is None, reason="concept-erasure is not installed")
@pytest.mark.filterwarnings("default")
@given(case=clouds)
def test_erasure_is_that_of_its_authors(case: Labelled) -> None:
    from concept_erasure import LeaceEraser

    one_hot = torch.nn.functional.one_hot(torch.from_numpy(case.labels)).double()
    theirs = LeaceEraser.fit(case.states, one_hot, shrinkage=False, constrain_cov_trace=False, svd_tol=1e-9)
    found = Intervention(least_squares_erasure(case.evidence, case.classes), "remove", projector="oblique")
    assert distance(found.apply(case.states), theirs(case.states)) < 1e-6 * float(case.states.abs().max())


def test_states_fewer_than_dimensions_are_told_apart_within_their_span() -> None:
    states, labels = gaussian(0, 20, 40), np.arange(20) % 2
    evidence = Evidence(states, gaussian(1, 3, 40), labels)
    core = least_squares_erasure(evidence, 1)
    erased = Intervention(core, "remove", projector="oblique").apply(states)
    assert distance(erased[::2].mean(dim=0), erased[1::2].mean(dim=0)) < 1e-9
    assert linear_discriminants(evidence, 1).dimension == 1


def test_the_library_is_imported_without_scikit_learn() -> None:
    lines = "import sys, ace, ace.alternatives.methods, ace.study.alternatives; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", lines], check=True)
