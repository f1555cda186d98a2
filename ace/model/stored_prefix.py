"""The prefix of some prompts, run once and stored, and what lets a run behind it be taken for a whole run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor

from ace.errors import SiteError
from ace.model.language import LanguageModel
from ace.model.partial_runs import restricted_head

# How far two runs of the same tokens may lie apart by rounding, as a share of the largest logit, by the model's dtype.
# Half precision is rounded after every block, and a mixture of experts may then choose another expert.
ROUNDING = {torch.float64: 1e-8, torch.float32: 1e-4, torch.float16: 0.03, torch.bfloat16: 0.15}


def store_prefix(language: LanguageModel, ids: Tensor) -> Any:
    """Keys and values of token ids (n, t), without forming more than one logit of each.

    Raises:
        SiteError: a model that stores anything else than keys and values, one pair for each block.
    """
    with torch.no_grad(), restricted_head(language, torch.tensor([0])):
        _, cache = language.run(ids.to(language.device), store=True)
    check_cache(language, cache, len(ids))
    return cache


def check_cache(language: LanguageModel, cache: Any, rows: int) -> None:
    """Refuse what is stored of `rows` rows unless it is one (keys, values) pair for each block, and nothing else.

    Edits share what is stored by repeating its rows: recurrent and convolutional states, which a run changes in place,
    and whatever else lies beside keys and values would be repeated wrongly or not at all.

    Raises:
        SiteError: it is not.
    """
    expected = f"{language.name}: expected a model that stores keys and values, one pair for each block"
    layers = getattr(cache, "layers", None)
    if not isinstance(layers, list):
        raise SiteError(f"{expected}, got {type(cache).__name__ if cache is not None else 'nothing stored'}")
    blocks = len(language.anatomy.blocks)
    for index, layer in enumerate(layers):
        if index >= blocks and getattr(layer, "is_initialized", None) is False:
            continue  # made for a model of more blocks, and empty
        kind = type(layer).__name__
        parts = [getattr(layer, name, None) for name in ("keys", "values")]
        if not hasattr(layer, "is_initialized") or not all(
            isinstance(part, Tensor) and part.ndim == 4 and len(part) == rows for part in parts
        ):
            raise SiteError(f"{expected}, got {kind} for layer {index} without them")
        own = {name: value for name, value in vars(layer).items() if name not in ("keys", "values")}
        if any(tensor.ndim for tensor in _tensors(own)):
            raise SiteError(f"{expected}, got {kind} for layer {index}, which stores more than they")
    filled = sum(layer.is_initialized for layer in layers)
    if filled != blocks:
        raise SiteError(f"{expected}, got {filled} pairs for {blocks} blocks")


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in dictionaries, lists and tuples, however nested."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


@torch.no_grad()
def check_as_whole(language: LanguageModel, ids: Tensor, stored: int) -> None:
    """Run token ids (1, t) whole, and behind the first `stored` of them: the logits of the others must be the same.

    What a position stores may depend on what comes later, on how long the whole text is for example. Each pair of
    lengths is checked once for a model, with some tokens' logits.

    Raises:
        SiteError: they are not.
    """
    lengths = stored, ids.shape[1]
    if lengths in language.as_whole or stored == 0:
        return
    ids = ids[:1].to(language.device)
    cache = store_prefix(language, ids[:, :stored])
    with restricted_head(language, torch.unique(ids).cpu()):
        behind = language.run(ids[:, stored:], cache)[0]
        whole = language.run(ids)[0]
    if not torch.isfinite(behind).all():  # named by what reads them
        return
    if whole.shape[:2] != ids.shape or not are_same(language, behind, whole[:, stored:]):
        _refuse(language, *lengths, behind, whole[:, -behind.shape[1] :])
    language.as_whole.add(lengths)


@torch.no_grad()
def check_behind(language: LanguageModel, ids: Tensor, behind: Tensor, tokens: Tensor | None) -> None:
    """`check_as_whole` of token ids (1, t), where logits (s, v) of the last s were computed behind the others.

    Args:
        tokens: whose logits they are, of all where None.

    Raises:
        SiteError: a whole run gives others.
    """
    lengths = ids.shape[1] - len(behind), ids.shape[1]
    if lengths in language.as_whole or lengths[0] == 0 or not torch.isfinite(behind).all():
        return
    with restricted_head(language, tokens):
        whole = language.run(ids.to(language.device))[0]
    if whole.shape[:2] != ids.shape or not are_same(language, behind, whole[0, lengths[0] :]):
        _refuse(language, *lengths, behind, whole[0, -len(behind) :])
    language.as_whole.add(lengths)


def _refuse(language: LanguageModel, stored: int, length: int, behind: Tensor, whole: Tensor) -> NoReturn:
    raise SiteError(
        f"{language.name}: expected the same logits of {length} tokens run whole, and run after the first"
        f" {stored} were stored, got others{_apart(behind, whole)}"
    )


def _apart(came: Tensor, wanted: Tensor) -> str:
    if came.shape != wanted.shape:
        return f": shapes {tuple(came.shape)} and {tuple(wanted.shape)}"
    return f", by up to {float((came - wanted.to(came.device)).abs().max()):.2g}"


def are_same(language: LanguageModel, came: Tensor, wanted: Tensor, size: float = 0.0) -> bool:
    """Whether two runs' logits, or contrasts of them, differ by no more than rounding in the model's dtype.

    Args:
        size: of the largest logit, where it is not among them.
    """
    if came.shape != wanted.shape or not torch.isfinite(came).all():
        return False
    wanted = wanted.to(came.device)
    size = max(size, float(wanted.abs().max()) if wanted.numel() else 0.0)
    return float((came - wanted).abs().max() if came.numel() else 0.0) <= ROUNDING.get(language.dtype, 0.15) * size
