"""The ensemble trainer on a CUDA device; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ace.training.ensemble import initial_weights, stacked_logits
from ace.training.recipe import Recipe
from ace.training.trainer import EnsembleTrainer
from invariants.contracts import builders
from invariants.contracts.test_courses import addition

pytestmark = pytest.mark.gpu


def test_the_ensemble_gives_the_same_logits_on_cuda_as_on_the_cpu() -> None:
    wanted = builders.recipe()
    weights = initial_weights(wanted.model, [torch.Generator().manual_seed(k) for k in range(2)], torch.float32)
    inputs = torch.randint(wanted.model.vocabulary, (2, 8, 7), generator=torch.Generator().manual_seed(0))
    there = stacked_logits(wanted.model, {name: value.cuda() for name, value in weights.items()}, inputs.cuda())
    torch.testing.assert_close(there.cpu(), stacked_logits(wanted.model, weights, inputs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "stop", "last"),
    [(builders.recipe(), 1, 2), (addition(), 2, 4), (addition(), 4, 5)],
    ids=["plain", "over a branch", "within arms"],
)
def test_a_training_on_cuda_resumes_to_the_same_weights(tmp_path: Path, recipe: Recipe, stop: int, last: int) -> None:
    whole, first, second = (EnsembleTrainer(recipe, "cuda") for _ in range(3))
    for _ in range(last):
        whole.advance()
    for _ in range(stop):
        first.advance()
    first.save(tmp_path / "partial.json")
    second.restore(tmp_path / "partial.json")
    for _ in range(last - stop):
        second.advance()
    for name, value in whole.weights.items():
        assert torch.equal(value, second.weights[name]), name
