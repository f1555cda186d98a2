"""Sampling from a model token by token, with keys and values stored, and the current state edited or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ace.check import check_count
from ace.errors import InputError
from ace.model.language import LanguageModel
from ace.model.observe import check_inputs
from ace.model.outputs import advice
from ace.model.partial_runs import BlockRun
from ace.model.shared_prefix import prefix_cache
from ace.model.sites import Site, hooked
from ace.model.steer import Steering, steered_logits
from ace.model.stored_keys import growing_cache, keep_rows, only_grows
from ace.model.stored_prefix import check_as_whole, check_cache
from ace.progress import told

Singles = NDArray[np.float32]
TOP_K = 50  # published, as is temperature 1
ASKED = 4  # tokens after which rows are asked whether they have ended


class CachedModel(Protocol):
    """A causal model that can be run one position at a time."""

    def new_cache(self) -> Sequence[Any]:
        """Empty stored keys and values, one entry a block."""
        ...

    def __call__(self, inputs: Tensor, past: Sequence[Any] | None = None) -> Tensor:
        """Logits (n, t, v); with `past`, `inputs` (n, 1) is the next position."""
        ...


def sample_tokens(
    model: CachedModel,
    start: Tensor,
    steps: int,
    generator: torch.Generator,
    site: Site | None = None,
    edit: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Token ids (n, 1 + steps): `start` (n, 1) and `steps` tokens sampled at temperature 1.

    Args:
        site, edit: replace the state (n, 1, d) of the current position at a site on every step. Where the site lies
            below the last block, later positions read the edited keys and values.

    Raises:
        InputError: a start that is not one token a row, a model without a cache, or only one of `site` and `edit`.
    """
    check_inputs(start)
    check_count("steps", steps)
    if start.shape[1] != 1:
        raise InputError(f"start: expected one token a row, got {start.shape[1]}")
    if (site is None) != (edit is None):
        raise InputError("edit: expected with a site and only there")
    if not isinstance(model, nn.Module) or not hasattr(model, "new_cache"):
        raise InputError(f"model: expected a module with new_cache(), got {type(model).__name__}")
    past = model.new_cache()
    tokens = [start]
    with torch.no_grad(), hooked(model, site, edit) if site is not None and edit is not None else nullcontext():
        for _ in range(steps):
            logits = model(tokens[-1], past)[:, -1]
            tokens.append(torch.multinomial(logits.softmax(dim=-1), 1, generator=generator))
    return torch.cat(tokens, dim=1)


@torch.no_grad()
def continue_text(
    language: LanguageModel,
    prompts: Tensor,
    steps: int,
    generator: torch.Generator,
    steering: Steering | None = None,
    *,
    top_k: int = TOP_K,
) -> Tensor:
    """(n, t + steps) token ids: prompts (n, t) and `steps` tokens sampled at temperature 1 from the likeliest `top_k`.

    What is stored of earlier positions is always clean: a steered pass edits the current last position only, and what
    it stores is that of the state before the edit.

    Args:
        steering: what is done to the state at every token, or None.

    Raises:
        InputError: prompts that are not token ids of the model, no steps, or more than it has positions for, no tokens
            to choose from, or logits that are NaN or infinite.
        SiteError: a model that stores anything else than keys and values, or whose run behind stored positions differs
            from a whole run at such lengths.
    """
    return torch.stack(continue_until(language, prompts, steps, generator, steering, top_k=top_k))


@torch.no_grad()
def continue_until(
    language: LanguageModel,
    prompts: Tensor,
    steps: int,
    generator: torch.Generator,
    steering: Steering | None = None,
    *,
    ended: Callable[[Tensor], bool] = lambda row: False,
    top_k: int = TOP_K,
) -> list[Tensor]:
    """`continue_text` in which a row that has come to its end is not continued: n rows of token ids, each of t or more.

    Args:
        ended: of a row's token ids, whether it is at its end; asked every few tokens.

    Raises:
        InputError: as `continue_text`.
    """
    check_inputs(prompts)
    check_count("steps", steps)
    check_count("top_k", top_k)
    language.check_ids(prompts)
    length = prompts.shape[1]
    if language.positions is not None and length + steps - 1 > language.positions:
        raise InputError(
            f"steps: expected at most {max(0, language.positions - length + 1)} after prompts of {length} tokens, as"
            f" the model has {language.positions} positions, got {steps}"
        )
    tokens = prompts.to(language.device)
    rows: list[Tensor] = list(tokens.cpu())
    live = torch.arange(len(tokens))  # which row each row that is still run is
    going = torch.ones(len(tokens), dtype=torch.bool)  # some are run on where what is stored of them cannot be dropped
    cache, current = None, tokens
    if length > 1:
        check_as_whole(language, _filled(tokens[:1], length + steps - 1), length - 1)
        cache = prefix_cache(language, tokens[:, :-1].cpu())
        growing_cache(cache, steps)
        current = tokens[:, -1:]
    runs: list[BlockRun] = []
    for step in told(range(1, steps + 1), "tokens"):
        if steering is None:
            logits, cache = language.run(current, cache, store=True)
            logits = logits[:, -1]
            if length == 1 and step == 1:
                check_cache(language, cache, len(tokens))
        else:
            logits, cache = steered_logits(language, current, cache, steering, runs)
        current = sample_likeliest(logits, top_k, generator).to(tokens.device)
        tokens = torch.cat([tokens, current], dim=1)
        if step % ASKED and step < steps:
            continue
        for place, row in enumerate(tokens.cpu()):
            if going[place]:
                rows[int(live[place])] = row
                going[place] = not ended(row)
        if not going.any():
            break
        if not going.all() and (cache is None or only_grows(cache)):
            kept = going.nonzero()[:, 0]
            live, going, places = live[kept], going[kept], kept.to(tokens.device)
            tokens, current = tokens[places], current[places]
            if cache is not None:
                keep_rows(cache, places)
            steering = None if steering is None else steering.of_rows(kept)
    return rows


def _filled(tokens: Tensor, length: int) -> Tensor:
    """(1, length) token ids (1, t), over and over."""
    return tokens.repeat(1, -(-length // tokens.shape[1]))[:, :length]


def sample_likeliest(logits: Tensor, top_k: int, generator: torch.Generator) -> Tensor:
    """(n, 1) token ids drawn from the softmax of the `top_k` largest logits (n, v).

    Raises:
        InputError: rows whose largest logit is NaN or infinite.
    """
    given = logits.float()
    if given.device.type == "cpu":
        return _sample_on_cpu(given.numpy(), top_k, generator, logits.dtype)
    values, places = given.topk(min(top_k, given.shape[-1]), dim=-1)
    _check_largest(values[:, 0].cpu().numpy(), logits.dtype)
    drawn = torch.multinomial(values.softmax(dim=-1).cpu(), 1, generator=generator)
    return places.gather(1, drawn.to(places.device))


def _check_largest(values: Singles, dtype: torch.dtype) -> None:
    """Refuse NaN or infinity in the largest logits (n) of rows; NaN counts as the largest of all."""
    bad = (~np.isfinite(values)).nonzero()[0]
    if len(bad):
        raise InputError(
            f"logits: expected finite values, got NaN or infinity in rows {bad[:5].tolist()} ({dtype}){advice(dtype)}"
        )


def _sample_on_cpu(logits: Singles, top_k: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """The same from an array: numpy orders the values alone many times faster, and only the drawn one needs a place."""
    rows, vocabulary = logits.shape
    top_k = min(top_k, vocabulary)
    values = np.sort(np.partition(logits, vocabulary - top_k, axis=1)[:, vocabulary - top_k :], axis=1)[:, ::-1].copy()
    _check_largest(values[:, 0], dtype)
    ranks = torch.multinomial(torch.from_numpy(values).softmax(dim=-1), 1, generator=generator).numpy()
    chosen = np.take_along_axis(values, ranks, axis=1)
    earlier = ranks[:, 0] - (values > chosen).sum(axis=1)  # of equal logits, each rank has a place of its own
    of_row, places = (logits == chosen).nonzero()
    return torch.from_numpy(places[np.searchsorted(of_row, np.arange(rows)) + earlier])[:, None]
