"""The ensemble trainer, and models of one's own, on a CUDA device; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ace
from ace.model.aside import weights_aside
from ace.tasks import Split
from ace.training.ensemble import initial_weights, stacked_logits
from ace.training.recipe import Recipe
from ace.training.trainer import EnsembleTrainer
from invariants.bench.random_models import random_model
from invariants.contracts import builders
from invariants.contracts.exact import Exact, Largest
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


def test_a_users_models_are_read_and_edited_where_they_are() -> None:
    """A recurrent one above the site as well, of which cuDNN gives no gradients in evaluation mode."""

    class Recurrent(Exact):
        def __init__(self, seed: int) -> None:
            super().__init__(seed)
            self.passed, self.gru = nn.Identity(), nn.GRU(16, 16, batch_first=True)

        def forward(self, numbers: Tensor) -> Tensor:
            states = self.passed(self.lift(numbers))
            found: Tensor = self.readout(states + 0.01 * self.gru(states)[0])
            return found

    sizes = dict.fromkeys(Split, 400)
    models = [Recurrent(index).cuda() for index in range(2)]
    twins = [Recurrent(index) for index in range(7, 9)]
    subject = ace.runs_subject("there", models, Largest(), sites="passed", untrained=twins, sizes=sizes)
    assert subject.trained.tail(0).head is None
    for name in ("core.sufficiency", "core.necessity", "core.alignment", "core.transplant"):
        assert ace.verify_claim(name, subject).status != "INAPPLICABLE"
    assert all(parameter.is_cuda for model in models for parameter in model.parameters())


def test_a_twin_takes_the_models_place_on_the_gpu() -> None:
    """As much memory as the model took is free meanwhile, and what it says afterwards is the same to the bit."""
    language = random_model("llama", 64, 2, 4096)
    language.model.cuda()
    ids = torch.tensor([[1, 2, 3]], device="cuda")
    before, _ = language.run(ids)
    full = torch.cuda.memory_allocated()
    size = sum(weight.nbytes for weight in language.model.parameters())
    with weights_aside(language.model):
        assert torch.cuda.memory_allocated() <= full - size
    assert torch.equal(language.run(ids)[0], before)
