"""Evaluation after a cached prefix: a prompt is run once; what is edited at its last position is run from there on.

Only the scored position (and continuation tokens after it) changes under an edit there, so the keys and values before
it are computed once, blocks below the site are not run at all, and only the logits that a contrast reads are formed.
Cost of one mode at site l: (L - l) blocks at one position, instead of L blocks at every position and the vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ace.check import check_count
from ace.errors import InputError, SiteError
from ace.model.continuation import Encoded
from ace.model.language import LanguageModel
from ace.model.late_rows import growing_batch, replaced_forwards
from ace.model.observe import reading
from ace.model.sites import Anatomy, Site, hooked, state_place

ROWS = 4096  # tokens of one run of many edits
KEYS = 2**24  # entries of one block's keys in such a run
LOGITS = 2**26  # entries of logits, where those of the whole vocabulary are formed


class HeadRows(nn.Module):
    """Some rows of a linear head, or all, applied in float32 whatever the model's dtype."""

    def __init__(self, head: nn.Linear, wanted: Tensor | None) -> None:
        super().__init__()
        rows = slice(None) if wanted is None else wanted.to(head.weight.device)
        self.weight = head.weight[rows].detach().float()
        self.bias = None if head.bias is None else head.bias[rows].detach().float()

    def forward(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., rows) float32."""
        return nn.functional.linear(states.to(self.weight.device).float(), self.weight, self.bias)


@contextmanager
def restricted_head(language: LanguageModel, wanted: Tensor | None) -> Iterator[None]:
    """Inside, the model's head gives float32 logits, of the tokens `wanted` only; all its other arithmetic stays."""
    path = language.anatomy.head
    owner, _, name = path.rpartition(".")
    parent = language.model.get_submodule(owner)
    head = getattr(parent, name)
    setattr(parent, name, HeadRows(head, wanted))
    try:
        yield
    finally:
        setattr(parent, name, head)


@contextmanager
def skipped_blocks(model: nn.Module, anatomy: Anatomy, count: int, tuples: Sequence[bool]) -> Iterator[None]:
    """Inside, the first `count` blocks hand on what they get, unchanged.

    Args:
        tuples: for every block, whether it returns a tuple that begins with the state, or the state itself.
    """

    def passing(place: int, real: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*arguments: Any, **named: Any) -> Any:
            where = state_place(arguments, named)
            state = arguments[0] if where is None else named[where]
            return (state,) if tuples[place] else state

        return forward

    with replaced_forwards(model, anatomy.blocks[:count], passing):
        yield


def returned_tuples(model: nn.Module, anatomy: Anatomy, found: list[bool]) -> ExitStack:
    """Hooks that add to `found`, block by block, whether it returns a tuple."""
    stack = ExitStack()
    for path in anatomy.blocks:

        def after(module: nn.Module, arguments: Any, output: Any) -> None:
            found.append(isinstance(output, tuple))

        stack.callback(model.get_submodule(path).register_forward_hook(after).remove)
    return stack


def repeated_cache(cache: Any, repeat: Callable[[Tensor], Tensor], first: int = 0) -> Any:
    """A cache whose keys and values (rows, heads, t, d / heads) are repeated from layer `first` on.

    The given one stays as it is. Layers below `first` keep their rows: they tell the length, and no block reads them.
    """
    found = copy.copy(cache)
    found.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in found.layers[first:]:
        if layer.is_initialized:
            layer.keys, layer.values = repeat(layer.keys), repeat(layer.values)
    return found


def tiled_cache(cache: Any, times: int, first: int = 0) -> Any:
    """A cache with all rows again and again, for a run that must not change the given one."""

    def tile(stored: Tensor) -> Tensor:
        return stored.expand(times, *stored.shape).reshape(-1, *stored.shape[1:])

    return repeated_cache(cache, tile if times > 1 else lambda stored: stored, first)


class PrefixRun:
    """One group of prompts, run once: contrasts, states and gradients at every site, and edits pushed from a site on.

    Attributes:
        base: (n) float32 contrasts of the model as it is.
        gradients: site index -> (n, d) of the contrast with respect to the state at the scored position; empty without.

    Args:
        gradients: also take gradients, all sites from one backward pass.
        vocabulary: form the logits of every token, where `push_logits` shall give them.

    Raises:
        InputError: NaN or infinity in the contrasts.
        SiteError: a model that stores no keys and values.
    """

    def __init__(
        self, language: LanguageModel, encoded: Encoded, *, gradients: bool = False, vocabulary: bool = False
    ) -> None:
        self._language, self._encoded = language, encoded
        self._wanted = None if vocabulary else encoded.wanted
        self._tuples: list[bool] = []
        self._states: dict[int, Tensor] = {}
        n, q, s = encoded.tails.shape
        self._cache = self._prefix_cache()
        sites = language.anatomy.sites
        with (
            restricted_head(language, self._wanted),
            reading(language.model, sites, self._states, leaves=gradients),
            returned_tuples(language.model, language.anatomy, self._tuples),
            torch.set_grad_enabled(gradients),
        ):
            base = encoded.contrast(self._run(), self._wanted)[0]
        self.gradients: dict[int, Tensor] = {}
        if gradients:
            found = torch.autograd.grad(base.sum(), [self._states[site.index] for site in sites])
            for site, gradient in zip(sites, found, strict=True):
                self.gradients[site.index] = gradient.view(n, q, s, -1)[:, :, 0].sum(dim=1)
            self._states = {index: state.detach() for index, state in self._states.items()}
        self.base = base.detach().cpu()
        if not torch.isfinite(self.base).all():
            bad = encoded.rows[~torch.isfinite(self.base)].tolist()
            raise InputError(f"contrast: expected finite values, got NaN or infinity for prompts {bad[:5]}")

    def _prefix_cache(self) -> Any:
        """Keys and values of the prefix, a row for each tail (n * q); None where prompts have one token."""
        prefix, tails = self._encoded.prefix, self._encoded.tails.shape[1]
        if prefix.shape[1] == 0:
            return None
        with torch.no_grad(), restricted_head(self._language, torch.tensor([0])):
            _, cache = self._language.run(prefix.to(self._language.device), store=True)
        if cache is None or not hasattr(cache, "layers"):
            raise SiteError(f"{self._language.name}: expected a model that stores keys and values, got {type(cache)}")
        return repeated_cache(cache, lambda stored: stored.repeat_interleave(tails, dim=0)) if tails > 1 else cache

    def _run(self, times: int = 1, first: int = 0) -> Tensor:
        """Logits (times * n * q, s, v) of all tails, again and again, with what is stored of the prefix.

        Args:
            first: block from which on the model is really run.
        """
        return self._logits(times, None if self._cache is None else tiled_cache(self._cache, times, first))

    def _logits(self, times: int, cache: Any) -> Tensor:
        tails = self._encoded.tails.flatten(0, 1).repeat(times, 1).to(self._language.device)
        return self._language.run(tails, cache)[0]

    @property
    def nbytes(self) -> int:
        """Memory that states, gradients, keys and values take."""
        layers = () if self._cache is None else self._cache.layers
        stored = [part for layer in layers for part in (layer.keys, layer.values) if isinstance(part, Tensor)]
        return sum(part.nbytes for part in (*stored, *self._states.values(), *self.gradients.values()))

    @property
    def tails(self) -> int:
        """Rows that are run for one prompt: tails, times their length."""
        return self._encoded.tails.shape[1] * self._encoded.tails.shape[2]

    def states(self, site: Site) -> Tensor:
        """(n, d) states at a site at the scored position, in the model's dtype."""
        n, q, s = self._encoded.tails.shape
        return self._states[site.index].view(n, q, s, -1)[:, 0, 0]

    def push(self, site: Site, edited: Tensor) -> Tensor:
        """(m, n) float32 contrasts after the states at a site and the scored position are replaced by (m, n, d).

        Raises:
            InputError: edited states of another shape.
        """
        return self._encoded.contrast(self.push_logits(site, edited), self._wanted).cpu()

    @torch.no_grad()
    def push_all(self, edited: Mapping[int, Tensor], *, rows: int = ROWS) -> dict[int, Tensor]:
        """Site index -> (m, n) float32 contrasts of `push` at that site, for edited states (m, n, d) at many sites.

        Several sites share one run, in which each row joins at its site, so that the weights above are read once.

        Args:
            rows: tokens of one run, unless a single site has more: bounds the memory.

        Raises:
            InputError: no site, or edited states of another shape.
            SiteError: a site that the model lacks.
        """
        check_count("rows", rows)
        if not edited:
            raise InputError("edited: expected states at one site or more, got none")
        states = {self._language.anatomy.site(index).index: edited[index] for index in edited}
        found: dict[int, Tensor] = {}
        for group in self._share(sorted(states), states, rows):
            for index, contrasts in self._push_group({index: states[index] for index in group}).items():
                found[index] = contrasts.cpu()
        return found

    def _share(self, ordered: Sequence[int], edited: Mapping[int, Tensor], rows: int) -> list[list[int]]:
        """Sites in groups of at most `rows` tokens, fewer where prefixes are long or all logits are formed."""
        width = self._states[ordered[0]].shape[-1]
        rows = min(rows, max(1, KEYS // (width * (1 + self._encoded.prefix.shape[1]))))
        if self._wanted is None:
            rows = min(rows, max(1, LOGITS // self._language.vocabulary))
        groups: list[list[int]] = []
        filled = rows + 1
        for index in ordered:
            its = len(edited[index]) * self._encoded.tails.numel()
            if filled + its > rows:
                groups.append([])
                filled = 0
            groups[-1].append(index)
            filled += its
        return groups

    def _push_group(self, edited: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """`push` at a few sites, given in rising order, in one run."""
        sites = [self._language.anatomy.site(index) for index in edited]
        states = [self._replaced(site, edited[site.index]) for site in sites]
        each = len(self._encoded.tails.flatten(0, 1))
        ends = [
            sum(len(part) for site, part in zip(sites, states, strict=True) if site.index <= block)
            for block in range(len(self._language.anatomy.blocks))
        ]
        replacement = torch.cat([part.to(states[0].device) for part in states])
        cache = None if self._cache is None else repeated_cache(self._cache, lambda stored: stored)
        language = self._language
        with (
            restricted_head(language, self._wanted),
            growing_batch(
                language.model,
                language.anatomy,
                ends,
                len(replacement),
                self._tuples,
                cache,
            ),
            hooked(language.model, sites[0], lambda state: replacement.to(state.device)),
        ):
            logits = self._logits(len(replacement) // each, cache)
        contrasts = self._encoded.contrast(logits, self._wanted)
        parts = contrasts.split([len(edited[site.index]) for site in sites])
        return {site.index: part for site, part in zip(sites, parts, strict=True)}

    @torch.no_grad()
    def push_logits(self, site: Site, edited: Tensor) -> Tensor:
        """(m * n * q, s, v) float32 logits after such an edit, of the tokens that the contrast reads, or of all.

        Raises:
            InputError: edited states of another shape.
        """
        replacement = self._replaced(site, edited)
        language = self._language
        with (
            restricted_head(language, self._wanted),
            skipped_blocks(language.model, language.anatomy, site.index, self._tuples),
            hooked(language.model, site, lambda state: replacement.to(state.device)),
        ):
            return self._run(len(edited), site.index)

    def _replaced(self, site: Site, edited: Tensor) -> Tensor:
        """(m * n * q, s, d) clean states at a site with those at the scored position replaced by (m, n, d)."""
        n, q, s = self._encoded.tails.shape
        clean = self._states[site.index]
        if edited.ndim != 3 or edited.shape[1:] != (n, clean.shape[-1]):
            raise InputError(f"edited: expected shape (m, {n}, {clean.shape[-1]}), got {tuple(edited.shape)}")
        states = clean.expand(len(edited), *clean.shape).reshape(-1, n, q, s, clean.shape[-1]).clone()
        states[:, :, :, 0] = edited[:, :, None].to(states)
        return states.view(-1, s, clean.shape[-1])
