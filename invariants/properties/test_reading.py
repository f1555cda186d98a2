"""The directions that linear maps above a site read, on models whose maps are known."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from ace.families.agreement.reading import reading_directions
from ace.model.language import LanguageModel, wrap_model
from invariants.contracts import families
from invariants.contracts.families import FAMILIES, WIDTH, Family

READERS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "lm_head")


def narrow_llama(first: int, columns: int) -> LanguageModel:
    """A Llama whose maps from block `first` on, and head, read the first few coordinates only."""
    language = families.language(families.family("llama"))
    model = copy.deepcopy(language.model)
    for name, module in model.named_modules():
        block = name.removeprefix("model.layers.").partition(".")[0]
        above = name == "lm_head" or (block.isdecimal() and int(block) >= first)
        if name.rpartition(".")[2] in READERS and above:
            with torch.no_grad():
                module.get_parameter("weight")[:, columns:] = 0.0
    return wrap_model(model, language.tokenizer, "narrow")


def test_only_what_is_read_is_found_and_blocks_below_do_not_count() -> None:
    language = narrow_llama(2, 3)
    found = reading_directions(language, language.anatomy.site(2), energy=0.999999)
    assert float(found[3:].abs().max()) < 1e-6
    wider = reading_directions(language, language.anatomy.site(1), energy=0.999999)
    assert float(wider[3:].abs().max()) > 0.1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_directions_are_orthonormal_and_grow_with_the_energy(family: Family) -> None:
    language = families.language(family)
    if family.id == "wrapper":
        pytest.skip("its last norm is called by another name; what is read there is not found")
    few, many = (reading_directions(language, language.anatomy.site(1), energy=share) for share in (0.5, 0.95))
    assert 1 <= few.shape[1] < many.shape[1] <= WIDTH
    torch.testing.assert_close(many.T @ many, torch.eye(many.shape[1], dtype=torch.float64))


def test_the_gain_of_a_norm_counts() -> None:
    language = families.language(families.family("llama"))
    model = copy.deepcopy(language.model)
    for module in model.modules():
        if "norm" in type(module).__name__.lower() and not isinstance(module, nn.ModuleList):
            with torch.no_grad():
                module.get_parameter("weight")[4:] = 0.0
    dull = replace(language, model=model)
    assert float(reading_directions(dull, dull.anatomy.site(0), energy=0.9999)[4:].abs().max()) < 1e-6
