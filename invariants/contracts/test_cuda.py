"""The ensemble trainer on a CUDA device; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ace.training.ensemble import initial_weights, stacked_logits
from ace.training.trainer import EnsembleTrainer
from invariants.contracts import builders

pytestmark = pytest.mark.gpu


def test_the_ensemble_gives_the_same_logits_on_cuda_as_on_the_cpu() -> None:
    wanted = builders.recipe()
    weights = initial_weights(wanted.model, [torch.Generator().manual_seed(k) for k in range(2)], torch.float32)
    inputs = torch.randint(wanted.model.vocabulary, (2, 8, 7), generator=torch.Generator().manual_seed(0))
    there = stacked_logits(wanted.model, {name: value.cuda() for name, value in weights.items()}, inputs.cuda())
    torch.testing.assert_close(there.cpu(), stacked_logits(wanted.model, weights, inputs), atol=1e-4, rtol=1e-4)


def test_a_training_on_cuda_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, first = EnsembleTrainer(builders.recipe(), "cuda"), EnsembleTrainer(builders.recipe(), "cuda")
    for _ in range(2):
        whole.advance()
    first.advance()
    first.save(tmp_path / "partial.json")
    second = EnsembleTrainer(builders.recipe(), "cuda")
    second.restore(tmp_path / "partial.json")
    second.advance()
    for name, value in whole.weights.items():
        assert torch.equal(value, second.weights[name]), name
