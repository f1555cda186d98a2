"""Tiny random models of many more families than are supported in all detail: those that load, and those that cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import transformers as hf
from torch import nn

from invariants.contracts import families

BLOCKS, WIDTH, HEADS, POSITIONS = 4, 32, 4, 64
SIZES: Mapping[str, Any] = {
    "vocab_size": len(families.tokenizer()),
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
ALL_HEADS: dict[str, Any] = {"num_key_value_heads": HEADS}
OLD: dict[str, Any] = {
    "vocab_size": SIZES["vocab_size"],
    "n_embd": WIDTH,
    "n_layer": BLOCKS,
    "n_head": HEADS,
    "n_positions": POSITIONS,
}
LOCAL: dict[str, Any] = {"sliding_window": 4}
EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LOCAL_EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
LATENT: dict[str, Any] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
ROUTED: dict[str, Any] = {
    "n_routed_experts": 8,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
LINEAR: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
MAMBA: dict[str, Any] = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
PER_LAYER: dict[str, Any] = {
    "head_dim": 8,
    "layer_types": ["sliding_attention", "full_attention"] * (BLOCKS // 2),
    "sliding_window": 8,
    "vocab_size_per_layer_input": SIZES["vocab_size"],
    "hidden_size_per_layer_input": 8,
}


def made(name: str, config: str | None = None, **more: Any) -> nn.Module:
    """A model of transformers by the beginning of its classes' names, of the usual sizes and more."""
    return _made(name, config, {**SIZES, **more})


def old(name: str, **more: Any) -> nn.Module:
    """The same with the sizes' older names."""
    return _made(name, None, OLD | more)


def _made(name: str, config: str | None, sizes: Mapping[str, Any]) -> nn.Module:
    settings = getattr(hf, config or f"{name}Config")(**sizes)
    model = next(getattr(hf, f"{name}{end}") for end in ("ForCausalLM", "LMHeadModel") if hasattr(hf, f"{name}{end}"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built: nn.Module = model(settings)
    return families.randomised(built)


def mpt(heads: int = HEADS) -> nn.Module:
    sizes: dict[str, Any] = {"d_model": 32, "n_heads": heads, "n_layers": BLOCKS, "max_seq_len": POSITIONS}
    return _made("Mpt", None, {"vocab_size": SIZES["vocab_size"], **sizes})


def per_layer_sizes(**more: Any) -> dict[str, Any]:
    return {**PER_LAYER, "num_kv_shared_layers": 0, **more}


def longrope() -> nn.Module:
    """Phi 3 with one set of position factors up to eight tokens, and another beyond."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "original_max_position_embeddings": 8}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, **factors}
    return made("Phi3", rope_parameters=rope, original_max_position_embeddings=8)


Make = Callable[[], nn.Module]
LOADED: dict[str, Make] = {
    "phi": partial(made, "Phi", **ALL_HEADS),
    "phi3": partial(made, "Phi3"),
    "phimoe": partial(made, "Phimoe", **LOCAL_EXPERTS),
    "stablelm": partial(made, "StableLm", **ALL_HEADS),
    "cohere": partial(made, "Cohere"),
    "cohere2": partial(made, "Cohere2", **LOCAL),
    "olmo2": partial(made, "Olmo2"),
    "olmo3": partial(made, "Olmo3", **LOCAL),
    "olmoe": partial(made, "Olmoe", num_experts=4, num_experts_per_tok=2, **ALL_HEADS),
    "qwen2-moe": partial(made, "Qwen2Moe", shared_expert_intermediate_size=16, **EXPERTS),
    "qwen3-moe": partial(made, "Qwen3Moe", head_dim=8, **EXPERTS),
    "gpt-oss": partial(made, "GptOss", head_dim=8, **LOCAL, **LOCAL_EXPERTS),
    "gemma4": partial(made, "Gemma4", "Gemma4TextConfig", **per_layer_sizes(global_head_dim=8)),
    "lfm2 of attention": partial(made, "Lfm2", layer_types=["full_attention"] * BLOCKS),
    "granite": partial(made, "Granite", logits_scaling=3.0, residual_multiplier=0.5),
    "granite-moe": partial(made, "GraniteMoe", **LOCAL_EXPERTS),
    "deepseek-v2": partial(made, "DeepseekV2", **ALL_HEADS, **LATENT, **ROUTED),
    "deepseek-v3": partial(made, "DeepseekV3", **ALL_HEADS, **LATENT, **ROUTED),
    "llama4": partial(
        made,
        "Llama4",
        "Llama4TextConfig",
        head_dim=8,
        intermediate_size_mlp=48,
        num_local_experts=4,
        num_experts_per_tok=1,
        attention_chunk_size=4,
    ),
    "falcon": partial(made, "Falcon"),
    "falcon-alibi": partial(made, "Falcon", alibi=True),
    "mpt": mpt,
    "gptj": partial(old, "GPTJ", rotary_dim=4),
    "codegen": partial(old, "CodeGen", rotary_dim=4),
    "gpt-bigcode": partial(old, "GPTBigCode"),
    "ctrl": partial(old, "CTRL", dff=48),
    "starcoder2": partial(made, "Starcoder2"),
    "nemotron": partial(made, "Nemotron"),
    "persimmon": partial(made, "Persimmon", **ALL_HEADS),
    "glm4": partial(made, "Glm4", head_dim=8),
    "smollm3": partial(made, "SmolLM3"),
    "exaone4": partial(made, "Exaone4", **LOCAL),
    "ernie4.5": partial(made, "Ernie4_5", head_dim=8),
    "minicpm3": partial(made, "MiniCPM3", **ALL_HEADS, **LATENT),
    "modernbert-decoder": partial(made, "ModernBertDecoder", local_attention=4),
}

STORED = "stores keys and values, one pair for each block"
REFUSED: dict[str, tuple[Make, str]] = {
    "mamba": (partial(made, "Mamba", state_size=4), STORED),
    "mamba2": (partial(made, "Mamba2", state_size=8, num_heads=8, head_dim=8, n_groups=1, chunk_size=8), STORED),
    "rwkv": (partial(made, "Rwkv", attention_hidden_size=WIDTH), STORED),
    "recurrent-gemma": (
        partial(made, "RecurrentGemma", num_key_value_heads=1, attention_window_size=8, lru_width=WIDTH),
        STORED,
    ),
    "falcon-h1": (
        partial(
            made,
            "FalconH1",
            mamba_d_ssm=32,
            mamba_n_heads=4,
            mamba_d_head=8,
            mamba_d_state=8,
            mamba_chunk_size=8,
        ),
        f"{STORED}, got .* which stores more",
    ),
    "qwen3.5": (
        partial(
            made,
            "Qwen3_5",
            "Qwen3_5TextConfig",
            head_dim=8,
            layer_types=["linear_attention", "full_attention"] * 2,
            **LINEAR,
        ),
        f"{STORED}, got LinearAttentionLayer",
    ),
    "bamba": (partial(made, "Bamba", attn_layer_indices=[1], **MAMBA), STORED),
    "granite-hybrid": (
        partial(
            made,
            "GraniteMoeHybrid",
            layer_types=["mamba", "attention"] * 2,
            shared_intermediate_size=16,
            **MAMBA,
            **LOCAL_EXPERTS,
        ),
        STORED,
    ),
    "lfm2": (partial(made, "Lfm2", layer_types=["conv", "full_attention"] * 2), STORED),
    "jamba": (
        partial(
            made,
            "Jamba",
            attn_layer_period=2,
            attn_layer_offset=1,
            expert_layer_period=2,
            expert_layer_offset=1,
            num_experts=4,
            num_experts_per_tok=2,
            mamba_d_state=8,
            mamba_dt_rank=4,
            use_mamba_kernels=False,
        ),
        STORED,
    ),
    "zamba2": (
        partial(
            made,
            "Zamba2",
            mamba_d_state=8,
            n_mamba_heads=8,
            mamba_headdim=8,
            num_mem_blocks=1,
            hybrid_layer_ids=[1, 3],
            layers_block_type=["mamba", "hybrid"] * 2,
            chunk_size=8,
            attention_hidden_size=64,
            attention_head_dim=16,
        ),
        STORED,
    ),
    "deepseek-v3.2": (
        partial(made, "DeepseekV32", index_topk=4, index_n_heads=2, index_head_dim=8, **ALL_HEADS, **LATENT, **ROUTED),
        f"{STORED}, got .* which stores more",
    ),
    "longcat": (
        partial(
            made,
            "LongcatFlash",
            num_layers=2,
            head_dim=4,
            n_routed_experts=4,
            zero_expert_num=2,
            moe_topk=2,
            ffn_hidden_size=48,
            expert_ffn_hidden_size=16,
            **ALL_HEADS,
            **LATENT,
        ),
        f"{STORED}, got 4 pairs for 2 blocks",
    ),
    "gemma4 with shared keys": (
        partial(
            made,
            "Gemma4",
            "Gemma4TextConfig",
            **per_layer_sizes(global_head_dim=8, num_kv_shared_layers=2),
        ),
        STORED,
    ),
    "gemma3n": (
        partial(
            made,
            "Gemma3n",
            "Gemma3nTextConfig",
            **per_layer_sizes(
                intermediate_size=[48] * BLOCKS, laurel_rank=4, activation_sparsity_pattern=[0.0] * BLOCKS
            ),
        ),
        r"a state \(4, 5, d\) at site 0",
    ),
    "nanochat": (partial(made, "NanoChat"), r"site 4 \(input of model.norm\): .* runs again in a pass"),
    "hrm": (partial(made, "HrmText", **ALL_HEADS), "runs again in a pass"),
    "openai-gpt": (partial(old, "OpenAIGPT"), f"{STORED}, got nothing stored"),
}
