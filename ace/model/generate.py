"""Sampling from a model token by token, with keys and values cached, under an edit of the current state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ace.check import check_count
from ace.core import Core
from ace.errors import InputError
from ace.model.language import LanguageModel
from ace.model.late_rows import growing_batch
from ace.model.observe import check_inputs, reading
from ace.model.prefix import repeated_cache, restricted_head, returned_tuples, skipped_blocks, tiled_cache
from ace.model.sites import Site, hooked
from ace.tasks.agreement import Contrast

STRENGTHS = (-0.75, -1.0, -1.5, -2.5)
LIMIT = 10.0  # of a computed strength: a core that hardly moves the contrast is not blown up without end
TOP_K = 50  # published, as is temperature 1


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


@dataclass(frozen=True, eq=False)
class Steering:
    """A reflection at a site, as strong as it must be at each token for the contrast to change into its opposite.

    The state h at the current last position becomes h + (g - 1) component(h). Where only linear maps follow, the
    contrast is affine in g, and the g that turns it into minus its clean value is computed. Elsewhere the weakest of
    the strengths is taken at which it gets there, or where none does, the one that comes nearest. All are tried in one
    pass of the blocks above the site, which costs little more than one: the time goes into reading weights.

    Attributes:
        site: where the state is edited.
        component: (n, d) states -> (n, d) their components in the core about its mean.
        plural, singular: token ids whose mean logits make the contrast.
        strengths: tried, weakest first, none above 0.
    """

    site: Site
    component: Callable[[Tensor], Tensor]
    plural: tuple[int, ...]
    singular: tuple[int, ...]
    strengths: tuple[float, ...] = STRENGTHS

    def __post_init__(self) -> None:
        if not self.plural or not self.singular or set(self.plural) & set(self.singular):
            raise InputError(f"tokens: expected two disjoint sets, got {self.plural} and {self.singular}")
        if (
            not self.strengths
            or list(self.strengths) != sorted(self.strengths, reverse=True)
            or max(self.strengths) > 0
        ):
            raise InputError(f"strengths: expected falling numbers, none above 0, got {self.strengths}")

    def contrast(self, logits: Tensor) -> Tensor:
        """(...) contrast of logits (..., v)."""
        values = logits.float()
        return values[..., list(self.plural)].mean(dim=-1) - values[..., list(self.singular)].mean(dim=-1)

    def candidates(self, states: Tensor) -> Tensor:
        """(k, n, d) edited states, one for each strength."""
        return self.scaled(states, torch.tensor(self.strengths)[:, None].expand(-1, len(states)))

    def scaled(self, states: Tensor, gains: Tensor) -> Tensor:
        """(k, n, d) states (n, d) with their components multiplied by gains (k, n)."""
        return states + (gains.to(states)[..., None] - 1.0) * self.component(states)

    def mirroring(self, clean: Tensor, removed: Tensor) -> Tensor:
        """(n) the g at which an affine contrast is minus its clean value; -1 where the core does not move it.

        Args:
            clean, removed: (n) contrasts at g = 1 and g = 0.
        """
        gains = (-clean - removed) / (clean - removed)
        return torch.where(gains.isfinite(), gains, -1.0).clamp(-LIMIT, LIMIT)

    def pick(self, clean: Tensor, tried: Tensor) -> Tensor:
        """(n) which of k strengths to take, from the clean contrast (n) and those tried (k, n)."""
        progress = -tried * clean.sign()  # how far over to the other side
        reached = progress >= clean.abs()
        first = reached.to(torch.int8).argmax(dim=0)
        return torch.where(reached.any(dim=0), first, progress.argmax(dim=0))


def core_component(core: Core) -> Callable[[Tensor], Tensor]:
    """States (n, d) -> their components in a core about its mean."""

    def component(states: Tensor) -> Tensor:
        basis = core.basis.to(states)
        return (states - core.mean.to(states)) @ basis @ basis.T

    return component


def first_tokens(language: LanguageModel, text: str, contrast: Contrast) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First tokens of the plural and of the singular continuations of a text, without those that both have.

    Raises:
        InputError: none is left of either.
    """
    start = len(language.encode(text))
    plural, singular = (
        {language.encode(text + continuation)[start] for continuation in texts}
        for texts in (contrast.plural, contrast.singular)
    )
    if not plural - singular or not singular - plural:
        raise InputError(f"contrast: expected continuations that differ in their first token, got {contrast}")
    return tuple(sorted(plural - singular)), tuple(sorted(singular - plural))


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

    Raises:
        InputError: prompts that are not token ids, or no steps.
    """
    check_inputs(prompts)
    check_count("steps", steps)
    check_count("top_k", top_k)
    tokens = prompts.to(language.device)
    cache, current = None, tokens
    if tokens.shape[1] > 1:
        with restricted_head(language, torch.tensor([0])):
            _, cache = language.run(tokens[:, :-1], store=True)
        current = tokens[:, -1:]
    tuples: list[bool] = []
    for _ in range(steps):
        if steering is None:
            logits, cache = language.run(current, cache, store=True)
            logits = logits[:, -1]
        else:
            logits, cache = _steered(language, current, cache, steering, tuples)
        current = sample_likeliest(logits, top_k, generator).to(tokens.device)
        tokens = torch.cat([tokens, current], dim=1)
    return tokens.cpu()


def sample_likeliest(logits: Tensor, top_k: int, generator: torch.Generator) -> Tensor:
    """(n, 1) token ids drawn from the softmax of the `top_k` largest logits (n, v)."""
    values, places = logits.float().topk(min(top_k, logits.shape[-1]), dim=-1)
    drawn = torch.multinomial(values.softmax(dim=-1).cpu(), 1, generator=generator)
    return places.gather(1, drawn.to(places.device))


def _steered(
    language: LanguageModel, current: Tensor, cache: Any, steering: Steering, tuples: list[bool]
) -> tuple[Tensor, Any]:
    """Logits (n, v) of the strength picked for each row, and the clean cache after this position."""
    wanted = torch.tensor(sorted({*steering.plural, *steering.singular}))
    narrow = _among(steering, wanted)
    if tuples and cache is not None and not steering.site.linear_tail:
        return _steered_at_once(language, current, cache, narrow, wanted, tuples), cache
    model, anatomy = language.model, language.anatomy
    states: dict[int, Tensor] = {}
    before = None if cache is None else repeated_cache(cache, lambda stored: stored)
    with (
        restricted_head(language, wanted),
        reading(model, (steering.site,), states),
        returned_tuples(model, anatomy, [] if tuples else tuples),
    ):
        logits, cache = language.run(current, cache, store=True)
    clean = narrow.contrast(logits[:, -1])
    state = states[steering.site.index][:, -1]
    pushing = partial(_pushed_logits, language, steering.site, current[:, -1:], before, tuples)
    if steering.site.linear_tail:
        removed = steering.contrast(pushing(steering.scaled(state, torch.zeros(1, len(state)))))[0]
        gains = steering.mirroring(clean, removed.to(clean.device))
        return pushing(steering.scaled(state, gains[None]))[0], cache
    tried = pushing(steering.candidates(state))
    picked = steering.pick(clean, steering.contrast(tried))
    return tried[picked, torch.arange(len(state), device=picked.device)], cache


def _among(steering: Steering, wanted: Tensor) -> Steering:
    """The same steering for logits of the tokens `wanted` only."""
    places = {int(token): place for place, token in enumerate(wanted)}
    return replace(
        steering,
        plural=tuple(places[token] for token in steering.plural),
        singular=tuple(places[token] for token in steering.singular),
    )


def _steered_at_once(
    language: LanguageModel, current: Tensor, cache: Any, steering: Steering, wanted: Tensor, tuples: list[bool]
) -> Tensor:
    """`_steered` in one run, which the edited rows join at the site: weights above it are read once, not twice.

    Only the clean rows' keys and values are stored, and the vocabulary's logits formed for the picked rows only.
    """
    model, anatomy, site = language.model, language.anatomy, steering.site
    top, rows, times = anatomy.sites[-1], len(current), 1 + len(steering.strengths)
    states: dict[int, Tensor] = {}

    def join(state: Tensor) -> Tensor:
        clean = state[:rows]
        return torch.cat([clean, steering.candidates(clean[:, -1]).flatten(0, 1)[:, None].to(clean)])

    counts = [rows if block < site.index else times * rows for block in range(len(anatomy.blocks))]
    with (
        restricted_head(language, wanted),
        growing_batch(model, anatomy, counts, times * rows, tuples, cache, kept=rows),
        hooked(model, site, join),
        reading(model, (top,), states),
    ):
        logits, _ = language.run(current.repeat(times, 1), cache)
    clean, *tried = steering.contrast(logits[:, -1]).split(rows)
    picked = steering.pick(clean, torch.stack(tried))
    edited = states[top.index][rows:, -1].unflatten(0, (-1, rows))
    chosen = edited[picked, torch.arange(rows, device=picked.device)]
    return _pushed_logits(language, top, current, None, tuples, chosen[None])[0]


def _pushed_logits(
    language: LanguageModel, site: Site, current: Tensor, before: Any, tuples: list[bool], edited: Tensor
) -> Tensor:
    """(k, n, v) logits of the current tokens (n, 1) with edited states (k, n, d) at a site, on keys of their own."""
    count, rows, _ = edited.shape
    replacement = edited.reshape(count * rows, 1, -1)
    cache = None if before is None else tiled_cache(before, count, site.index)
    with (
        skipped_blocks(language.model, language.anatomy, site.index, tuples),
        hooked(language.model, site, lambda state: replacement.to(state.device)),
    ):
        logits, _ = language.run(current.repeat(count, 1), cache)
    return logits[:, -1].view(count, rows, -1)
