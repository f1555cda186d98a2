"""Models of other people: loaded only if runs by parts give what whole runs give, and else refused with the reason."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from ace.cli import main
from ace.core import Core
from ace.errors import Inapplicable, InputError, InterventionError, SiteError
from ace.extract import extract_core
from ace.families.agreement import generation
from ace.model.continuation import Encoded, encode_prompts
from ace.model.first_run import check_first_run
from ace.model.generate import continue_text
from ace.model.intervene import Intervention, intervening
from ace.model.language import LanguageModel, load_language_model, wrap_model
from ace.model.observe import sensitivities_at
from ace.model.prefix import PrefixRun
from ace.model.quiet import quiet_transformers
from ace.model.sites import find_sites, hooked
from ace.model.steer import Steering, first_tokens
from ace.model.stored_keys import cache_keyword, output_cache
from ace.rank import Fixed
from ace.study.prompts import PromptStudy
from ace.tasks.agreement import AgreementTask
from ace.tasks.prompt import Contrast
from invariants.contracts import families
from invariants.contracts import foreign_models as foreign
from invariants.contracts.builders import gaussian
from invariants.contracts.foreign_models import LOADED, REFUSED

TOLERANCE = 1e-4  # nats
EACH_LOADED = pytest.mark.parametrize("name", LOADED)


def wrapped(model: nn.Module, name: str = "", tokenizer: Any = None) -> LanguageModel:
    return wrap_model(model, tokenizer or families.tokenizer(), name)


def llama(**more: Any) -> Any:
    return families.randomised(hf.LlamaForCausalLM(families.llama_sizes(hf.LlamaConfig, **more)))


def group_of(language: LanguageModel, *texts: str) -> Encoded:
    (group,) = encode_prompts(language, families.prompts(families.SINGLE, texts or families.TEXTS[:2]))
    return group


def ids_of(group: Encoded) -> Tensor:
    return torch.cat([group.prefix, group.tails[:, 0, :1]], dim=1)


def base(language: LanguageModel) -> Tensor:
    return PrefixRun(language, group_of(language)).base


@torch.no_grad()
def plain_contrast(language: LanguageModel, group: Encoded, site: int = 0, states: Tensor | None = None) -> Tensor:
    """(n) contrasts of a whole pass, with other states (n, d) at a site and the last position."""

    def put(state: Tensor) -> Tensor | None:
        return None if states is None else torch.cat([state[:, :-1], states[:, None]], dim=1)

    with hooked(language.model, language.anatomy.site(site), put):
        logits = language.model(input_ids=ids_of(group)).logits[:, -1:]
    return group.contrast(logits, None)[0]


def apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().max())


# --- many families ----------------------------------------------------------------------------------------------------
@EACH_LOADED
def test_a_family_that_loads_gives_by_parts_what_it_gives_whole(name: str) -> None:
    language = wrapped(LOADED[name](), name)
    check_first_run(language)
    group = group_of(language)
    run = PrefixRun(language, group)
    assert apart(run.base, plain_contrast(language, group)) <= TOLERANCE
    for site in language.anatomy.sites[::2]:
        edited = run.states(site).flip(0)
        wanted = plain_contrast(language, group, site.index, edited)
        together = run.push_all({site.index: edited[None], 1: run.states(language.anatomy.site(1))[None]})
        assert apart(run.push(site, edited[None])[0], wanted) <= TOLERANCE
        assert apart(together[site.index][0], wanted) <= TOLERANCE
        assert apart(wanted, run.base) > 10 * TOLERANCE  # otherwise the lines above could not fail


@EACH_LOADED
def test_a_family_that_loads_writes_the_same_steered_or_not_as_whole_passes(name: str) -> None:
    # Past the windows of local attention, from where some families hand their blocks a mask that was not there before.
    language = wrapped(LOADED[name](), name)
    prompts, steps = ids_of(group_of(language)), 6
    wanted, other = first_tokens(language, "the key", families.SINGLE)
    site = language.anatomy.site(2)

    def component(states: Tensor) -> Tensor:
        return 0.5 * states.roll(1, dims=-1)

    steering = Steering(site, component, wanted, other, strengths=(-3.0,))

    def edit(state: Tensor) -> Tensor:
        return torch.cat([state[:, :-1], state[:, -1:] - 4.0 * component(state[:, -1:])], dim=1)

    written = []
    for steer in (None, steering):
        tokens = prompts
        for _ in range(steps):
            with torch.no_grad(), hooked(language.model, site, edit if steer else lambda state: None):
                logits = language.model(input_ids=tokens).logits[:, -1]
            tokens = torch.cat([tokens, logits.argmax(dim=-1, keepdim=True)], dim=1)
        assert torch.equal(continue_text(language, prompts, steps, torch.Generator(), steer, top_k=1), tokens)
        written.append(tokens)
    assert not torch.equal(*written)


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_whose_runs_by_parts_are_not_known_is_refused_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    model: Any = make()
    with quiet_transformers():
        model.save_pretrained(tmp_path)
        families.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(SiteError, match=words):
        load_language_model(tmp_path)


@pytest.mark.parametrize("name", ["falcon-h1", "qwen3.5", "deepseek-v3.2", "longcat", "mamba"])
def test_such_a_model_that_is_only_wrapped_gives_no_wrong_number_either(name: str) -> None:
    language = wrapped(REFUSED[name][0](), name)
    with pytest.raises(SiteError, match=foreign.STORED):
        base(language)
    for prompts in (ids_of(group_of(language)), torch.tensor([[3], [4]])):
        with pytest.raises(SiteError, match=foreign.STORED):
            continue_text(language, prompts, 2, torch.Generator())


# --- a cached run that differs from a whole one -----------------------------------------------------------------------
class Changed(nn.Module):
    """A llama whose logits are changed in some runs."""

    def __init__(self, change: Callable[..., Any]) -> None:
        super().__init__()
        self.inner, self.change, self.runs = llama(), change, 0
        self.config = self.inner.config

    def get_input_embeddings(self) -> nn.Module:
        return self.inner.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.inner.get_output_embeddings()

    def forward(self, input_ids: Tensor, past_key_values: Any = None, use_cache: bool = False) -> Any:
        stored = {} if past_key_values is None else {cache_keyword(self.inner): past_key_values}
        given = self.inner(input_ids=input_ids, use_cache=use_cache, **stored)
        return self.change(self, given, input_ids, past_key_values)


def output(given: Any, logits: Tensor) -> Any:
    return SimpleNamespace(logits=logits, past_key_values=output_cache(given))


def as_it_is(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    return output(given, given.logits)


def shifted_behind_a_prefix(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    return output(given, given.logits if cache is None else given.logits.roll(1, dims=-1))


def other_each_time(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    model.runs += 1
    return output(given, given.logits * (1 + 0.01 * model.runs))


def mixed_between_rows(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    return output(given, given.logits * len(ids))


def with_tokens_in_front(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    return output(given, torch.cat([given.logits[:, :1], given.logits], dim=1))


def by_all_logits(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    return output(given, given.logits / (1 + given.logits.std(dim=-1, keepdim=True, correction=0)))


def without_logits(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    return (given.logits,)


def failing_for_one_token(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
    if ids.shape[1] == 1:
        raise IndexError("of a model's own")
    return output(given, given.logits)


def test_a_model_that_gives_the_same_is_taken() -> None:
    check_first_run(wrapped(Changed(as_it_is)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shifted_behind_a_prefix, "got others from a run behind a stored prefix than from a whole run"),
        (other_each_time, "expected the same numbers but for rounding, got others from"),
        (mixed_between_rows, "expected the same numbers but for rounding, got others from"),
        (with_tokens_in_front, r"expected logits \(4, 5, v\) of tokens \(4, 5\), got \(4, 6, "),
        (by_all_logits, "expected the same numbers but for rounding, got others from"),
        (without_logits, "expected an output with logits, got tuple"),
        (failing_for_one_token, "can be run by parts; .*: IndexError: of a model's own"),
    ],
)
def test_what_differs_between_whole_runs_and_runs_by_parts_is_named(change: Callable[..., Any], words: str) -> None:
    with pytest.raises(SiteError, match=words):
        check_first_run(wrapped(Changed(change)))


@pytest.mark.parametrize(("vocabulary", "positions"), [(1, 4), (2, 1), (3, 2), (5, 3), (40, 4)])
def test_the_smallest_models_can_be_checked(vocabulary: int, positions: int) -> None:
    sizes: dict[str, Any] = {"n_embd": 8, "n_layer": 1, "n_head": 1, "bos_token_id": 0, "eos_token_id": 0}
    config = hf.GPT2Config(vocab_size=vocabulary, n_positions=positions, **sizes)
    check_first_run(wrapped(families.randomised(hf.GPT2LMHeadModel(config))))


def test_position_factors_that_change_with_the_length_are_found_out_where_they_change() -> None:
    language = wrapped(foreign.longrope(), "long")
    check_first_run(language)  # all of it is short
    group = group_of(language)
    assert apart(PrefixRun(language, group).base, plain_contrast(language, group)) <= TOLERANCE
    length = ids_of(group).shape[1]
    assert length <= 8
    crossing = "the" + (9 - length) * " old" + families.TEXTS[0][3:]
    assert len(language.encode(crossing)) == 9
    with pytest.raises(SiteError, match="9 tokens run whole, and run after the first 8 were stored"):
        PrefixRun(language, group_of(language, crossing, crossing.replace("key", "keys", 1)))
    prompts = ids_of(group)
    assert continue_text(language, prompts, 9 - length, torch.Generator()).shape == (2, 9)
    with pytest.raises(SiteError, match="run whole, and run after the first"):
        continue_text(language, prompts, 12 - length, torch.Generator())


# --- modules that run more than once ----------------------------------------------------------------------------------
def core(width: int) -> Core:
    return extract_core(gaussian(0, 4 * width, width), gaussian(1, 3, width), rank=Fixed(1))


def test_a_module_that_runs_twice_in_a_pass_is_no_site() -> None:
    model = REFUSED["nanochat"][0]()
    site, edit = find_sites(model).site(-1), Intervention(core(foreign.WIDTH), "remove")
    with pytest.raises(SiteError, match="runs again in a pass of NanoChatForCausalLM"), intervening(model, site, edit):
        model(input_ids=torch.tensor([[3, 4]]))
    model(input_ids=torch.tensor([[3, 4]]))  # nothing stays behind


def test_several_passes_in_one_body_are_not_taken_for_one() -> None:
    model = llama()
    site, seen = find_sites(model).site(1), list[Tensor]()
    ids = torch.tensor([[3, 4]])
    with hooked(model, site, seen.append):
        for _ in range(3):
            model(input_ids=ids)
        model.model(input_ids=ids)  # a part of the model, by itself
        model.model(input_ids=ids)
    assert len(seen) == 5
    assert "forward" not in vars(model)


def test_a_pass_that_broke_off_is_over() -> None:
    model = llama()
    anatomy = find_sites(model)

    def stop(state: Tensor) -> None:
        raise KeyError

    with hooked(model, anatomy.site(0), lambda state: None):
        with pytest.raises(KeyError), hooked(model, anatomy.site(1), stop):
            model(input_ids=torch.tensor([[3, 4]]))
        model(input_ids=torch.tensor([[3, 4]]))


def test_blocks_that_share_one_module_are_refused() -> None:
    model = llama()
    model.model.layers = nn.ModuleList([model.model.layers[0]] * families.BLOCKS)
    with pytest.raises(SiteError, match="runs again in a pass of LlamaForCausalLM"):
        check_first_run(wrapped(model))


def test_blocks_that_are_listed_and_not_run_are_refused() -> None:
    model = llama()
    model.config.num_hidden_layers = 2
    language = wrapped(model)
    with pytest.raises(SiteError, match=r"every block to run once a pass, model\.layers\.2 ran 0 times"):
        check_first_run(language)
    steering = Steering(language.anatomy.site(1), lambda states: states * 0.1, (3,), (5,))
    for prompts in (torch.tensor([[3, 4, 5]]), torch.tensor([[3]])):
        with pytest.raises((SiteError, InterventionError)):
            continue_text(language, prompts, 3, torch.Generator(), steering)
    assert not any("forward" in vars(module) for module in model.modules())


# --- heads and embeddings ---------------------------------------------------------------------------------------------
PARTS = ("model.embed_tokens", "model.layers", "model.norm", "model.rotary_emb", "lm_head")


@pytest.mark.parametrize("tied", [False, True], ids=["head of its own", "tied"])
def test_weights_that_lie_on_disk_give_the_same_contrasts(tied: bool, tmp_path: Path) -> None:
    with quiet_transformers():
        llama(tie_word_embeddings=tied).save_pretrained(tmp_path)
        families.tokenizer().save_pretrained(tmp_path)
    wanted = base(load_language_model(tmp_path))
    for part in ("model.embed_tokens", "lm_head", "model.layers"):
        parts = ("model.embed_tokens", "lm_head") if tied and part != "model.layers" else (part,)
        placed = {**dict.fromkeys(PARTS, "cpu"), **dict.fromkeys(parts, "disk")}
        language = load_language_model(tmp_path, device_map=placed)
        assert any(weight.is_meta for weight in language.model.parameters())
        assert apart(base(language), wanted) <= 1e-6
        tokens = continue_text(language, torch.tensor([[3, 4]]), 3, torch.Generator().manual_seed(0))
        assert tokens.shape == (1, 5)


def test_weights_without_values_are_refused_with_what_to_do() -> None:
    with torch.device("meta"):
        model = hf.LlamaForCausalLM(families.llama_sizes(hf.LlamaConfig))
    with pytest.raises(SiteError, match="on the meta device, without values; load them"):
        wrapped(model)


class Adapter(nn.Module):
    """A head as adapters make them: no linear map by its class, with one inside."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.base_layer, self.down = head, nn.Linear(head.in_features, 2, bias=False)
        self.up = nn.Linear(2, head.out_features, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        found: Tensor = self.base_layer(states) + self.up(self.down(states))
        return found


def test_an_adapted_head_is_not_taken_for_the_linear_map_inside_it() -> None:
    model = llama()
    model.lm_head = Adapter(model.lm_head)
    with pytest.raises(SiteError, match=r"expected a head that is an nn\.Linear, got Adapter at lm_head; .* merge it"):
        wrapped(model)


def test_a_head_in_a_dtype_that_does_not_multiply_is_refused() -> None:
    model = llama()
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.to(torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(SiteError, match=r"multiplies by its weight.* got Linear with a weight in torch\.float8"):
        wrapped(model)


@pytest.mark.parametrize("before", [False, True], ids=["its output", "its input"])
def test_a_head_that_is_hooked_after_it_was_wrapped_gives_what_the_hook_does(before: bool) -> None:
    language = wrapped(llama())
    clean, group = base(language), group_of(language)
    head = language.model.get_submodule(language.anatomy.head)
    if before:
        handle: Any = head.register_forward_pre_hook(lambda module, arguments: (2 * arguments[0],))
    else:
        handle = head.register_forward_hook(lambda module, arguments, given: 2 * given)
    assert apart(base(language), 2 * clean) <= TOLERANCE
    assert apart(base(language), plain_contrast(language, group)) <= TOLERANCE
    handle.remove()
    assert torch.equal(base(language), clean)


# --- anatomy ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("gemma4", "model.norm"),
        ("gemma3n", "model.norm"),
        ("lfm2", "model.embedding_norm"),
        ("jamba", "model.final_layernorm"),
        ("zamba2", "model.final_layernorm"),
    ],
)
def test_the_final_norm_is_the_one_that_reads_what_the_last_block_returns(name: str, norm: str) -> None:
    model = LOADED[name]() if name in LOADED else REFUSED[name][0]()
    model.train()
    anatomy = find_sites(model)
    assert anatomy.norm == norm
    assert anatomy.blocks == tuple(f"model.layers.{index}" for index in range(foreign.BLOCKS))
    assert all(module.training for module in model.modules())  # as it was


def test_a_norm_before_the_blocks_is_not_the_final_one() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.first = nn.Embedding(9, 4), nn.LayerNorm(4)
            self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4)) for _ in range(2)])
            self.head = nn.Linear(4, 9)

        def forward(self, ids: Tensor) -> Tensor:
            states = self.first(self.tokens(ids))
            for block in self.blocks:
                states = block(states)
            found: Tensor = self.head(states)
            return found

    anatomy = find_sites(Model())
    assert (anatomy.norm, anatomy.sites[-1].path) == (None, "head")


# --- what blocks are gathered for -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("qwen3-moe", {"output_router_logits": True}),
        ("olmoe", {"output_router_logits": True}),
        ("bloom", {"output_attentions": True}),
        ("phi", {"output_hidden_states": True}),
        ("falcon", {"return_dict": False}),
    ],
)
def test_what_else_a_model_is_set_to_give_changes_no_contrast(name: str, setting: dict[str, bool]) -> None:
    make = LOADED.get(name) or families.family(name).make
    found = []
    for chosen in ({}, setting):
        model: Any = families.randomised(make())
        for key, value in chosen.items():
            vars(model.config)["_output_attentions" if key == "output_attentions" else key] = value
        settings = dict(vars(model.config))
        language = wrapped(model, name)
        check_first_run(language)
        run = PrefixRun(language, group_of(language))
        found.append(torch.stack([run.push(site, run.states(site)[None])[0] for site in language.anatomy.sites]))
        assert apart(found[-1], run.base.expand_as(found[-1])) <= TOLERANCE
        assert {key: vars(model.config)[key] for key in settings} == settings  # as they were
    assert torch.equal(*found)


# --- rows -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("heads", [4, 8])
def test_as_many_heads_as_rows_are_not_taken_for_rows(heads: int) -> None:
    # A bias (heads, 1, keys) beside two prompts, two sites and one or two edits: four or eight rows.
    language = wrapped(foreign.mpt(heads), "mpt")
    run = PrefixRun(language, group_of(language))
    edited = {place: torch.stack([run.states(language.anatomy.site(place)).flip(0)] * (heads // 4)) for place in (1, 3)}
    for place, contrasts in run.push_all(edited).items():
        assert apart(contrasts, run.push(language.anatomy.site(place), edited[place])) <= TOLERANCE


# --- tokens -----------------------------------------------------------------------------------------------------------
def closing(template: str) -> Any:
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers.models import WordLevel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[END]", "the", "key", "keys", "is", "are"]
    inner = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [(mark, words.index(mark)) for mark in ("[CLS]", "[SEP]", "[END]")]
    inner.post_processor = processors.TemplateProcessing(single=template, special_tokens=marks)
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, **names, additional_special_tokens=["[END]"])


@pytest.mark.parametrize(
    "template", ["[CLS] $A [SEP]", "$A [SEP]", "$A [SEP] [END]", "$A [END]", "[CLS] $A", "[CLS] [SEP] $A", "$A"]
)
def test_what_a_tokenizer_closes_every_text_with_is_cut_and_nothing_else(template: str) -> None:
    tokenizer = closing(template)
    front = len(template.split("$A")[0].split())
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=10, n_positions=16, n_embd=8, n_layer=1, n_head=1))
    language = wrapped(model, tokenizer=tokenizer)
    for text, last in (("the keys", "keys"), ("the lock", "[UNK]"), ("the [SEP]", "[SEP]"), ("the [END]", "[END]")):
        ids = language.encode(text)
        assert len(ids) == front + 2
        assert tokenizer.convert_ids_to_tokens(ids)[-2:] == ["the", last]
    wanted, other = tokenizer.convert_tokens_to_ids(["are", "is"])
    assert first_tokens(language, "the keys", Contrast((" are",), (" is",))) == ((wanted,), (other,))


def test_tokens_that_reach_over_the_end_of_the_prompt_are_refused_where_first_tokens_are_asked_for() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    letters = {letter: k for k, letter in enumerate(("<unk>", "k", "e", " ", "a", "ke", "ke a"))} | {" a": 7}
    merges = [("k", "e"), (" ", "a"), ("ke", " a")]
    inner = Tokenizer(BPE(vocab=letters, merges=merges, unk_token="<unk>"))
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<unk>")
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=8, n_positions=16, n_embd=8, n_layer=1, n_head=1))
    language = wrapped(model, tokenizer=tokenizer)
    contrast = Contrast((" a",), ("k",))
    for call in (
        partial(first_tokens, language, "ke", contrast),
        partial(encode_prompts, language, families.prompts(contrast, ("ke", "kek"))),
    ):
        with pytest.raises(InputError, match="continuation: expected tokens of its own after the prompt, got ' a'"):
            call()


@pytest.mark.parametrize("text", ["caf\udce9 key", 3])
def test_what_is_no_text_is_no_prompt(text: Any) -> None:
    with pytest.raises(InputError, match="prompt: expected"):
        wrapped(llama()).encode(text)


# --- limits and numbers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["gpt2", "llama", "mpt"])
def test_a_text_grows_no_longer_than_the_model_has_positions(name: str) -> None:
    language = wrapped(foreign.mpt() if name == "mpt" else families.randomised(families.family(name).make()))
    limit = foreign.POSITIONS if name == "mpt" else families.POSITIONS
    prompts = torch.tensor([[3, 4, 5]])
    ran: list[Tensor] = []
    with pytest.raises(InputError, match=f"steps: expected at most {limit - 2} after prompts of 3 tokens"):  # noqa: SIM117
        with hooked(language.model, language.anatomy.site(0), ran.append):
            continue_text(language, prompts, limit - 1, torch.Generator())
    assert not ran  # before anything is generated
    assert continue_text(language, prompts, limit - 2, torch.Generator()).shape == (1, limit + 1)


def test_open_ended_text_that_does_not_fit_into_the_model_is_inapplicable() -> None:
    study = PromptStudy(families.language(families.family("gpt2")), AgreementTask())
    with pytest.raises(
        Inapplicable, match=f"{generation.OPEN_TOKENS} more do not fit into the model's {families.POSITIONS} positions"
    ):
        generation._continued(study, torch.ones(1, 14, dtype=torch.int64), torch.Generator(), None)


def test_ids_that_the_model_does_not_know_are_refused_before_it_runs() -> None:
    with pytest.raises(InputError, match=r"inputs: expected token ids in 0\.\.\d+, got 3\.\.4000"):
        continue_text(wrapped(llama()), torch.tensor([[3, 4000]]), 2, torch.Generator())


def test_half_precision_that_overflows_is_named_and_no_matter_of_structure(tmp_path: Path) -> None:
    model = llama()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(1e6)
    with quiet_transformers():
        model.save_pretrained(tmp_path)
        families.tokenizer().save_pretrained(tmp_path)
    load_language_model(tmp_path)
    with pytest.raises(InputError, match=r"finite states at site 2 .* in torch\.float16; load the model in bfloat16"):
        load_language_model(tmp_path, dtype="float16")
    language = wrapped(model.half())
    with pytest.raises(InputError, match=r"contrast: .*NaN or infinity .*torch\.float16.*; load"):
        base(language)
    for prompts in (torch.tensor([[3, 4]]), torch.tensor([[3]])):
        with pytest.raises(InputError, match=r"logits: .*NaN or infinity in rows \[0\] \(torch\.float16\); load"):
            continue_text(language, prompts, 2, torch.Generator())


def test_tokens_that_a_model_rules_out_are_no_overflow() -> None:
    class Ruled(Changed):
        """Never gives the last token."""

    def ruled(model: Changed, given: Any, ids: Tensor, cache: Any) -> Any:
        logits = given.logits.clone()
        logits[..., -1] = -torch.inf if logits.shape[-1] == len(families.tokenizer()) else logits[..., -1]
        return output(given, logits)

    language = wrapped(Ruled(ruled))
    tokens = continue_text(language, torch.tensor([[3, 4]]), 20, torch.Generator().manual_seed(0), top_k=1000)
    assert int(tokens.max()) < len(families.tokenizer()) - 1


# --- no gradients in inference mode -----------------------------------------------------------------------------------
class Logits(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.inner(input_ids=ids).logits
        return logits


def test_gradients_in_inference_mode_are_refused_by_its_name() -> None:
    language = wrapped(llama())
    group = group_of(language)
    run, site, model = PrefixRun(language, group), language.anatomy.site(1), Logits(language.model)
    within = find_sites(model).site(1)
    calls: dict[str, Callable[[], object]] = {
        "run": lambda: PrefixRun(language, group, gradients=True),
        "push": lambda: run.push(site, run.states(site)[None], gradients=True),
        "sensitivities": lambda: sensitivities_at(model, group.prefix, [within], lambda logits: logits[:, -1, 3]),
    }
    for call in calls.values():
        call()
        with torch.inference_mode(), pytest.raises(InputError, match=r"torch\.inference_mode\(\)"):
            call()
    with torch.inference_mode():
        assert torch.equal(PrefixRun(language, group).base, run.base)


def test_weights_made_in_inference_mode_have_no_gradients() -> None:
    with torch.inference_mode():
        model = llama()
    language = wrapped(model)
    base(language)
    with pytest.raises(InputError, match=r"weights made outside of torch\.inference_mode\(\), got 'model\."):
        PrefixRun(language, group_of(language), gradients=True)


# --- the command line -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    with quiet_transformers():
        llama().save_pretrained(place)
        families.tokenizer().save_pretrained(place)
    return place


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("caf\udce9 keys", (), "ace: prompt: expected valid Unicode"),
        ("the keys", ("--seed", str(2**70)), "ace: seed: expected a number of 64 bits"),
        ("the keys", ("--tokens", "500"), "ace: tokens: expected at most"),
    ],
    ids=["no UTF-8", "seed", "limit"],
)
def test_steer_says_in_one_line_what_it_cannot_do(
    folder: Path, prompt: str, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["steer", str(folder), prompt, *options]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_a_text_of_letters_that_the_terminal_lacks_is_still_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokenizer = closing("$A")
    tokenizer.add_tokens(["→"])
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=11, n_positions=16, n_embd=8, n_layer=1, n_head=1))
    with quiet_transformers():
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    assert main(["steer", str(tmp_path), "the → keys", "--tokens", "1"]) == 0
    sys.stdout.flush()
    assert written.getvalue().startswith(b"the ? keys")


def test_a_config_that_asks_for_tuples_is_loaded(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"return_dict": False}))
    assert torch.equal(base(load_language_model(tmp_path)), base(load_language_model(folder)))
