"""Properties of sites: where they are found, and that reading and writing there leaves everything else alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ace.errors import InterventionError, SiteError
from ace.model.sites import find_sites, head_of, hooked
from invariants.properties.strategies import Language, distance, languages, seeds


class NamedBlock(nn.Module):
    """A block that is handed its state by keyword, as some models do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, width)

    def forward(self, *, hidden_states: Tensor) -> Tensor:
        """(n, t, d) -> (n, t, d)."""
        return hidden_states + torch.tanh(self.mix(hidden_states))


class NestedModel(nn.Module):
    """Blocks and a final norm inside a stem, the head beside it, and a shorter list of other modules as a decoy."""

    def __init__(self, blocks: int, width: int, stem: str, norm: str | None, head: str) -> None:
        super().__init__()
        inner = nn.Module()
        inner.wte = nn.Embedding(5, width)
        inner.h = nn.ModuleList([NamedBlock(width) for _ in range(blocks)])
        if norm is not None:
            setattr(inner, norm, nn.LayerNorm(width))
        if blocks > 1:
            self.adapters = nn.ModuleList([nn.Linear(width, width) for _ in range(blocks - 1)])
        self.stem, self.norm, self.top = stem, norm, head
        setattr(self, stem, inner)
        setattr(self, head, nn.Linear(width, 5, bias=False))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (n, t, 5)."""
        inner = getattr(self, self.stem)
        states = inner.wte(inputs)
        for block in inner.h:
            states = block(hidden_states=states)
        if self.norm is not None:
            states = getattr(inner, self.norm)(states)
        logits: Tensor = getattr(self, self.top)(states)
        return logits


nested_models = st.builds(
    NestedModel,
    blocks=st.integers(1, 4),
    width=st.integers(2, 6),
    stem=st.sampled_from(["transformer", "model", "gpt_neox"]),
    norm=st.sampled_from([None, "ln_f", "norm", "final_layer_norm"]),
    head=st.sampled_from(["lm_head", "embed_out", "head"]),
)


@given(model=nested_models)
def test_sites_are_the_inputs_of_the_blocks_and_of_what_follows_them(model: NestedModel) -> None:
    anatomy = find_sites(model)
    count = len(getattr(model, model.stem).h)
    assert [site.path for site in anatomy.sites[:-1]] == [f"{model.stem}.h.{index}" for index in range(count)]
    assert anatomy.sites[-1].path == (model.top if model.norm is None else f"{model.stem}.{model.norm}")
    assert head_of(model) is getattr(model, model.top)


@given(model=nested_models)
def test_depth_rises_evenly_from_zero_to_one(model: NestedModel) -> None:
    sites = find_sites(model).sites
    assert [site.index for site in sites] == list(range(len(sites)))
    assert [site.depth * (len(sites) - 1) for site in sites] == pytest.approx(range(len(sites)))


@given(model=nested_models)
def test_only_a_last_site_without_a_norm_has_a_linear_tail(model: NestedModel) -> None:
    *below, last = find_sites(model).sites
    assert last.linear_tail == (model.norm is None)
    assert not any(site.linear_tail for site in below)


@given(model=nested_models, index=st.integers(-12, 12))
def test_negative_indices_count_from_the_top_and_others_are_refused(model: NestedModel, index: int) -> None:
    anatomy = find_sites(model)
    count = len(anatomy.sites)
    if -count <= index < count:
        assert anatomy.site(index).index == index % count
    else:
        with pytest.raises(SiteError, match="site"):
            anatomy.site(index)


@given(model=nested_models, seed=seeds)
def test_what_is_read_at_a_site_is_what_is_written_there(model: NestedModel, seed: int) -> None:
    # Writing back the state of another run makes the rest of this run that other run, at every site.
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randint(5, (2, 3, 4), generator=generator)
    with torch.no_grad():
        wanted = model(theirs)
        for site in find_sites(model).sites:
            seen: list[Tensor] = []
            with hooked(model, site, seen.append):
                model(theirs)

            def of_the_other_run(state: Tensor, written: Tensor = seen[0]) -> Tensor:
                return written

            with hooked(model, site, of_the_other_run):
                assert torch.equal(model(ours), wanted)


@given(language=languages)
def test_a_site_reads_the_state_that_the_network_computes(language: Language) -> None:
    model, sites = language.model, language.anatomy.sites
    state = model.tokens(language.inputs) + model.positions.weight[: language.length]
    for index, site in enumerate(sites):
        seen: list[Tensor] = []
        with hooked(model, site, seen.append):
            logits = model(language.inputs)
        assert torch.equal(seen[0], state)
        state = model.blocks[index](state) if index < language.blocks else model.head(state)
    assert torch.equal(logits, state)


@given(language=languages, writes=st.booleans())
def test_reading_and_writing_back_leave_the_output_bit_identical(language: Language, writes: bool) -> None:
    clean = language.model(language.inputs)
    for site in language.anatomy.sites:
        with hooked(language.model, site, lambda state: state.clone() if writes else None):
            assert torch.equal(language.model(language.inputs), clean)
    assert torch.equal(language.model(language.inputs), clean)


@given(language=languages, data=st.data())
def test_a_hook_goes_with_the_body_whether_it_ends_or_raises(language: Language, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    calls: list[Tensor] = []
    with pytest.raises(KeyError), hooked(language.model, site, calls.append):
        raise KeyError
    with hooked(language.model, site, calls.append):
        language.model(language.inputs)
    language.model(language.inputs)
    assert len(calls) == 1


@given(language=languages, data=st.data())
def test_a_hook_that_never_fires_is_an_error_unless_the_body_raised(language: Language, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    with pytest.raises(InterventionError, match="never fired"), hooked(language.model, site, lambda state: None):
        pass
    # The body's own error is the one to see.
    with pytest.raises(KeyError), hooked(language.model, site, lambda state: None):
        raise KeyError


@given(language=languages, data=st.data())
def test_edits_at_one_site_compose_in_order(language: Language, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    with hooked(language.model, site, lambda state: state + 1), hooked(language.model, site, lambda state: state * 2):
        both = language.model(language.inputs)
    with hooked(language.model, site, lambda state: (state + 1) * 2):
        once = language.model(language.inputs)
    assert distance(both, once) == 0.0


@given(width=st.integers(1, 4))
def test_a_model_without_blocks_or_without_a_linear_head_has_no_sites(width: int) -> None:
    headless = nn.Module()
    headless.blocks = nn.ModuleList([nn.Linear(width, width)])
    for model in (nn.Linear(width, width), headless):
        with pytest.raises(SiteError, match="expected"):
            find_sites(model)
