"""Any causal language model with its tokenizer, of the hub, a folder or a GGUF file; it is read at its sites."""

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
from ace.model.head import check_head, running_device
from ace.model.hub import why_not_loaded
from ace.model.outputs import configs_of, logits_alone
from ace.model.quiet import quiet_transformers
from ace.model.sites import Anatomy, find_sites
from ace.model.stored_keys import cache_keyword, output_cache
from ace.model.token_ids import closing_marks, encoded

LIMIT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "max_target_positions")
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
        return running_device(self.model.get_input_embeddings())  # type: ignore[operator]

    @cached_property
    def dtype(self) -> torch.dtype:
        """The least precise dtype of its weights."""
        dtypes = {weight.dtype for weight in self.model.parameters() if weight.is_floating_point()}
        return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)

    @cached_property
    def as_whole(self) -> set[tuple[int, int]]:
        """Lengths of prefix and text at which a run behind the stored prefix was seen to equal a whole run."""
        return set()

    @cached_property
    def _configs(self) -> tuple[Any, ...]:
        return configs_of(self.model)

    @cached_property
    def _closing(self) -> tuple[int, ...]:
        return closing_marks(self.tokenizer)

    @property
    def embedded(self) -> int:
        """How many tokens the model knows as inputs."""
        return self._limits[0]

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

        Raises:
            SiteError: the model's output has no logits.
        """
        before = {} if cache is None else {self._cache_name: cache}
        with logits_alone(self._configs):
            output = self.model(input_ids=ids, use_cache=store or cache is not None, **before)
        logits = getattr(output, "logits", None)
        if not isinstance(logits, Tensor):
            raise SiteError(f"{self.name}: expected an output with logits, got {type(output).__name__}")
        return logits, output_cache(output)

    @cached_property
    def encoding(self) -> Hashable:
        """Equal for two models only if `encode_all` gives the same for both, whatever the texts."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        told = self.tokenizer if backend is None else (type(self.tokenizer), _digest(backend.to_str()))
        return told, self.tokenizer.eos_token_id, *self._limits

    @property
    def _limits(self) -> tuple[int, int | None]:
        """Tokens that the model knows, and positions that it has, where that is known."""
        embedding: Any = self.model.get_input_embeddings()  # type: ignore[operator]
        size = getattr(embedding, "num_embeddings", None) or next(embedding.parameters()).shape[0]
        config: Any = getattr(self.model, "config", None)
        if hasattr(config, "get_text_config"):
            config = config.get_text_config()
        told = (getattr(config, name, None) for name in LIMIT_NAMES)
        return int(size), min((limit for limit in told if isinstance(limit, int) and limit > 0), default=None)

    @property
    def positions(self) -> int | None:
        """How many positions the model has, where that is known."""
        return self._limits[1]

    def check_ids(self, ids: Tensor) -> None:
        """Refuse token ids that the model does not know.

        Raises:
            InputError: there are some.
        """
        size = self.embedded
        if int(ids.min()) < 0 or int(ids.max()) >= size:
            raise InputError(f"inputs: expected token ids in 0..{size - 1}, got {int(ids.min())}..{int(ids.max())}")

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt, with the special tokens that the tokenizer puts in front.

        Raises:
            InputError: no text, no tokens, more than the model has positions, or ids outside its vocabulary: a
                tokenizer of another model.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts at once, which is far faster.

        Raises:
            InputError: as `encode`.
        """
        # Some tokenizers end every text; a prompt goes on.
        trimmed = encoded(self.tokenizer, texts, self._closing)
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
    check_head(model, anatomy.head)
    return LanguageModel(model.eval().requires_grad_(False), tokenizer, anatomy, name or type(model).__name__)


def load_language_model(
    name: str | Path,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    tokenizer: str | Path | None = None,
) -> LanguageModel:
    """Load a causal language model by hub name, folder or GGUF file. With HF_HUB_OFFLINE=1 the hub is not asked.

    Args:
        name: hub name, folder, or a GGUF file, whose weights are made float32 once and kept in the user's cache.
        revision: branch, tag or commit on the hub.
        dtype: of the weights; "auto" as stored. Contrasts are in float32 whatever it is.
        device: to move the model to, without a `device_map`.
        device_map: passed to `from_pretrained`; needs accelerate.
        tokenizer: hub name or folder of the tokenizer, where it does not lie with the model.

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
    # As many threads as before: only where the number was set does MKL keep to it, and else may use fewer.
    torch.set_num_threads(torch.get_num_threads())
    place = converted_gguf(Path(name).expanduser(), default_cache() / "models") if is_gguf(name) else name
    with quiet_transformers():
        model = _load_model(place, chosen)
        loaded = _load_tokenizer(tokenizer or place, revision=None if tokenizer else revision)
    if device is not None:
        model.to(device)
    with quiet_transformers():
        language = wrap_model(model, loaded, str(name))
        _check_run(language)
    return language


def _load_model(name: str | Path, chosen: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM

    check_folder("model", name)
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(str(name), output_loading_info=True, **chosen)
    except Exception as error:  # the hub's, the parser's and the reader's errors share no base
        reason = why_not_loaded(name, error)
        raise ArtifactError(f"model: expected a causal language model at {str(name)!r}: {reason}") from error
    model, report = loaded
    # Such weights would be random: transformers says so in a warning and goes on.
    absent = sorted({*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])})
    if absent:
        kind = type(model).__name__
        raise ArtifactError(f"model: expected all weights of {kind} at {str(name)!r}, without {', '.join(absent[:3])}")
    return model


def _load_tokenizer(name: str | Path, *, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    check_folder("tokenizer", name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name), revision=revision)
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        tokenizer("a")
    except Exception as error:
        raise TokenizerError(f"tokenizer: expected one at {str(name)!r}: {why_not_loaded(name, error)}") from error
    if not words:  # what some classes are made as where their files are absent
        raise TokenizerError(f"tokenizer: expected one at {str(name)!r}, found no vocabulary")
    return tokenizer


def check_folder(kind: str, name: str | Path) -> None:
    """Refuse a name that can only be a path and is no folder; the hub's answer would not say so.

    Args:
        kind: what it is of, for the message.

    Raises:
        ArtifactError: such a name.
    """
    text = str(name)
    if (isinstance(name, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1) and not Path(name).is_dir():
        raise ArtifactError(f"{kind}: expected a folder at {text!r}, found none")


def _check_run(language: LanguageModel) -> None:
    from ace.model.first_run import check_first_run  # which runs what is built on this module

    check_first_run(language)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
