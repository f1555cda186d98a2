"""What is timed of language models of real size: one that others trained, if it lies here, and one of random weights.

Each case gives the ways to do the same work, by name, the project's own first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ace.extract import extract_core
from ace.model.continuation import Encoded, encode_prompts
from ace.model.generate import TOP_K, continue_text
from ace.model.intervene import Intervention
from ace.model.language import LanguageModel, load_language_model, wrap_model
from ace.model.prefix import run_together
from ace.model.steer import Steering, core_component, first_tokens
from ace.rank import Fixed
from ace.tasks.agreement import COPULA
from ace.tasks.base import Split
from ace.tasks.by_name import ENGLISH, TASKS
from ace.zoo.download import obtained_folder
from ace.zoo.real_models import real_model
from invariants.bench import naive
from invariants.bench.cases import Ways

REAL, RANDOM = "smollm2-135m", "random Llama"
MODES = ("keep", "remove", "flip")
SWEEP_WAYS = ("cached prefix", "a full forward an edit", "nnsight, a trace an edit")
WRITING_WAYS = ("stored keys and values", "one forward a step")
STRENGTHS = (-1.0,)


def missing(name: str, way: str = "") -> str:
    """Why a model or a way cannot be timed here; empty where it can."""
    if name == REAL and obtained_folder(real_model(REAL)) is None:
        return f"{REAL} is not in the cache: ace zoo obtain {REAL}"
    return "nnsight is not installed" if way == SWEEP_WAYS[2] and find_spec("nnsight") is None else ""


@cache
def language(name: str, blocks: int = 12, width: int = 576, vocabulary: int = 49152) -> LanguageModel:
    """The model; sizes are those of the random one, by default SmolLM2-135M's but for the number of blocks."""
    if name == REAL:
        return load_language_model(str(obtained_folder(real_model(REAL))))
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=blocks,
        num_attention_heads=width // 64,
        num_key_value_heads=max(1, width // 192),
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return wrap_model(LlamaForCausalLM(config), None, name)


@cache
def groups_of(model: LanguageModel, prompts: int) -> list[Encoded]:
    """Natural prompts, read by is and was against are and were; for a model without a tokenizer ids at random."""
    if model.tokenizer is not None:
        return encode_prompts(model, TASKS[ENGLISH].prompts(Split.EVALUATION, prompts))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(model.vocabulary, (prompts, 17), generator=generator)
    inputs[:, :4] = inputs[0, :4].clone()  # as natural prompts begin alike
    weights = torch.tensor([0.5, 0.5, -0.5, -0.5]).repeat(prompts, 1, 1, 1)
    targets = torch.tensor([11, 12, 13, 14]).repeat(prompts, 1, 1, 1)
    return [Encoded(torch.arange(prompts), inputs[:, :-1], inputs[:, None, -1:], targets, weights)]


def sweep(model: LanguageModel, prompts: int = 8) -> Ways:
    """Contrasts (sites, modes, n) under keep, remove and flip of one dimension at every site, prompts by length."""
    groups, sites = groups_of(model, prompts), model.anatomy.sites
    runs = list(run_together(model, groups, gradients=True))
    edits = []
    for site in sites:
        states = torch.cat([run.states(site) for run in runs])
        core = extract_core(states, torch.cat([run.gradients[site.index] for run in runs]), rank=Fixed(1))
        edits.append([Intervention(core, mode) for mode in MODES])
    whole = [(torch.cat([group.prefix, group.tails[:, 0]], dim=1), _tokens(group)) for group in groups]
    works: list[Callable[[], Any]] = [partial(_behind_prefix, model, groups, edits)]
    for naively in (naive.sweep_by_full_forwards, naive.sweep_by_nnsight):
        works.append(partial(_each_length, naively, model, whole, edits))
    return {way: work for way, work in zip(SWEEP_WAYS, works, strict=True) if not missing("", way)}


def _tokens(group: Encoded) -> tuple[int, ...]:
    """The wanted tokens, then the others."""
    targets, weights = group.targets[0, 0, 0], group.weights[0, 0, 0]
    return (*targets[weights > 0].tolist(), *targets[weights < 0].tolist())


def _behind_prefix(model: LanguageModel, groups: Sequence[Encoded], edits: Sequence[Sequence[Intervention]]) -> Tensor:
    """The whole work, the clean passes too."""
    parts = []
    for run in run_together(model, groups):
        edited = {
            site.index: torch.stack([edit.apply(run.states(site)) for edit in edits[site.index]])
            for site in model.anatomy.sites
        }
        contrasts = run.push_all(edited)
        parts.append(torch.stack([contrasts[site.index] for site in model.anatomy.sites]))
    return torch.cat(parts, dim=-1)


def _each_length(
    naively: Callable[..., Tensor],
    model: LanguageModel,
    whole: Sequence[tuple[Tensor, tuple[int, ...]]],
    edits: Sequence[Sequence[Intervention]],
) -> Tensor:
    sites = model.anatomy.sites
    return torch.cat([naively(model.model, inputs, sites, edits, tokens) for inputs, tokens in whole], dim=-1)


def writing(model: LanguageModel, steps: int = 50) -> Ways:
    """Tokens (1, t + steps) written with one dimension reflected at the middle site at every token."""
    prompt = "At present, the old keys beside the cabinet"
    named = model.tokenizer is not None
    ids = torch.tensor([model.encode(prompt)]) if named else groups_of(model, 1)[0].prefix
    tokens = first_tokens(model, prompt, COPULA) if named else ((11, 12), (13, 14))
    site = model.anatomy.site(len(model.anatomy.blocks) // 2)
    generator = torch.Generator().manual_seed(2)
    config: Any = model.model.config
    states, read = (torch.randn(rows, config.hidden_size, generator=generator) for rows in (50, 3))
    core = extract_core(states, read, rank=Fixed(1))
    steering = Steering(site, core_component(core), *tokens, strengths=STRENGTHS)
    edits = [Intervention(core, "scale", strength=strength) for strength in STRENGTHS]
    works = (
        lambda: continue_text(model, ids, steps, torch.Generator().manual_seed(0), steering, top_k=TOP_K),
        partial(naive.write_by_full_forwards, model.model, ids, steps, steering, edits, TOP_K),
    )
    return dict(zip(WRITING_WAYS, works, strict=True))
