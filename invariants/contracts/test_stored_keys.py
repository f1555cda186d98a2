"""Stored keys and values are handed to a model and taken from it under the name that its own code has for them."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import CacheLayerMixin

from ace.model.language import wrap_model
from ace.model.shared_keys import SharedKeys
from ace.model.stored_keys import (
    CACHE_NAMES,
    KeyMemory,
    cache_keyword,
    growing_cache,
    layer_for_rows,
    output_cache,
    shared_cache,
    tiled_cache,
)
from invariants.contracts import families
from invariants.contracts.builders import gaussian
from invariants.contracts.families import FAMILIES, Family


class Newer(nn.Module):
    """A model of the newer convention: the older keyword is unknown to it."""

    def __init__(self, engine: hf.PreTrainedModel) -> None:
        super().__init__()
        self.engine = engine
        self.given: list[Any] = []

    def get_input_embeddings(self) -> nn.Module:
        return self.engine.get_input_embeddings()

    def forward(self, input_ids: Tensor, cache: Any = None, use_cache: bool = False) -> Any:
        self.given.append(cache)
        named = {} if cache is None else {cache_keyword(self.engine): cache}
        output = self.engine(input_ids=input_ids, use_cache=use_cache, **named)
        return SimpleNamespace(logits=output.logits, cache=output_cache(output))


class Older(Newer):
    """The same with the older keyword alone."""

    def forward(self, input_ids: Tensor, past_key_values: Any = None, use_cache: bool = False) -> Any:
        output = super().forward(input_ids, past_key_values, use_cache)
        return SimpleNamespace(logits=output.logits, past_key_values=output.cache)


class Around(nn.Module):
    """A wrapper that hands on whatever it is given, as that of a compiled model does."""

    def __init__(self, inner: Newer) -> None:
        super().__init__()
        self.inner = inner

    def get_input_embeddings(self) -> nn.Module:
        return self.inner.get_input_embeddings()

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.inner(*arguments, **named)


@pytest.mark.parametrize("wrap", [lambda model: model, Around], ids=["itself", "wrapped"])
@pytest.mark.parametrize(("kind", "name"), [(Newer, "cache"), (Older, "past_key_values")])
def test_a_model_is_handed_its_cache_under_its_own_name(kind: Any, name: str, wrap: Any) -> None:
    model = kind(families.language(families.family("llama")).model)
    language = wrap_model(wrap(model), families.tokenizer())
    assert cache_keyword(language.model) == name
    ids = torch.tensor([language.encode("the keys near the cabinet")])
    with torch.no_grad():
        whole, nothing = language.run(ids)
        _, cache = language.run(ids[:, :-1], store=True)
        last, after = language.run(ids[:, -1:], cache)
    assert nothing is None
    assert after is cache is model.given[-1]
    assert cache.get_seq_length() == ids.shape[1]
    assert float((last[:, 0] - whole[:, -1]).abs().max()) <= 1e-4


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_the_name_of_every_family_is_one_that_its_forward_takes(family: Family) -> None:
    model = families.language(family).model
    assert cache_keyword(model) in inspect.signature(model.forward).parameters


def test_a_model_that_names_no_cache_has_the_older_name_and_an_output_without_one_has_none() -> None:
    assert cache_keyword(nn.Linear(1, 1)) == CACHE_NAMES[-1]
    assert output_cache(SimpleNamespace(logits=1)) is None


# --- a block run for more rows than are stored ------------------------------------------------------------------------
STORED, FRESH, TIMES = 2, 3, 3  # rows, new positions, and how often the rows are repeated


class Interrupted(Exception):
    """Raised in the midst of a block."""


def filled() -> hf.DynamicCache:
    """Two layers of two rows and four positions."""
    cache = hf.DynamicCache()
    for layer in range(2):
        cache.update(gaussian(layer, STORED, 1, 4, 8), gaussian(layer + 2, STORED, 1, 4, 8), layer)
    return cache


def stored(cache: hf.DynamicCache, layer: int) -> tuple[Tensor, Tensor]:
    """Keys and values (n, heads, t, width) of one layer."""
    own = cache.layers[layer]
    assert isinstance(own, CacheLayerMixin)
    assert own.keys is not None
    assert own.values is not None
    return own.keys, own.values


def fresh() -> tuple[Tensor, Tensor]:
    return gaussian(5, TIMES * STORED, 1, FRESH, 8), gaussian(6, TIMES * STORED, 1, FRESH, 8)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kept", [0, STORED])
def test_a_layer_lent_for_more_rows_gives_all_keys_and_keeps_the_first_rows(layer: int, kept: int) -> None:
    cache, before, wanted = filled(), filled(), tiled_cache(filled(), TIMES)
    memory = KeyMemory(TIMES * STORED)
    with layer_for_rows(cache, layer, TIMES * STORED, memory, kept):
        given = [part.clone() for part in cache.update(*fresh(), layer)]
    assert all(torch.equal(*pair) for pair in zip(given, wanted.update(*fresh(), layer), strict=True))
    if kept:
        keys, values = fresh()
        before.update(keys[:kept], values[:kept], layer)
    if kept or layer:
        assert all(torch.equal(*pair) for pair in zip(stored(cache, layer), stored(before, layer), strict=True))
    assert cache.get_seq_length() == (4 if layer else 4 + FRESH)  # the first layer tells how many are stored
    assert torch.equal(stored(cache, 1 - layer)[0], stored(filled(), 1 - layer)[0])


@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_lent_to_a_block_that_broke_off_is_put_back(layer: int) -> None:
    cache = filled()
    own = cache.layers[layer]
    with pytest.raises(Interrupted), layer_for_rows(cache, layer, TIMES * STORED, KeyMemory(TIMES * STORED), STORED):
        raise Interrupted
    assert cache.layers[layer] is own


@pytest.mark.parametrize("first", [0, 1])
def test_a_shared_cache_gives_what_a_tiled_one_does_and_leaves_the_given_one_alone(first: int) -> None:
    given, wanted = filled(), tiled_cache(filled(), TIMES, first)
    with torch.no_grad():
        shared = shared_cache(given, TIMES, first)
    for layer in range(first, 2):
        found = shared.update(*fresh(), layer)
        assert all(type(part) is SharedKeys for part in found)
        assert all(torch.equal(*pair) for pair in zip(found, wanted.update(*fresh(), layer), strict=True))
    assert shared.get_seq_length() == wanted.get_seq_length()
    for layer in range(2):
        assert all(torch.equal(*pair) for pair in zip(stored(given, layer), stored(filled(), layer), strict=True))


def test_with_gradients_nothing_is_shared() -> None:
    keys, values = fresh()
    given = shared_cache(filled(), TIMES).update(keys.requires_grad_(), values, 1)
    assert not any(isinstance(part, SharedKeys) for part in given)
    given[0].sum().backward()
    assert keys.grad is not None
    assert bool((keys.grad == 1).all())


# --- attention to what rows share -------------------------------------------------------------------------------------
HELD = 7  # positions that are stored


def shared(dtype: torch.dtype = torch.float32, positions: int = 1) -> tuple[Tensor, SharedKeys, SharedKeys]:
    """A query of new positions, and the keys and values that it reads."""
    query, *parts = (gaussian(seed, TIMES * STORED, 3, positions, 8).to(dtype) for seed in range(3))
    kept = [gaussian(seed, STORED, 3, HELD, 8).to(dtype) for seed in (3, 4)]

    def join(held: Tensor, part: Tensor) -> Tensor:
        return torch.cat([held.repeat(TIMES, 1, 1, 1), part], dim=2)

    keys, values = (
        SharedKeys(held, part, lambda held=held, part=part: join(held, part))  # type: ignore[misc]
        for held, part in zip(kept, parts, strict=True)
    )
    return query, keys, values


def attended(query: Tensor, keys: Tensor, values: Tensor, **named: Any) -> Tensor:
    return functional.scaled_dot_product_attention(query, keys, values, **named)


@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_to_shared_keys_is_that_to_the_tensor_they_stand_for(scale: float | None) -> None:
    query, keys, values = shared()
    found = attended(query, keys, values, scale=scale)
    assert keys._joined is values._joined is None  # nothing was repeated
    wanted = attended(query, keys.joined(), values.joined(), scale=scale)
    assert found.shape == wanted.shape == (TIMES * STORED, 3, 1, 8)
    assert float((found - wanted).abs().max()) <= 1e-6


@pytest.mark.parametrize(("packed", "named"), [(False, {"enable_gqa": True}), (True, {})], ids=["gqa", "packed"])
def test_heads_that_share_keys_are_attended_alike(packed: bool, named: dict[str, Any]) -> None:
    _, keys, values = shared()
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(TIMES * STORED, 6, 1, 8, generator=generator)
    asked = query.view(TIMES * STORED, 3, 2, 8) if packed else query
    found = attended(asked, keys, values, **named).reshape(query.shape)
    assert keys._joined is values._joined is None
    wanted = attended(query, *(part.joined().repeat_interleave(2, dim=1) for part in (keys, values)))
    assert float((found - wanted).abs().max()) <= 1e-6


@pytest.mark.parametrize(
    ("dtype", "positions", "named"),
    [
        (torch.float32, 1, {"attn_mask": torch.arange(HELD + 1)[None] > 2}),
        (torch.float32, 2, {"is_causal": True}),
        (torch.float32, 1, {"is_causal": True}),
        (torch.float32, 2, {}),
        (torch.bfloat16, 1, {}),
    ],
    ids=["masked", "causal", "causal, one", "several", "half"],
)
def test_any_other_attention_reads_the_tensor_itself(dtype: torch.dtype, positions: int, named: dict[str, Any]) -> None:
    query, keys, values = shared(dtype, positions)
    assert torch.equal(attended(query, keys, values, **named), attended(query, keys.joined(), values.joined(), **named))


def test_whatever_else_is_done_to_shared_keys_is_done_to_the_tensor_they_stand_for() -> None:
    query, keys, values = shared()
    whole = keys.joined()
    assert (keys.shape, keys.dtype, keys.device) == (whole.shape, whole.dtype, whole.device)
    for act in (
        lambda part: query @ part.transpose(2, 3),
        lambda part: part[:, :, None].expand(-1, -1, 2, -1, -1).reshape(len(query), 6, HELD + 1, 8),
        lambda part: torch.cat([part, part], dim=2),
        lambda part: part[:, :, -2:],
    ):
        assert type(act(keys)) is Tensor
        assert torch.equal(act(keys), act(whole))
    assert torch.equal(attended(query, keys, values.joined()), attended(query, whole, values.joined()))


def test_a_growing_cache_holds_what_a_concatenated_one_does() -> None:
    growing, plain = filled(), filled()
    growing_cache(growing, 2 * FRESH)
    for step in range(3):  # one step more than there is room for
        for layer in range(2):
            parts = gaussian(step, STORED, 1, FRESH, 8), gaussian(step + 9, STORED, 1, FRESH, 8)
            found, wanted = growing.update(*parts, layer), plain.update(*parts, layer)
            assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
            assert all(torch.equal(*pair) for pair in zip(stored(growing, layer), stored(plain, layer), strict=True))
        assert growing.get_seq_length() == plain.get_seq_length()


def test_a_copy_of_a_growing_cache_does_not_write_into_it() -> None:
    growing, plain = filled(), filled()
    growing_cache(growing, 4 * FRESH)
    copied = tiled_cache(growing)
    kept = gaussian(7, STORED, 1, FRESH, 8), gaussian(8, STORED, 1, FRESH, 8)
    growing.update(*kept, 1)
    plain.update(*kept, 1)
    copied.update(gaussian(9, STORED, 1, FRESH, 8), gaussian(10, STORED, 1, FRESH, 8), 1)
    assert all(torch.equal(*pair) for pair in zip(stored(growing, 1), stored(plain, 1), strict=True))


def test_a_layer_that_does_more_than_store_is_not_made_to_grow() -> None:
    cache = hf.DynamicCache()
    cache.layers = [hf.cache_utils.DynamicSlidingWindowLayer(sliding_window=3)]
    cache.update(gaussian(0, STORED, 1, 4, 8), gaussian(1, STORED, 1, 4, 8), 0)
    own = cache.layers[0]
    growing_cache(cache, FRESH)
    assert cache.layers[0] is own
