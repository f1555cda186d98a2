"""Any causal language model with its tokenizer: loaded by hub name or path, run on token ids, read at its sites."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ace.check import check_choice
from ace.errors import ArtifactError, InputError, SiteError, TokenizerError
from ace.files import default_cache
from ace.model.gguf import converted_gguf, is_gguf
from ace.model.quiet import quiet_transformers
from ace.model.sites import Anatomy, find_sites, hooked
from ace.model.stored_keys import cache_keyword, output_cache

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model in evaluation mode.

    Attributes:
        model: takes `input_ids`, `use_cache` and what it stored before, and gives an output with `logits`: see `run`.
        tokenizer: of the Hugging Face convention.
        anatomy: blocks, final norm, head and sites.
        name: what it was loaded from.
    """

    model: nn.Module
    tokenizer: Any
    anatomy: Anatomy
    name: str

    @property
    def device(self) -> torch.device:
        """Device that token ids go to: that of the input embedding."""
        device: torch.device = self.model.get_input_embeddings().weight.device  # type: ignore[operator]
        return device

    @property
    def vocabulary(self) -> int:
        """How many tokens the head gives logits of."""
        return int(self.model.get_submodule(self.anatomy.head).out_features)  # type: ignore[arg-type]

    @cached_property
    def _cache_name(self) -> str:
        return cache_keyword(self.model)

    def run(self, ids: Tensor, cache: Any = None, *, store: bool = False) -> tuple[Tensor, Any]:
        """Logits (n, s, v) of token ids (n, s), and the keys and values of all positions so far.

        Args:
            cache: what was stored of the positions before; the model adds to it.
            store: whether to store where nothing is stored yet; if not, the second value is None there.
        """
        before = {} if cache is None else {self._cache_name: cache}
        output = self.model(input_ids=ids, use_cache=store or cache is not None, **before)
        return output.logits, output_cache(output)

    @cached_property
    def encoding(self) -> Hashable:
        """Equal for two models only if `encode_all` gives the same for both, whatever the texts."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        told = self.tokenizer if backend is None else (type(self.tokenizer), _digest(backend.to_str()))
        return told, self.tokenizer.eos_token_id, *self._limits

    @property
    def _limits(self) -> tuple[int, int | None]:
        """Tokens that the model knows, and positions that it has, where that is known."""
        size = self.model.get_input_embeddings().num_embeddings  # type: ignore[operator]
        limit = getattr(getattr(self.model, "config", None), "max_position_embeddings", None)
        return int(size), limit if isinstance(limit, int) else None

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt, with the special tokens that the tokenizer puts in front.

        Raises:
            InputError: no tokens, more than the model has positions, or ids outside its vocabulary: a tokenizer of
                another model.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts at once, which is far faster.

        Raises:
            InputError: as `encode`.
        """
        end = self.tokenizer.eos_token_id
        encoded = self.tokenizer(list(texts), verbose=False)["input_ids"]  # too long a text is refused below
        # Some tokenizers end every text; a prompt goes on.
        trimmed = [ids[:-1] if len(ids) > 1 and ids[-1] == end and end is not None else ids for ids in encoded]
        size, limit = self._limits
        for text, ids in zip(texts, trimmed, strict=True):
            if not ids:
                raise InputError(f"prompt: expected a text of at least one token, got {text!r}")
            if max(ids) >= size:
                raise InputError(
                    f"prompt: token {max(ids)} of {text!r} is outside the model's {size}: another tokenizer?"
                )
            if limit is not None and len(ids) > limit:
                raise InputError(
                    f"prompt: expected at most the model's {limit} tokens, got {len(ids)} of {text[:40]!r}"
                )
        return trimmed

    def decode(self, ids: Tensor | list[int]) -> str:
        """Text of token ids (t): without special tokens, and with a space where one stood between two texts."""
        special, parts = set(self.tokenizer.all_special_ids), [[]]  # type: ignore[var-annotated]
        for token in ids.tolist() if isinstance(ids, Tensor) else ids:
            if token in special:
                parts.append([])
            else:
                parts[-1].append(token)
        return " ".join(self.tokenizer.decode(part) for part in parts if part)


def wrap_model(model: nn.Module, tokenizer: Any, name: str = "") -> LanguageModel:
    """A loaded model and its tokenizer as a `LanguageModel`, in evaluation mode, without gradients of its weights.

    Raises:
        SiteError: a model without recognisable blocks, or with a head that does more than multiply by its weight.
    """
    anatomy = find_sites(model)
    _check_head(model, anatomy)
    return LanguageModel(model.eval().requires_grad_(False), tokenizer, anatomy, name or type(model).__name__)


@torch.no_grad()
def _check_head(model: nn.Module, anatomy: Anatomy) -> None:
    """Contrasts are computed with some rows of the head's weight: it must give what the head gives."""
    head = model.get_submodule(anatomy.head)
    assert isinstance(head, nn.Linear)
    weight = head.weight
    expected = f"{type(model).__name__}.{anatomy.head}: expected a head that multiplies by its weight and adds its bias"
    if not weight.is_floating_point():
        raise SiteError(f"{expected}, got {type(head).__name__} with a weight in {weight.dtype}")
    if weight.is_meta:  # kept elsewhere until it is run
        return
    states = torch.randn(1, weight.shape[1], generator=torch.Generator().manual_seed(0)).to(weight)
    came, wanted = head(states), nn.functional.linear(states, weight, head.bias)
    if not torch.isfinite(wanted).all():  # no matter of structure; contrasts name it
        return
    tolerance = 64 * torch.finfo(weight.dtype).eps * float(wanted.abs().max())
    if came.shape != wanted.shape or float((came - wanted).abs().max()) > tolerance:
        raise SiteError(f"{expected}, got {type(head).__name__} that gives something else")


def load_language_model(
    name: str | Path,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    tokenizer: str | Path | None = None,
) -> LanguageModel:
    """Load a causal language model by hub name or local path. With HF_HUB_OFFLINE=1 the hub is not asked.

    Args:
        name: hub name, folder, or a GGUF file, whose weights are made float32 once and kept in the user's cache.
        revision: branch, tag or commit on the hub.
        dtype: of the weights; "auto" as stored. Contrasts are in float32 whatever it is.
        device: to move the model to, without a `device_map`.
        device_map: passed to `from_pretrained`; needs accelerate.
        tokenizer: hub name or path of the tokenizer, where it does not lie with the model.

    Raises:
        ArtifactError: no such model or tokenizer, unreadable, with weights missing, or not a causal language model.
        InputError: another dtype.
        SiteError: no recognisable blocks, or something unknown between the last of them and the head.
    """
    check_choice("dtype", dtype, DTYPES)
    if device is not None and device_map is not None:
        raise InputError("device: expected without device_map, which places the model itself")
    chosen = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype), "revision": revision}
    if device_map is not None:
        chosen["device_map"] = device_map
    place = converted_gguf(Path(name).expanduser(), default_cache() / "models") if is_gguf(name) else name
    with quiet_transformers():
        model = _load_model(place, chosen)
        loaded = _load_tokenizer(tokenizer or place, revision=None if tokenizer else revision)
    if device is not None:
        model.to(device)
    language = wrap_model(model, loaded, str(name))
    _check_run(language)
    return language


def _load_model(name: str | Path, chosen: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM

    _check_folder("model", name)
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(str(name), output_loading_info=True, **chosen)
    except Exception as error:  # the hub's, the parser's and the reader's errors share no base
        raise ArtifactError(
            f"model: expected a causal language model at {str(name)!r}: {_first_line(error)}"
        ) from error
    model, report = loaded
    # Such weights would be random: transformers says so in a warning and goes on.
    absent = sorted({*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])})
    if absent:
        kind = type(model).__name__
        raise ArtifactError(f"model: expected all weights of {kind} at {str(name)!r}, without {', '.join(absent[:3])}")
    return model


def _load_tokenizer(name: str | Path, *, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    _check_folder("tokenizer", name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name), revision=revision)
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        tokenizer("a")
    except Exception as error:
        raise TokenizerError(f"tokenizer: expected one at {str(name)!r}: {_first_line(error)}") from error
    if not words:  # what some classes are made as where their files are absent
        raise TokenizerError(f"tokenizer: expected one at {str(name)!r}, found no vocabulary")
    return tokenizer


def _check_folder(kind: str, name: str | Path) -> None:
    """Refuse a name that can only be a path and is no folder; the hub's answer would not say so."""
    text = str(name)
    if (isinstance(name, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1) and not Path(name).is_dir():
        raise ArtifactError(f"{kind}: expected a folder at {text!r}, found none")


@torch.no_grad()
def _check_run(language: LanguageModel) -> None:
    """One small run: what comes later changes nothing before it, and site L holds what the last block returns."""
    model, anatomy, states = language.model, language.anatomy, []
    ids = torch.tensor([[0, 0], [0, 1]], device=language.device)

    def after(module: nn.Module, arguments: Any, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    handle = model.get_submodule(anatomy.blocks[-1]).register_forward_hook(after)
    try:
        with hooked(model, anatomy.site(-1), states.append):
            logits = language.run(ids)[0][:, 0]
    finally:
        handle.remove()
    kind = type(model).__name__
    # An encoder's language model is none to continue a text with.
    tolerance = 64 * torch.finfo(logits.dtype).eps * float(logits.abs().max())
    if float((logits[0] - logits[1]).abs().max()) > tolerance:
        raise ArtifactError(f"model: expected a causal one at {language.name!r}, got {kind}, which looks ahead")
    returned, read = states
    if returned.shape != read.shape or not torch.equal(returned.to(read.device), read):
        raise SiteError(f"{kind}: expected {anatomy.sites[-1].path} to read what {anatomy.blocks[-1]} returns")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
