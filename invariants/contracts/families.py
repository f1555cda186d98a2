"""Tiny randomly initialised language models of every supported architecture, with a tokenizer of a few words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from ace.model.language import LanguageModel, wrap_model
from ace.model.stored_keys import cache_keyword
from ace.tasks import Split
from ace.tasks.prompt import Contrast, Prompts
from ace.training.language.tokenizer import word_tokenizer

BLOCKS, WIDTH, HEADS, POSITIONS, WINDOW = 4, 16, 2, 32, 4
NOUNS = ("key", "keys", "cabinet", "cabinets")
WORDS = (".", "the", *NOUNS, "near", "old", "very", "is", "are", "was", "were", "has", "have", "been")
SINGLE = Contrast((" are", " were"), (" is", " was"))
SEVERAL = Contrast((" are", " were very old"), (" is old", " was"))
TEXTS = (  # two lengths, both longer than the windows of local attention
    "the key near the cabinets",
    "the keys near the cabinet",
    "the old key . the key near the cabinets",
    "the old keys . the keys near the cabinet",
)


@cache
def tokenizer() -> Any:
    return word_tokenizer(WORDS, POSITIONS)


def prompts(contrast: Contrast = SINGLE, texts: tuple[str, ...] = TEXTS) -> Prompts:
    labels = torch.arange(len(texts)).numpy() % 2
    return Prompts(texts, labels, ("singular", "plural"), texts, (contrast,), Split.EVALUATION)


def randomised(model: nn.Module, seed: int = 5) -> nn.Module:
    """Weights large enough that no contrast is near 0 and no path through the model is negligible."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            # Gemma's norms multiply by 1 + weight; about 1 the others stay as they are initialised.
            parameter.add_(0.1 * noise) if parameter.ndim == 1 else parameter.copy_(0.3 * noise)
            if "embed_positions" in name or "wpe" in name:
                parameter.mul_(0.5)
    return model.eval()


class Wrapper(nn.Module):
    """A model of no known class, with names of its own, keyword states and blocks that return tensors."""

    class Cell(nn.Module):
        """A block that is handed its state by the keyword `x`."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *, x: Tensor, **named: Any) -> Tensor:
            found: Tensor = self.inner(x, **named)
            return found

    class Scaling(nn.Module):
        """A norm by another name."""

        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(WIDTH))

        def forward(self, x: Tensor) -> Tensor:
            return self.gain * x / x.std(dim=-1, keepdim=True)

    class Stack(nn.Module):
        """Blocks beside a norm that is not registered last."""

        def __init__(self, engine: hf.LlamaModel) -> None:
            super().__init__()
            self.scaling = Wrapper.Scaling()
            self.cells = nn.ModuleList([Wrapper.Cell(layer) for layer in engine.layers])

    def __init__(self) -> None:
        super().__init__()
        engine = hf.LlamaModel(llama_sizes(hf.LlamaConfig))
        self.words, self.rotary, self.sizes = engine.embed_tokens, engine.rotary_emb, engine.config
        self.stack = Wrapper.Stack(engine)
        self.to_words = nn.Linear(WIDTH, len(tokenizer()))

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, input_ids: Tensor, past_key_values: Any = None, use_cache: bool = False) -> Any:
        cache = past_key_values if past_key_values is not None or not use_cache else hf.DynamicCache()
        before = cache.get_seq_length() if cache is not None else 0
        length = input_ids.shape[1]
        states, places = self.words(input_ids), torch.arange(before, before + length)[None]
        seen = torch.arange(before + length)[None] <= places[0][:, None]
        mask = torch.zeros(length, before + length).masked_fill(~seen, -torch.inf)[None, None]
        turned = self.rotary(states, places)
        for cell in self.stack.cells:
            stored = {cache_keyword(cell): cache}
            states = cell(x=states, attention_mask=mask, position_embeddings=turned, position_ids=places, **stored)
        return SimpleNamespace(logits=self.to_words(self.stack.scaling(states)), past_key_values=cache)


def llama_sizes(config: Callable[..., Any], **more: Any) -> Any:
    """A configuration of Llama's and its successors' names."""
    sizes = {
        "vocab_size": len(tokenizer()),
        "hidden_size": WIDTH,
        "intermediate_size": 24,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
    }
    return config(**(sizes | more))


def gpt2() -> hf.GPT2LMHeadModel:
    sizes: dict[str, Any] = {"n_positions": POSITIONS, "n_embd": WIDTH, "n_layer": BLOCKS, "n_head": HEADS}
    return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=len(tokenizer()), bos_token_id=1, eos_token_id=1, **sizes))


def gpt_neo() -> nn.Module:
    config = hf.GPTNeoConfig(
        vocab_size=len(tokenizer()),
        hidden_size=WIDTH,
        num_layers=BLOCKS,
        num_heads=HEADS,
        max_position_embeddings=POSITIONS,
        attention_types=[[["global", "local"], BLOCKS // 2]],
        window_size=WINDOW,
        bos_token_id=1,
        eos_token_id=1,
    )
    return hf.GPTNeoForCausalLM(config)


def gpt_neox(parallel: bool = True) -> nn.Module:
    more = {"use_parallel_residual": parallel, "num_key_value_heads": HEADS}
    return hf.GPTNeoXForCausalLM(llama_sizes(hf.GPTNeoXConfig, **more))


def opt(before: bool, projected: int) -> nn.Module:
    config = hf.OPTConfig(
        vocab_size=len(tokenizer()),
        hidden_size=WIDTH,
        ffn_dim=24,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        max_position_embeddings=POSITIONS,
        word_embed_proj_dim=projected,
        do_layer_norm_before=before,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    return hf.OPTForCausalLM(config)


def bloom() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": WIDTH, "n_layer": BLOCKS, "n_head": HEADS}
    return hf.BloomForCausalLM(hf.BloomConfig(vocab_size=len(tokenizer()), bos_token_id=1, eos_token_id=1, **sizes))


def gemma(model: Any, config: Any, **more: Any) -> nn.Module:
    return model(llama_sizes(config, head_dim=8, hidden_activation="gelu_pytorch_tanh", **more))


def gemma2() -> nn.Module:
    caps = {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 8}
    return gemma(hf.Gemma2ForCausalLM, hf.Gemma2Config, sliding_window=WINDOW, **caps)


def gemma3() -> nn.Module:
    kinds = ["sliding_attention", "full_attention"] * (BLOCKS // 2)
    return gemma(hf.Gemma3ForCausalLM, hf.Gemma3TextConfig, sliding_window=WINDOW, layer_types=kinds)


def mixtral() -> nn.Module:
    more = {"num_local_experts": 2 * BLOCKS, "num_experts_per_tok": 2}
    return hf.MixtralForCausalLM(llama_sizes(hf.MixtralConfig, **more))


@dataclass(frozen=True)
class Family:
    """What there is to know of a tiny model: how it is made, and the names of its parts."""

    id: str
    make: Callable[[], nn.Module]
    blocks: str
    last: str
    head: str = "lm_head"
    linear_tail: bool = False


LAYERS, NORM = "model.layers", "model.norm"
OPT = "model.decoder.layers"
FAMILIES = (
    Family("gpt2", gpt2, "transformer.h", "transformer.ln_f"),
    Family("gpt-neo", gpt_neo, "transformer.h", "transformer.ln_f"),
    Family("gpt-neox", gpt_neox, "gpt_neox.layers", "gpt_neox.final_layer_norm"),
    Family("gpt-neox-serial", lambda: gpt_neox(False), "gpt_neox.layers", "gpt_neox.final_layer_norm"),
    Family("opt", lambda: opt(True, WIDTH), OPT, "model.decoder.final_layer_norm"),
    Family("opt-projected", lambda: opt(True, 8), OPT, "model.decoder.final_layer_norm"),
    Family("opt-after", lambda: opt(False, WIDTH), OPT, "lm_head", linear_tail=True),
    Family("opt-after-projected", lambda: opt(False, 8), OPT, "model.decoder.project_out", linear_tail=True),
    Family("llama", lambda: hf.LlamaForCausalLM(llama_sizes(hf.LlamaConfig)), LAYERS, NORM),
    Family(
        "llama-tied", lambda: hf.LlamaForCausalLM(llama_sizes(hf.LlamaConfig, tie_word_embeddings=True)), LAYERS, NORM
    ),
    Family(
        "mistral",
        lambda: hf.MistralForCausalLM(llama_sizes(hf.MistralConfig, sliding_window=WINDOW, head_dim=8)),
        LAYERS,
        NORM,
    ),
    Family("qwen2", lambda: hf.Qwen2ForCausalLM(llama_sizes(hf.Qwen2Config)), LAYERS, NORM),
    Family("qwen3", lambda: hf.Qwen3ForCausalLM(llama_sizes(hf.Qwen3Config, head_dim=8)), LAYERS, NORM),
    Family("gemma", lambda: gemma(hf.GemmaForCausalLM, hf.GemmaConfig), LAYERS, NORM),
    Family("gemma2", gemma2, LAYERS, NORM),
    Family("gemma3", gemma3, LAYERS, NORM),
    Family("mixtral", mixtral, LAYERS, NORM),
    Family("bloom", bloom, "transformer.h", "transformer.ln_f"),
    Family("wrapper", Wrapper, "stack.cells", "stack.scaling", "to_words"),
)


@cache
def language(family: Family, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """The family's model with random weights; shared by tests, which leave it as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = randomised(family.make())
    return wrap_model(model.to(dtype), tokenizer(), family.id)


def family(identifier: str) -> Family:
    return next(family for family in FAMILIES if family.id == identifier)
