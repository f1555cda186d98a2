"""Statistics that are called on ten thousand resamples each, against what their docstrings say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from ace.families.agreement import dormant
from ace.families.agreement.scales import _Coordinates, _correlation
from ace.families.agreement.specificity import selectivity
from ace.linalg import random_frames
from invariants.contracts.builders import gaussian


@given(st.integers(0, 2**20), st.booleans())
def test_a_correlation_is_pearsons(seed: int, pooled: bool) -> None:
    rng = np.random.default_rng(seed)
    labels, first = rng.permutation(np.arange(24) % 2), rng.standard_normal(24)
    second = first + rng.standard_normal(24) + 3 * labels
    of = _Coordinates(("a", "b"), (), labels, np.arange(24) // 2)
    found = _correlation("", first, second, of, pooled=pooled, ceiling=0.5, resampled=False).value
    if pooled:
        first, second = (
            part - np.array([part[labels == 0].mean(), part[labels == 1].mean()])[labels] for part in (first, second)
        )
    assert found == pytest.approx(np.corrcoef(first, second)[0, 1] / 0.5)


def test_a_class_that_is_not_drawn_adds_nothing_to_a_correlation() -> None:
    rng = np.random.default_rng(0)
    labels, first, second = np.repeat([0, 1], 12), *rng.standard_normal((2, 24))
    of = _Coordinates(("a", "b"), (), labels, np.arange(24) // 12)  # a cluster each: resamples have one of them or both
    drawn = _correlation("", first, second, of, pooled=True).replicates
    assert drawn is not None
    alone = [np.corrcoef(first[labels == label], second[labels == label])[0, 1] for label in (0, 1)]
    assert {round(float(value), 9) for value in drawn} >= {round(float(value), 9) for value in alone}


@given(st.integers(0, 2**20), st.sampled_from([20, 7]))
def test_selectivity_is_an_effect_over_the_median_of_others(seed: int, others: int) -> None:
    rng = np.random.default_rng(seed)
    change, value = rng.random((2, 30, others + 1))
    mean = np.stack([change, value, value**2, np.ones_like(change)], axis=2).mean(axis=0) * rng.uniform(0.5, 2)
    effects = change.mean(axis=0) / value.std(axis=0)
    assert selectivity(mean) == pytest.approx(effects[0] / np.median(effects[1:]))


@pytest.mark.parametrize("rank", [1, 3, 8, 11])
def test_projections_of_an_axis_are_distributed_as_those_on_random_subspaces(rank: int) -> None:
    width, draws = 12, 4000
    axis = torch.nn.functional.normalize(gaussian(0, width), dim=0)
    came = dormant.projections(axis, rank, draws, torch.Generator().manual_seed(1))
    bases = random_frames(width, rank, draws, torch.Generator().manual_seed(2))
    wanted = (bases @ (bases.mT @ axis[:, None]))[:, :, 0]
    along = [(each @ axis).numpy() for each in (came, wanted)]
    assert kstest(*along).pvalue > 1e-3
    assert torch.allclose(came.square().sum(dim=1), came @ axis)  # as of every orthogonal projection
    beside = [each - (each @ axis)[:, None] * axis for each in (came, wanted)]
    moments = [each.T @ each / draws for each in beside]
    assert float((moments[0] - moments[1]).abs().max()) <= 0.02
