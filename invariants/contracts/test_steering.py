"""Generation with stored keys and values, clean and steered, against whole passes of every token: token for token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ace.core import Core
from ace.errors import InputError
from ace.extract import extract_core
from ace.model.generate import continue_text, sample_likeliest
from ace.model.intervene import Intervention, intervening
from ace.model.language import LanguageModel, wrap_model
from ace.model.steer import LIMIT, Steering, core_component, first_tokens
from ace.rank import Fixed
from ace.tasks.prompt import Contrast
from invariants.contracts import families
from invariants.contracts.builders import gaussian
from invariants.contracts.families import FAMILIES, SINGLE, WIDTH, Family

STEPS, TOP_K = 8, 5


def core() -> Core:
    return extract_core(gaussian(0, 4 * WIDTH, WIDTH), gaussian(1, 3, WIDTH), rank=Fixed(1))


def ids(language: LanguageModel, *texts: str) -> Tensor:
    return torch.tensor([language.encode(text) for text in texts])


def steering(language: LanguageModel, site: int) -> Steering:
    return Steering(language.anatomy.site(site), core_component(core()), *first_tokens(language, "the key", SINGLE))


@torch.no_grad()
def written_plainly(language: LanguageModel, prompts: Tensor, steer: Steering | None, seed: int) -> Tensor:
    """The slow twin: whole passes, one strength at a time, nothing stored."""
    generator, tokens = torch.Generator().manual_seed(seed), prompts
    for _ in range(STEPS):
        logits = language.model(input_ids=tokens).logits[:, -1]
        if steer is not None and steer.site.linear_tail:
            logits = _mirrored_plainly(language, tokens, steer, logits)
        elif steer is not None:
            clean, tried = steer.contrast(logits), []
            for strength in steer.strengths:
                scaled = Intervention(core(), "scale", strength=strength)
                with intervening(language.model, steer.site, scaled, position=-1):
                    tried.append(language.model(input_ids=tokens).logits[:, -1])
            picked = [
                _pick(float(clean[row]), [float(steer.contrast(t)[row]) for t in tried]) for row in range(len(tokens))
            ]
            logits = torch.stack([tried[choice][row] for row, choice in enumerate(picked)])
        tokens = torch.cat([tokens, sample_likeliest(logits, TOP_K, generator)], dim=1)
    return tokens


def _mirrored_plainly(language: LanguageModel, tokens: Tensor, steer: Steering, logits: Tensor) -> Tensor:
    """Logits (n, v) at the strength that solves an affine contrast, row by row."""
    found = []
    for row, clean in enumerate(steer.contrast(logits).tolist()):
        with intervening(language.model, steer.site, Intervention(core(), "remove"), position=-1):
            removed = float(steer.contrast(language.model(input_ids=tokens[row : row + 1]).logits[:, -1]))
        strength = (-clean - removed) / (clean - removed)
        solved = Intervention(core(), "scale", strength=min(max(strength, -LIMIT), LIMIT))
        with intervening(language.model, steer.site, solved, position=-1):
            found.append(language.model(input_ids=tokens[row : row + 1]).logits[0, -1])
        assert abs(strength) > LIMIT or float(steer.contrast(found[-1])) == pytest.approx(-clean, abs=1e-3)
    return torch.stack(found)


def _pick(clean: float, tried: list[float]) -> int:
    """The weakest strength that mirrors the contrast, or the one that comes nearest to it from the clean side."""
    for index, value in enumerate(tried):
        if (value <= -clean) if clean > 0 else (value >= -clean):
            return index
    return min(range(len(tried)), key=lambda index: tried[index] if clean > 0 else -tried[index])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_stored_and_whole_passes_write_the_same_tokens(family: Family) -> None:
    language = families.language(family)
    prompts = ids(language, "the key near the cabinets", "the keys near the cabinet")
    for steer in (None, steering(language, 0), steering(language, 2), steering(language, -1)):
        expected = written_plainly(language, prompts, steer, seed=3)
        found = continue_text(language, prompts, STEPS, torch.Generator().manual_seed(3), steer, top_k=TOP_K)
        assert torch.equal(found, expected), steer.site if steer else "clean"


def test_where_the_logits_are_bent_after_all_strengths_are_tried_as_at_any_other_site() -> None:
    # By its structure the last site has nothing but linear maps above; what the model does to its logits shows in runs.
    family = families.family("opt-after")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = families.randomised(family.make())
    model.register_forward_hook(_soft_cap)
    language = wrap_model(model, families.tokenizer(), "bent")
    prompts = ids(language, "the key near the cabinets", "the keys near the cabinet")
    steer = steering(language, -1)
    assert steer.site.linear_tail
    tried = replace(steer, site=replace(steer.site, linear_tail=False))
    expected = written_plainly(language, prompts, tried, seed=3)
    came = continue_text(language, prompts, STEPS, torch.Generator().manual_seed(3), steer, top_k=TOP_K)
    assert torch.equal(came, expected)
    solved = continue_text(
        families.language(family), prompts, STEPS, torch.Generator().manual_seed(3), steer, top_k=TOP_K
    )
    assert not torch.equal(solved, expected)  # otherwise the lines above could not fail


def _soft_cap(module: nn.Module, arguments: object, output: Any) -> Any:
    output.logits = 2 * torch.tanh(output.logits / 2)
    return output


@pytest.mark.parametrize("top_k", [1, 7, 40, 60])
def test_a_sample_is_that_of_an_ordered_vocabulary(top_k: int) -> None:
    logits = gaussian(0, 64, 40).float()
    ordered = logits.sort(dim=-1, descending=True)
    values, places = ordered.values[:, :top_k], ordered.indices[:, :top_k]
    drawn = torch.multinomial(values.softmax(dim=-1), 1, generator=torch.Generator().manual_seed(2))
    found = sample_likeliest(logits, top_k, torch.Generator().manual_seed(2))
    assert torch.equal(found, places.gather(1, drawn))


def test_of_equal_logits_each_is_drawn() -> None:
    logits = torch.tensor([1.0, 0.0, 1.0, 1.0, -torch.inf]).expand(3000, -1)
    found = sample_likeliest(logits, 3, torch.Generator().manual_seed(0))
    assert torch.bincount(found[:, 0], minlength=5)[[1, 4]].tolist() == [0, 0]
    assert (torch.bincount(found[:, 0])[[0, 2, 3]] > 900).all()


def test_a_prompt_of_one_token_can_be_continued() -> None:
    language = families.language(families.family("llama"))
    prompts = ids(language, "the key")[:, :1]
    steer = steering(language, 1)
    found = continue_text(language, prompts, STEPS, torch.Generator().manual_seed(0), steer, top_k=TOP_K)
    assert torch.equal(found, written_plainly(language, prompts, steer, seed=0))


def test_a_core_that_does_not_move_the_contrast_is_not_blown_up() -> None:
    steer = steering(families.language(families.family("opt-after")), -1)
    assert steer.mirroring(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 1.999, 0.0])).tolist() == [
        -1.0,
        -10.0,
        -1.0,
    ]


def test_a_row_does_not_depend_on_its_neighbours_strength() -> None:
    language = families.language(families.family("gpt2"))
    steer = steering(language, 2)
    clean, tried = torch.tensor([1.0, -1.0, 2.0]), torch.tensor([[0.5, -0.5, 1.9], [-1.0, 3.0, 1.5], [-2.0, 4.0, 1.7]])
    assert steer.pick(clean, tried).tolist() == [1, 1, 1]
    assert [int(steer.pick(clean[k : k + 1], tried[:, k : k + 1])) for k in range(3)] == [1, 1, 1]


def test_steering_leaves_the_model_as_it_was() -> None:
    language = families.language(families.family("gpt2"))
    prompts = ids(language, "the key near the cabinets")
    before = language.model(input_ids=prompts).logits
    continue_text(language, prompts, 2, torch.Generator(), steering(language, 1))
    assert torch.equal(language.model(input_ids=prompts).logits, before)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda language: steering(language, 9), "site"),
        (lambda language: Steering(language.anatomy.site(0), core_component(core()), (1, 2), (2,)), "tokens"),
        (lambda language: Steering(language.anatomy.site(0), core_component(core()), (), (2,)), "tokens"),
        (lambda language: Steering(language.anatomy.site(0), core_component(core()), (1,), (2,), (0.5,)), "strengths"),
        (
            lambda language: Steering(language.anatomy.site(0), core_component(core()), (1,), (2,), (-2.0, -1.0)),
            "strengths",
        ),
        (lambda language: continue_text(language, torch.zeros(1, 2), 3, torch.Generator()), "inputs"),
        (lambda language: continue_text(language, torch.ones(1, 2).long(), 0, torch.Generator()), "steps"),
        (lambda language: first_tokens(language, "the key", Contrast((" is old",), (" is",))), "contrast"),
    ],
)
def test_bad_calls_name_the_argument(call: Callable[[LanguageModel], object], named: str) -> None:
    with pytest.raises((InputError, LookupError), match=named):
        call(families.language(families.family("gpt2")))
