"""Properties of singular systems: what Lanczos finds is what the full decomposition has."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ace.singular import FEW, LARGE, SingularSystem
from invariants.properties.strategies import distance, frame, gaussian, rounding, seeds

counts = st.integers(1, LARGE // FEW)


def planted(seed: int, values: list[float], rows: int = LARGE, columns: int = LARGE + 30) -> torch.Tensor:
    """A matrix with these leading singular values above a floor of small ones."""
    floor = 1e-3 * min(values) * gaussian(seed + 2, rows, columns) / (rows + columns)
    return (
        frame(seed, rows, len(values))
        * torch.tensor(values, dtype=torch.float64)
        @ frame(seed + 1, columns, len(values)).T
        + floor
    )


@given(seed=seeds, count=counts)
@settings(max_examples=10)
def test_leading_triplets_equal_those_of_the_full_decomposition(seed: int, count: int) -> None:
    matrix = gaussian(seed, LARGE, LARGE + 30)
    left, values, right = SingularSystem(matrix).leading(count)
    full_left, full_values, full_right = torch.linalg.svd(matrix, full_matrices=False)
    assert distance(values, full_values[:count]) <= rounding(LARGE) * float(full_values[0])
    for found, wanted in ((left, full_left[:, :count]), (right.T, full_right[:count].T)):
        gap = float(full_values[count - 1] - full_values[count]) / float(full_values[0])
        assert distance(found @ found.T, wanted @ wanted.T) <= rounding(LARGE, 1 / gap)


@given(seed=seeds, copies=st.integers(2, 5))
@settings(max_examples=10)
def test_repeated_values_are_all_found(seed: int, copies: int) -> None:
    matrix = planted(seed, [2.0] * copies + [1.0])
    left, values, _ = SingularSystem(matrix).leading(copies)
    assert distance(values, torch.full((copies,), 2.0)) <= 1e-4
    wanted = frame(seed, LARGE, copies + 1)[:, :copies]  # the last column has the value 1
    assert distance(left @ left.T, wanted @ wanted.T) <= 1e-4


@given(seed=seeds, count=counts)
@settings(max_examples=5)
def test_values_do_not_depend_on_what_was_asked_before(seed: int, count: int) -> None:
    matrix = gaussian(seed, LARGE, LARGE)
    asked, fresh = SingularSystem(matrix), SingularSystem(matrix)
    asked.leading(count)
    assert torch.equal(asked.values, fresh.values)


def test_a_wrong_answer_of_lanczos_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = planted(0, [3.0, 2.0, 1.0])
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    missed = [1, 2]  # true triplets, but not the leading ones

    def blind(matrix: torch.Tensor, count: int, start: object, tolerance: float = 0.0) -> tuple[torch.Tensor, ...]:
        if count == 1:
            return torch.linalg.svd(matrix, full_matrices=False)[0][:, :1], torch.linalg.svdvals(matrix)[:1], right[:1]
        return left[:, missed], values[missed], right[missed]

    monkeypatch.setattr("ace.singular._largest", blind)
    assert distance(SingularSystem(matrix).leading(2)[1], values[:2]) <= rounding(LARGE)
