"""Prompts that begin alike are run once, rows that ended no more: the same as each prompt by itself, to the end."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ace.model import shared_prefix
from ace.model.continuation import Encoded, encode_prompts
from ace.model.generate import continue_text, continue_until
from ace.model.language import LanguageModel
from ace.model.prefix import PrefixRun, run_together
from ace.model.shared_prefix import piece_ends, prefix_caches
from ace.model.steer import Steering, core_component, first_tokens
from ace.model.stored_keys import growing_cache, keep_rows
from ace.model.stored_prefix import store_prefix
from invariants.contracts import families
from invariants.contracts.families import FAMILIES, SINGLE, Family
from invariants.contracts.test_steering import core

STEPS = 9
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=[family.id for family in FAMILIES])


def prefixes(language: LanguageModel) -> list[Tensor]:
    """Token ids of three lengths, most rows beginning as others do."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randint(2, language.embedded, (2, 9), generator=generator)
    rows = start.repeat(3, 1)
    rows[2:, 5:] = torch.randint(2, language.embedded, (4, 4), generator=generator)
    return [rows[:, :4], rows[[0, 3, 3, 1]], rows[1:3, :7]]


@EACH_FAMILY
@pytest.mark.parametrize("price", [0, 4, 10_000])
def test_what_is_stored_is_what_each_prompt_stores_by_itself(
    family: Family, price: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_prefix, "PASS", price)
    language = families.language(family)
    given = prefixes(language)
    for prefix, cache in zip(given, prefix_caches(language, given), strict=True):
        plain = store_prefix(language, prefix)
        assert cache.get_seq_length() == plain.get_seq_length()
        for layer, wanted in zip(cache.layers, plain.layers, strict=True):
            for came, alone in ((layer.keys, wanted.keys), (layer.values, wanted.values)):
                assert came.shape == alone.shape
                assert float((came - alone).abs().max()) <= 1e-4


@given(st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=8), st.data())
def test_pieces_cost_no_more_than_one_piece_or_one_for_each_token(rows: list[list[int]], data: st.DataObject) -> None:
    whole = torch.tensor(rows)
    lengths = torch.tensor([data.draw(st.integers(1, 6)) for _ in rows])
    lengths[0] = 6

    def cost(ends: list[int]) -> float:
        return sum(
            shared_prefix.PASS + len({tuple(row[:end].tolist()) for row in whole[lengths > start]}) * (end - start)
            for start, end in pairwise([0, *ends])
        )

    ends = piece_ends(whole, lengths)
    assert ends == sorted(set(ends))
    assert ends[-1] == 6
    assert cost(ends) <= min(cost([6]), cost([1, 2, 3, 4, 5, 6]), cost([3, 6]))


@EACH_FAMILY
def test_groups_run_together_give_what_each_gives_alone(family: Family) -> None:
    language = families.language(family)
    groups: list[Encoded] = encode_prompts(language, families.prompts(SINGLE))
    for group, together in zip(groups, run_together(language, groups, gradients=True), strict=True):
        alone = PrefixRun(language, group, gradients=True)
        assert torch.allclose(together.base, alone.base, atol=1e-4)
        for site in language.anatomy.sites:
            assert torch.allclose(together.states(site), alone.states(site), atol=1e-4)
            assert torch.allclose(together.gradients[site.index], alone.gradients[site.index], atol=1e-4)
            pushed, wanted = (run.push(site, -run.states(site)[None]) for run in (together, alone))
            assert torch.allclose(pushed, wanted, atol=1e-4)


@EACH_FAMILY
@pytest.mark.parametrize("steered", [False, True])
def test_rows_that_have_ended_leave_and_the_others_go_on_as_before(family: Family, steered: bool) -> None:
    language = families.language(family)
    prompts = torch.tensor([language.encode(text) for text in families.TEXTS[:2]])
    asked: list[int] = []

    def ended(row: Tensor) -> bool:
        asked.append(len(row))
        return bool(row[0] == prompts[0, 0]) and bool((row[: prompts.shape[1]] == prompts[0]).all())

    def steering(row: int | None) -> Steering | None:
        component = core_component(core())
        own = [component, lambda states: 2 * component(states)]

        def of_row(rows: Tensor):  # type: ignore[no-untyped-def]
            return lambda states: torch.cat(
                [own[k](part) for k, part in zip(rows.tolist(), states.split(1), strict=True)]
            )

        site = language.anatomy.site(2)
        rows = torch.arange(2) if row is None else torch.tensor([row])
        return (
            Steering(site, of_row(rows), *first_tokens(language, "the key", SINGLE), of_row=of_row) if steered else None
        )

    # With one candidate nothing is left to chance, so that rows do not depend on who is drawn beside them.
    came = continue_until(language, prompts, STEPS, torch.Generator(), steering(None), ended=ended, top_k=1)
    for row, tokens in enumerate(came):
        alone = continue_text(language, prompts[row : row + 1], STEPS, torch.Generator(), steering(row), top_k=1)[0]
        assert torch.equal(tokens, alone[: len(tokens)])
    assert [len(tokens) - prompts.shape[1] for tokens in came] == [4, STEPS]
    assert asked


def test_dropped_rows_leave_the_others_what_they_stored() -> None:
    language = families.language(families.family("gpt2"))
    ids = prefixes(language)[1]
    cache, wanted = store_prefix(language, ids), store_prefix(language, ids[[2, 0]])
    growing_cache(cache, 3)
    keep_rows(cache, torch.tensor([2, 0]))
    more = torch.tensor([[3], [4]])
    for one in (cache, wanted):
        language.run(more, one, store=True)
    for layer, other in zip(cache.layers, wanted.layers, strict=True):
        assert torch.allclose(layer.keys, other.keys, atol=1e-5)
        assert torch.allclose(layer.values, other.values, atol=1e-5)
