"""Fused activations against those that transformers writes out."""

from __future__ import annotations

import copy

import pytest
import torch

pytest.importorskip("transformers")

from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import NewGELUActivation

from ace.model.activations import fuse_activations


class Doubled(NewGELUActivation):
    """Something else under another name."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2.0 * super().forward(input)


def written_out() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=23, n_positions=16, n_embd=32, n_layer=3, n_head=4, activation_function="gelu_new")
    return GPT2LMHeadModel(config).eval()


@torch.no_grad()
def test_a_model_with_fused_activations_is_the_model_but_for_rounding() -> None:
    slow = written_out()
    fused = fuse_activations(copy.deepcopy(slow))
    assert any(isinstance(module, NewGELUActivation) for module in slow.modules())
    assert not any(isinstance(module, NewGELUActivation) for module in fused.modules())
    assert not any(module.training for module in fused.modules())
    ids = torch.randint(0, 23, (5, 16))
    wanted, found = slow(input_ids=ids).logits, fused(input_ids=ids).logits
    assert float((wanted - found).abs().max()) <= 64 * torch.finfo(torch.float32).eps * float(wanted.abs().max())


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
def test_the_activation_is_the_written_out_one_but_for_rounding(size: float) -> None:
    model = torch.nn.Sequential(NewGELUActivation())
    values = size * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    wanted = model(values)
    rounding = 8 * torch.finfo(torch.float32).eps * values.abs()
    assert bool(((fuse_activations(model)(values) - wanted).abs() <= rounding).all())


def test_what_is_derived_from_the_activation_is_left_alone() -> None:
    model = torch.nn.Sequential(Doubled())
    assert type(fuse_activations(model)[0]) is Doubled  # type: ignore[index]
