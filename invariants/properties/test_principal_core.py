"""The principal directions in a core's place, and the edit with a core, against plain linear algebra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import ace
from ace.study.controls import edited, principal_core
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

WIDTH = 6


@dataclass
class Study:
    """States of two models at some positions (n, t, d), and a core of each, in the place of a study of models."""

    seed: int
    rank: int

    def states(self, index: int, split: Split) -> Tensor:
        """Of the extraction split, with a mean far from zero."""
        assert split is Split.EXTRACTION
        generator = torch.Generator().manual_seed(10 * self.seed + index)
        states = torch.randn(20, 3, WIDTH, generator=generator, dtype=torch.float64)
        mixed = states @ torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
        return (mixed + 100).float()

    def core(self, index: int) -> ace.Core:
        """What random sensitivities say."""
        generator = torch.Generator().manual_seed(self.seed)
        read = torch.randn(self.rank, WIDTH, generator=generator, dtype=torch.float64)
        states = self.states(index, Split.EXTRACTION).flatten(0, 1)
        return ace.extract_core(states, read, rank=ace.Fixed(self.rank))


@given(seed=st.integers(0, 50), rank=st.integers(1, WIDTH), index=st.integers(0, 1))
def test_no_subspace_of_the_cores_rank_holds_more_of_the_variance_about_the_mean(
    seed: int, rank: int, index: int
) -> None:
    study = Study(seed, rank)
    core, principal = study.core(index), principal_core(cast(TokenStudy, study), index)
    assert principal.dimension == rank
    assert torch.equal(principal.mean, core.mean)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double()
    variances, directions = torch.linalg.eigh(torch.cov(states.T, correction=0))
    held = torch.trace(principal.basis.T @ torch.cov(states.T, correction=0) @ principal.basis)
    assert float(held) == pytest.approx(float(variances[-rank:].sum()), rel=1e-6)
    away = principal.basis - directions[:, -rank:] @ (directions[:, -rank:].T @ principal.basis)
    assert float(away.abs().max()) < 1e-5


@pytest.mark.parametrize("projector", ["orthogonal", "oblique"])
def test_an_edit_keeps_or_removes_what_the_projector_reads_of_the_core(projector: str) -> None:
    core, states = Study(0, 2).core(0), Study(1, 2).states(0, Split.EXTRACTION).double()
    component = (states - core.mean) @ core.projector(projector).T
    assert torch.allclose(edited(core, "keep", projector)(states), core.mean + component)
    assert torch.allclose(edited(core, "remove", projector)(states), states - component)


def test_an_edit_is_orthogonal_where_nothing_else_is_said() -> None:
    core, states = Study(0, 2).core(0), Study(1, 2).states(0, Split.EXTRACTION)
    assert torch.equal(edited(core, "remove")(states), edited(core, "remove", "orthogonal")(states))
