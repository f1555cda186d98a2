"""What a causal language model's size is, told from its configuration: no weight is read or made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ace.errors import ArtifactError, first_line
from ace.model.gguf import check_gguf, is_gguf
from ace.model.hub import why_not_loaded
from ace.model.language import check_folder
from ace.model.quiet import quiet_transformers
from ace.model.sites import find_sites
from ace.zoo.download import did_you_mean, model_place


@dataclass(frozen=True)
class Shape:
    """A model's size.

    Attributes:
        name: what was asked for.
        blocks, width, vocabulary: L, d and V.
        block_weights: of one block, on average. weights: of the whole model, tied ones once.
        stored: numbers that one block keeps of a token, keys and values together.
        dtype: of its weights, as they are loaded.
    """

    name: str
    blocks: int
    width: int
    vocabulary: int
    block_weights: float
    weights: int
    stored: int
    dtype: str

    @property
    def bytes_each(self) -> int:
        """Of one weight."""
        size: int = getattr(torch, self.dtype).itemsize
        return size


def find_shape(name: str, *, revision: str | None = None, dtype: str = "auto") -> Shape:
    """The size of a model by folder, GGUF file, short name or hub name; from the hub only its configuration comes.

    Raises:
        ArtifactError: no configuration of a causal language model there, or a real model that is not obtained yet.
        SiteError: no recognisable blocks or head.
    """
    return shape_of(name, _config(name, revision), dtype)


def shape_of(name: str, config: Any, dtype: str = "auto") -> Shape:
    """The size of a model of a configuration.

    Raises:
        ArtifactError: transformers makes no causal language model of it.
        SiteError: no recognisable blocks or head.
    """
    from transformers import AutoModelForCausalLM

    try:
        with quiet_transformers(), torch.device("meta"):  # shapes without content
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # the models' errors share no base
        raise ArtifactError(f"model: expected a causal language model at {name!r}: {first_line(error)}") from error
    model.tie_weights()
    anatomy = find_sites(model)
    head: Any = model.get_submodule(anatomy.head)
    inside = sum(part.numel() for block in anatomy.blocks for part in model.get_submodule(block).parameters())
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", 1)
    width = int(head.in_features)
    each = getattr(text, "head_dim", None) or width // heads
    chosen = getattr(torch, dtype) if dtype != "auto" else getattr(config, "dtype", None)
    stored_as = chosen if isinstance(chosen, torch.dtype) else torch.float32
    return Shape(
        name,
        len(anatomy.blocks),
        width,
        int(head.out_features),
        inside / len(anatomy.blocks),
        sum(part.numel() for part in model.parameters()),
        2 * each * (getattr(text, "num_key_value_heads", None) or heads),
        str(stored_as).removeprefix("torch."),
    )


def find_tokenizer(name: str) -> Any:
    """The tokenizer that lies in a model's folder, or None: nothing is fetched, and a GGUF file is not read for it."""
    from transformers import AutoTokenizer

    place, _ = model_place(name, download=False)
    if not Path(place).is_dir():
        return None
    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(place, local_files_only=True)
    except Exception:  # the parsers' errors share no base; the plan says that it does without
        return None


def _config(name: str, revision: str | None) -> Any:
    from transformers import AutoConfig

    place, fixed = model_place(name, download=False)
    given: dict[str, Any] = {"revision": revision or fixed}
    if is_gguf(place):
        file = Path(place)
        check_gguf(file)
        place, given = str(file.parent), {"gguf_file": file.name}
    check_folder("model", place)
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(place, **given)
    except Exception as error:  # the hub's and the parser's errors share no base
        reason = f"{why_not_loaded(place, error)}{did_you_mean(name)}"
        raise ArtifactError(f"model: expected a configuration at {name!r}: {reason}") from error
