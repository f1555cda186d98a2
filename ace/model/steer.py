"""Steering: at every token, a core is reflected as strongly as it takes to turn a contrast of tokens into its opposite.

One step of a steered text, from the keys and values of the positions before: which strength is taken for each row, and
the logits under it. What is stored of a position is always clean, that of its state before the edit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ace.check import check_choice
from ace.core import ORTHOGONAL, PROJECTORS, Core
from ace.errors import InputError
from ace.model.continuation import own_tokens
from ace.model.language import LanguageModel
from ace.model.late_rows import Unforeseen, rows_joining_late
from ace.model.observe import reading
from ace.model.partial_runs import BlockRun, observed_blocks, restricted_head, skipped_blocks
from ace.model.sites import Site, hooked
from ace.model.stored_keys import shared_cache, tiled_cache
from ace.model.stored_prefix import check_cache
from ace.tasks.prompt import Contrast

STRENGTHS = (-0.75, -1.0, -1.5, -2.5)
AFFINE = 1e-4  # of the largest logit: how far rounding takes a contrast that is affine in the strength
LIMIT = 10.0  # of a computed strength, so that a core that hardly moves the contrast is not magnified without end


@dataclass(frozen=True, eq=False)
class Steering:
    """What is done at each token: a core is scaled at a site by a strength g that is chosen row by row.

    The state h at the last position becomes h + (g - 1) component(h). Where only linear maps follow the site, the
    contrast is affine in g, and the g at which it is minus its clean value is computed. Elsewhere, and where the
    contrast at that g shows that something else follows after all, some strengths are tried, and the weakest is taken
    at which the contrast is at least as far on the other side as it was on its own; if none reaches that, the one that
    comes nearest.

    Attributes:
        site: where the state is edited.
        component: (n, d) states -> (n, d) their components in the core about its mean.
        wanted, other: token ids; the contrast is the mean logit of the wanted ones minus that of the others.
        strengths: tried, weakest first, none above 0.
        of_row: numbers of rows (m) -> `component` of those rows alone, where each row has one of its own; else None.
        mirrors: whether the contrast chooses the strength, as above; otherwise the only one given is taken as it is,
            of whatever sign.

    Raises:
        InputError: token ids that are empty or shared, strengths that do not fall, or several of which none is chosen.
    """

    site: Site
    component: Callable[[Tensor], Tensor]
    wanted: tuple[int, ...]
    other: tuple[int, ...]
    strengths: tuple[float, ...] = STRENGTHS
    of_row: Callable[[Tensor], Callable[[Tensor], Tensor]] | None = None
    mirrors: bool = True

    def __post_init__(self) -> None:
        if not self.wanted or not self.other or set(self.wanted) & set(self.other):
            raise InputError(f"tokens: expected two disjoint sets, got {self.wanted} and {self.other}")
        if not self.mirrors:
            if len(self.strengths) != 1 or not math.isfinite(self.strengths[0]):
                raise InputError(f"strengths: expected one finite number to be taken as it is, got {self.strengths}")
        elif (
            not self.strengths
            or list(self.strengths) != sorted(self.strengths, reverse=True)
            or max(self.strengths) > 0
        ):
            raise InputError(f"strengths: expected falling numbers, none above 0, got {self.strengths}")

    @property
    def tokens(self) -> tuple[int, ...]:
        """The token ids that the contrast reads, in rising order."""
        return tuple(sorted({*self.wanted, *self.other}))

    def among(self, tokens: tuple[int, ...]) -> Steering:
        """The same for logits of these tokens only: its token ids become places among them."""
        places = {token: place for place, token in enumerate(tokens)}
        wanted, other = (tuple(places[token] for token in ids) for ids in (self.wanted, self.other))
        return replace(self, wanted=wanted, other=other)

    def of_rows(self, rows: Tensor) -> Steering:
        """The same for some of the rows (m) alone."""
        own = self.of_row
        if own is None:
            return self
        return replace(self, component=own(rows), of_row=lambda chosen: own(rows[chosen]))

    def contrast(self, logits: Tensor) -> Tensor:
        """(...) contrast of logits (..., v)."""
        values = logits.float()
        return values[..., list(self.wanted)].mean(dim=-1) - values[..., list(self.other)].mean(dim=-1)

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


def core_component(core: Core, projector: str = ORTHOGONAL, *, outside: bool = False) -> Callable[[Tensor], Tensor]:
    """States (n, d) -> their components in a core about its mean, or `outside` it: all but those."""
    check_choice("projector", projector, PROJECTORS)

    def component(states: Tensor) -> Tensor:
        centred = states - core.mean.to(states)
        if projector == ORTHOGONAL:
            basis = core.basis.to(states)
            inside = centred @ basis @ basis.T
        else:
            inside = centred @ core.readers.T.to(states) @ core.directions.T.to(states)
        return centred - inside if outside else inside

    return component


def first_tokens(language: LanguageModel, text: str, contrast: Contrast) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First tokens of the wanted and of the other continuations of a text, without those that both have.

    Raises:
        InputError: none is left of either, or a continuation changes how the prompt before it is split.
    """
    prompt = language.encode(text)
    wanted, other = (
        {own_tokens(text, prompt, language.encode(text + continuation), continuation)[0] for continuation in texts}
        for texts in (contrast.wanted, contrast.other)
    )
    if not wanted - other or not other - wanted:
        raise InputError(f"contrast: expected continuations that differ in their first token, got {contrast}")
    return tuple(sorted(wanted - other)), tuple(sorted(other - wanted))


@torch.no_grad()
def steered_logits(
    language: LanguageModel, current: Tensor, cache: Any, steering: Steering, runs: list[BlockRun]
) -> tuple[Tensor, Any]:
    """Logits (n, v) of the last position under the strength picked for each row, and the clean cache after it.

    Args:
        current: (n, s) token ids that are not stored yet; s is 1 where anything is stored.
        cache: what is stored of the positions before, or None.
        runs: of every block, in a pass after something was stored; filled in where it is empty, at the first such pass.
    """
    narrow = steering.among(steering.tokens)
    if runs and cache is not None and not steering.site.linear_tail:
        before = tiled_cache(cache)
        try:
            return _tried_at_once(language, current, cache, steering, runs), cache
        except Unforeseen:  # a mask, say, from where the text is longer than a window: it is looked at anew
            cache = before
            runs.clear()
    model, anatomy = language.model, language.anatomy
    states: dict[int, Tensor] = {}
    before = None if cache is None else tiled_cache(cache)
    seen: list[BlockRun] = []
    with (
        restricted_head(language, torch.tensor(steering.tokens)),
        reading(model, (steering.site,), states),
        observed_blocks(model, anatomy, seen),
    ):
        logits, cache = language.run(current, cache, store=True)
    if before is None:
        check_cache(language, cache, len(current))
    elif not runs:
        runs += seen
    clean = narrow.contrast(logits[:, -1])
    state = states[steering.site.index][:, -1]
    pushing = partial(_pushed_logits, language, steering.site, current[:, -1:], before, seen)
    if steering.mirrors and steering.site.linear_tail:
        removed = steering.contrast(pushing(steering.scaled(state, torch.zeros(1, len(state)))))[0]
        removed = removed.to(clean.device)
        gains = steering.mirroring(clean, removed)
        mirrored = pushing(steering.scaled(state, gains[None]))[0]
        if _is_affine(steering.contrast(mirrored).to(clean.device), clean, removed, gains, mirrored):
            return mirrored, cache
    tried = pushing(steering.candidates(state))
    picked = steering.pick(clean, steering.contrast(tried))
    return tried[picked, torch.arange(len(state), device=picked.device)], cache


def _is_affine(came: Tensor, clean: Tensor, removed: Tensor, gains: Tensor, logits: Tensor) -> bool:
    """Whether contrasts (n) at strengths g (n) lie on the line through those at g = 1 and g = 0, but for rounding."""
    share = max(4 * torch.finfo(logits.dtype).eps, AFFINE)
    rounding = share * (1 + gains.abs()) * float(logits.abs().max())
    return bool(((came - removed - gains * (clean - removed)).abs() <= rounding).all())


def _tried_at_once(
    language: LanguageModel, current: Tensor, cache: Any, steering: Steering, runs: list[BlockRun]
) -> Tensor:
    """`steered_logits` in one run, which the edited rows join at the site: weights above it are read once, not twice.

    Only the clean rows' keys and values are stored, and the whole vocabulary's logits formed for the picked rows only.
    """
    model, anatomy, site = language.model, language.anatomy, steering.site
    narrow, top = steering.among(steering.tokens), anatomy.sites[-1]
    rows, times = len(current), 1 + len(steering.strengths)
    states: dict[int, Tensor] = {}

    def join(state: Tensor) -> Tensor:
        clean = state[:rows]
        return torch.cat([clean, steering.candidates(clean[:, -1]).flatten(0, 1)[:, None].to(clean)])

    counts = [rows if block < site.index else times * rows for block in range(len(anatomy.blocks))]
    with (
        restricted_head(language, torch.tensor(steering.tokens)),
        rows_joining_late(model, anatomy, counts, times * rows, runs, cache, kept=rows),
        hooked(model, site, join),
        reading(model, (top,), states),
    ):
        logits, _ = language.run(current.repeat(times, 1), cache)
    clean, *tried = narrow.contrast(logits[:, -1]).split(rows)
    picked = narrow.pick(clean, torch.stack(tried))
    edited = states[top.index][rows:, -1].unflatten(0, (-1, rows))
    chosen = edited[picked, torch.arange(rows, device=picked.device)]
    return _pushed_logits(language, top, current, None, runs, chosen[None])[0]


def _pushed_logits(
    language: LanguageModel, site: Site, current: Tensor, before: Any, runs: list[BlockRun], edited: Tensor
) -> Tensor:
    """(k, n, v) logits of the current tokens (n, 1) with edited states (k, n, d) at a site, on keys of their own."""
    count, rows, _ = edited.shape
    replacement = edited.reshape(count * rows, 1, -1)
    cache = None if before is None else shared_cache(before, count, site.index)
    with (
        skipped_blocks(language.model, language.anatomy, site.index, runs),
        hooked(language.model, site, lambda state: replacement.to(state.device)),
    ):
        logits, _ = language.run(current.repeat(count, 1), cache)
    return logits[:, -1].view(count, rows, -1)
