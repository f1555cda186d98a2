"""Sites, cached prefixes and gradients in every supported architecture, against plain passes of the whole model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ace.core import Core
from ace.errors import SiteError
from ace.extract import extract_core
from ace.model.continuation import encode_prompts, scattered
from ace.model.intervene import MODES, Intervention, intervening
from ace.model.language import LanguageModel, wrap_model
from ace.model.partial_runs import restricted_head
from ace.model.prefix import PrefixRun
from ace.model.sites import Site, find_sites, hooked
from ace.rank import Fixed
from ace.tasks.prompt import Contrast, Prompts
from invariants.contracts import families
from invariants.contracts.builders import gaussian
from invariants.contracts.families import BLOCKS, FAMILIES, SEVERAL, SINGLE, WIDTH, Family

EVERY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
CONTRASTS = pytest.mark.parametrize("contrast", [SINGLE, SEVERAL], ids=["one token", "several tokens"])
TOLERANCE = 1e-4  # nats


class Stop(Exception):
    """Raised in the midst of a run."""


def core(seed: int = 0) -> Core:
    """Two dimensions of the space, about a point that is not zero."""
    return extract_core(
        gaussian(seed, 4 * WIDTH, WIDTH) + 0.3 * gaussian(seed + 1, WIDTH), gaussian(seed + 2, 3, WIDTH), rank=Fixed(2)
    )


def edits() -> Iterator[Intervention]:
    for mode in MODES:
        yield Intervention(core(), mode, strength=-2.5 if mode == "scale" else None)


def plain(language: LanguageModel, prompts: Prompts, site: Site | None = None, *edits: Intervention) -> Tensor:
    """(m, n) contrasts as they are defined: the whole model on prompt and continuation, all logits normalised."""
    found = torch.zeros(max(1, len(edits)), len(prompts))
    lengths = [len(language.encode(text)) for text in prompts.texts]
    for length in sorted(set(lengths)):
        rows = [row for row, its in enumerate(lengths) if its == length]
        for texts, sign in ((prompts.contrasts[0].wanted, 1.0), (prompts.contrasts[0].other, -1.0)):
            for text in texts:
                ids = torch.tensor([language.encode(prompts.texts[row] + text) for row in rows])
                logits = _logits(language.model, ids, length - 1, site, edits)[:, :, length - 1 : -1]
                log_probabilities = logits.float().log_softmax(dim=-1)
                taken = log_probabilities.gather(3, ids[:, length:, None].expand(len(found), -1, -1, 1))
                found = found.index_add(1, torch.tensor(rows), sign / len(texts) * taken.sum(dim=(2, 3)))
    return found


def _logits(model: nn.Module, ids: Tensor, position: int, site: Site | None, edits: tuple[Intervention, ...]) -> Tensor:
    """(m, n, t, v) logits under each edit, or (1, n, t, v) without: the same rows repeated, each edited alone."""
    times = max(1, len(edits))
    with ExitStack() as stack:
        for place, edit in enumerate(edits):
            assert site is not None
            rows = torch.arange(len(ids)) + place * len(ids)
            stack.enter_context(intervening(model, site, edit, position=position, rows=rows))
        logits: Tensor = model(input_ids=ids.repeat(times, 1)).logits
    return logits.view(times, *ids.shape, -1)


def fast(language: LanguageModel, prompts: Prompts, site: Site, edit: Intervention) -> Tensor:
    groups = encode_prompts(language, prompts)
    runs = (PrefixRun(language, group) for group in groups)
    return scattered(groups, (run.push(site, edit.apply(run.states(site))[None])[0] for run in runs))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def unchanged(language: LanguageModel, before: dict[str, Tensor], head: nn.Module, logits: Tensor) -> bool:
    """Whether weights, head, methods, hooks and logits are as they were, bit by bit."""
    model = language.model
    now = model.state_dict()
    return (
        all(torch.equal(value, now[name]) for name, value in before.items())
        and model.get_submodule(language.anatomy.head) is head
        and not any("forward" in vars(module) for module in model.modules())
        and not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
        and torch.equal(model(input_ids=tokens(language)).logits, logits)
    )


def tokens(language: LanguageModel) -> Tensor:
    return torch.tensor([language.encode(text) for text in families.TEXTS[:2]])


# --- sites ------------------------------------------------------------------------------------------------------------
@EVERY
def test_sites_are_found_in_order_by_structure(family: Family) -> None:
    anatomy = families.language(family).anatomy
    assert anatomy.blocks == tuple(f"{family.blocks}.{index}" for index in range(BLOCKS))
    assert [site.path for site in anatomy.sites] == [*anatomy.blocks, family.last]
    assert [site.index for site in anatomy.sites] == list(range(BLOCKS + 1))
    assert anatomy.head == family.head
    assert [site.linear_tail for site in anatomy.sites] == [False] * BLOCKS + [family.linear_tail]


@EVERY
def test_the_state_at_a_site_is_what_the_block_before_it_returned(family: Family) -> None:
    language = families.language(family)
    seen: list[Tensor] = []
    for block, site in zip(language.anatomy.blocks, language.anatomy.sites[1:], strict=True):

        def after(module: nn.Module, arguments: object, output: tuple[Tensor, ...] | Tensor) -> None:
            seen.append(output[0] if isinstance(output, tuple) else output)

        handle = language.model.get_submodule(block).register_forward_hook(after)
        with torch.no_grad(), hooked(language.model, site, seen.append):
            language.model(input_ids=tokens(language))
        handle.remove()
        returned, read = seen[-2:]
        assert torch.equal(returned, read)


@EVERY
def test_idle_hooks_change_no_bit_of_a_logit(family: Family) -> None:
    language = families.language(family)
    clean = language.model(input_ids=tokens(language)).logits
    for site in language.anatomy.sites:
        with hooked(language.model, site, lambda state: None):
            assert torch.equal(language.model(input_ids=tokens(language)).logits, clean)


@EVERY
def test_logits_are_affine_in_the_last_state_exactly_where_the_tail_is_said_to_be_linear(family: Family) -> None:
    language = families.language(family)
    site = language.anatomy.site(-1)
    found = []
    for gain in (0.0, 1.0, 2.0):

        def moved(state: Tensor, gain: float = gain) -> Tensor:
            return gain * state + gain

        with torch.no_grad(), hooked(language.model, site, moved):
            found.append(language.model(input_ids=tokens(language)).logits)
    bent = (found[0] + found[2] - 2 * found[1]).abs().max()
    assert (float(bent) <= 1e-4) == site.linear_tail


def test_of_a_model_of_images_and_text_the_blocks_of_text_are_found() -> None:
    import transformers

    text = families.llama_sizes(transformers.Gemma3TextConfig, head_dim=8)
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = transformers.Gemma3Config(
        text_config=text.to_dict(), vision_config={**vision, "num_hidden_layers": 2 * BLOCKS}, mm_tokens_per_image=4
    )
    anatomy = find_sites(transformers.Gemma3ForConditionalGeneration(config))
    assert anatomy.blocks == tuple(f"model.language_model.layers.{index}" for index in range(BLOCKS))
    assert anatomy.sites[-1].path == "model.language_model.norm"


def test_an_encoder_beside_the_decoder_is_refused() -> None:
    import transformers

    sizes: dict[str, Any] = {"d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    config = transformers.T5Config(**sizes | {"vocab_size": 20, "decoder_start_token_id": 0})
    model = transformers.T5ForConditionalGeneration(config)
    with pytest.raises(SiteError, match="decoder without an encoder, got T5ForConditionalGeneration"):
        find_sites(model)


# --- cached prefixes --------------------------------------------------------------------------------------------------
@EVERY
@CONTRASTS
def test_an_edit_behind_a_cached_prefix_equals_an_edit_in_a_whole_pass(family: Family, contrast: Contrast) -> None:
    language, prompts = families.language(family), families.prompts(contrast)
    groups = encode_prompts(language, prompts)
    runs = [PrefixRun(language, group) for group in groups]
    with torch.no_grad():
        clean = plain(language, prompts)[0]
        assert float((scattered(groups, (run.base for run in runs)) - clean).abs().max()) <= TOLERANCE
        for site in language.anatomy.sites:
            edited = (torch.stack([edit.apply(run.states(site)) for edit in edits()]) for run in runs)
            pushed = (run.push(site, states) for run, states in zip(runs, edited, strict=True))
            found = scattered(groups, pushed, axis=1)
            slow = plain(language, prompts, site, *edits())
            assert float((found - slow).abs().max()) <= TOLERANCE, str(site)
            assert float((slow - clean).abs().max()) > 100 * TOLERANCE  # otherwise the line above could not fail


@EVERY
@CONTRASTS
def test_edits_at_many_sites_in_one_run_equal_those_in_a_run_each(family: Family, contrast: Contrast) -> None:
    language = families.language(family)
    (group,) = encode_prompts(language, families.prompts(contrast, families.TEXTS[2:]))
    run = PrefixRun(language, group)
    # Another number of edits at each site, some sites left out, and limits that share them out otherwise.
    edited = {
        site.index: torch.stack([edit.apply(run.states(site)) for edit in edits()][: 1 + site.index])
        for site in language.anatomy.sites
    }
    wanted = {index: run.push(language.anatomy.site(index), states) for index, states in edited.items()}
    for chosen, rows in (([0, 1, 2, 3, 4], 4096), ([3, 1], 4096), ([0, 2, 4], 4 * group.tails.numel()), ([1, 2], 1)):
        found = run.push_all({index: edited[index] for index in chosen}, rows=rows)
        assert sorted(found) == sorted(chosen)
        assert all(float((found[index] - wanted[index]).abs().max()) <= TOLERANCE for index in chosen)


@EVERY
@CONTRASTS
def test_gradients_behind_a_cached_prefix_equal_those_of_a_whole_pass(family: Family, contrast: Contrast) -> None:
    language, prompts = families.language(family), families.prompts(contrast, families.TEXTS[:2])
    (group,) = encode_prompts(language, prompts)
    run = PrefixRun(language, group, gradients=True)
    position = len(language.encode(families.TEXTS[0])) - 1
    for site in language.anatomy.sites:
        moved = torch.zeros(len(prompts), WIDTH, requires_grad=True)

        def move(state: Tensor, moved: Tensor = moved) -> Tensor:
            rows = torch.zeros_like(state)
            rows[:, position] = moved
            return state + rows

        with hooked(language.model, site, move):
            slow = plain(language, prompts)[0]
        (wanted,) = torch.autograd.grad(slow.sum(), moved)
        scale = float(wanted.abs().max())
        assert float((run.gradients[site.index] - wanted).abs().max()) <= 1e-4 * scale, str(site)


@EVERY
def test_prompts_of_one_token_need_no_prefix(family: Family) -> None:
    language = families.language(family)
    bare = wrap_model(language.model, _without_beginning(), family.id)
    prompts, site = families.prompts(SEVERAL, ("keys", "key")), language.anatomy.site(1)
    edit = Intervention(core(), "flip")
    with torch.no_grad():
        (slow,) = plain(bare, prompts, site, edit)
    assert float((fast(bare, prompts, site, edit) - slow).abs().max()) <= TOLERANCE


def _without_beginning() -> object:
    class Bare:
        eos_token_id = families.tokenizer().eos_token_id

        def __call__(self, text: str, verbose: bool = True) -> dict[str, list[int]]:
            return {"input_ids": families.tokenizer()(text, add_special_tokens=False)["input_ids"]}

    return Bare()


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_half_precision_gives_float32_contrasts_near_those_of_float32(family: Family, dtype: torch.dtype) -> None:
    # Weights are rounded to the half precision in both, so that only the arithmetic differs.
    half = families.language(family, dtype)
    full = families.language(family, torch.float32)
    rounded = wrap_model(_rounded(family, full.model, dtype), families.tokenizer(), family.id)
    prompts, site, edit = (
        families.prompts(SEVERAL, families.TEXTS[:2]),
        half.anatomy.site(1),
        Intervention(core(), "flip"),
    )
    found, wanted = (fast(language, prompts, site, edit) for language in (half, rounded))
    assert found.dtype == torch.float32
    eps = torch.finfo(dtype).eps
    assert float((found - wanted).abs().max()) <= 64 * eps * (1 + float(wanted.abs().max()))
    assert half.model.get_submodule(half.anatomy.head).weight.dtype == dtype


def _rounded(family: Family, model: nn.Module, dtype: torch.dtype) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        copy = family.make()
    copy.load_state_dict({name: value.to(dtype).to(value.dtype) for name, value in model.state_dict().items()})
    return copy.eval()


# --- nothing stays behind ---------------------------------------------------------------------------------------------
@EVERY
def test_the_model_is_as_it_was_after_a_run_and_after_one_that_broke_off(family: Family) -> None:
    language = families.language(family)
    before, head = weights(language.model), language.model.get_submodule(language.anatomy.head)
    logits = language.model(input_ids=tokens(language)).logits
    (group,) = encode_prompts(language, families.prompts(SEVERAL, families.TEXTS[:2]))
    run = PrefixRun(language, group, gradients=True)
    site = language.anatomy.site(2)
    states = run.states(site)
    edited = Intervention(core(), "flip").apply(states)[None]
    run.push(site, edited)
    assert unchanged(language, before, head, logits)
    for error in (Stop, KeyboardInterrupt):

        def stop(state: Tensor, error: type[BaseException] = error) -> None:
            raise error

        # In the midst of a push: blocks below are skipped, the head is another, a hook is set.
        with pytest.raises(error), hooked(language.model, language.anatomy.site(3), stop):
            run.push(site, edited)
        with pytest.raises(error), hooked(language.model, language.anatomy.site(3), stop):
            run.push_all({1: edited, 2: edited})
        with pytest.raises(error), hooked(language.model, language.anatomy.site(3), stop):
            PrefixRun(language, group)
        assert unchanged(language, before, head, logits)
    assert torch.equal(run.states(site), states)


@pytest.mark.parametrize("name", ["gpt2", "opt-after-projected", "llama", "gemma2", "mixtral"])
def test_a_model_that_is_placed_part_by_part_is_run_as_it_was_placed(name: str) -> None:
    from accelerate import dispatch_model

    family = families.family(name)
    plainly, prompts = families.language(family), families.prompts(SEVERAL)
    copied = _rounded(family, plainly.model, torch.float32)
    placed = wrap_model(dispatch_model(copied, {"": "cpu"}, force_hooks=True), families.tokenizer(), name)
    before = {path: vars(placed.model.get_submodule(path))["forward"] for path in placed.anatomy.blocks}
    for group in encode_prompts(placed, prompts):
        first, second = (PrefixRun(language, group, gradients=True) for language in (placed, plainly))
        site, other = placed.anatomy.site(1), placed.anatomy.site(3)
        edited = first.states(site)[None] + torch.arange(2)[:, None, None]
        assert torch.equal(first.push(site, edited), second.push(site, edited))
        assert torch.equal(first.gradients[1], second.gradients[1])
        ours, theirs = (run.push_all({1: edited, other.index: edited}) for run in (first, second))
        assert all(torch.equal(ours[index], theirs[index]) for index in (1, 3))
    assert all(vars(placed.model.get_submodule(path))["forward"] == forward for path, forward in before.items())


@EVERY
def test_pushes_leave_the_stored_prefix_as_it_was(family: Family) -> None:
    language = families.language(family)
    (group,) = encode_prompts(language, families.prompts(SEVERAL, families.TEXTS[:2]))
    run = PrefixRun(language, group)
    for site in (language.anatomy.site(0), language.anatomy.site(-1)):
        edited = run.states(site)[None].repeat(3, 1, 1) + torch.arange(3)[:, None, None]
        first = run.push(site, edited)
        assert torch.equal(run.push(site, edited), first)
        assert float((first[0] - run.base).abs().max()) <= TOLERANCE


def test_a_restricted_head_gives_those_logits_and_keeps_ties() -> None:
    language = families.language(families.family("llama-tied"))
    wanted = torch.tensor([3, 7])
    whole = language.model(input_ids=tokens(language)).logits
    with restricted_head(language, wanted):
        some = language.model(input_ids=tokens(language)).logits
    assert torch.allclose(some, whole[..., wanted], atol=1e-5)
    assert language.model.get_parameter("lm_head.weight") is language.model.get_parameter("model.embed_tokens.weight")
