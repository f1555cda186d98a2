"""Evaluation after a cached prefix: a prompt is run once; what is edited at its last position is run from there on.

Only the scored position (and continuation tokens after it) changes under an edit there, so the keys and values before
it are computed once, blocks below the site are not run at all, and only the logits that a contrast reads are formed.
Cost of one mode at site l: (L - l) blocks at one position, instead of L blocks at every position and the vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ace.check import check_count
from ace.errors import InputError
from ace.model.continuation import Encoded
from ace.model.language import LanguageModel
from ace.model.late_rows import rows_joining_late
from ace.model.observe import check_gradients, reading
from ace.model.outputs import advice
from ace.model.partial_runs import BlockRun, observed_blocks, restricted_head, skipped_blocks
from ace.model.shared_prefix import prefix_cache, prefix_caches
from ace.model.sites import Site, hooked
from ace.model.stored_keys import repeated_cache, shared_cache, tiled_cache
from ace.model.stored_prefix import check_behind
from ace.progress import told

ROWS = 4096  # tokens of one run of many edits
KEYS = 2**24  # entries of one block's keys in such a run
LOGITS = 2**26  # entries of logits, where those of the whole vocabulary are formed


class PrefixRun:
    """One group of prompts, run once: contrasts, states and gradients at every site, and edits pushed from a site on.

    Attributes:
        base: (n) float32 contrasts of the model as it is.
        gradients: site index -> (n, d) of the contrast with respect to the state at the scored position; empty without.

    Args:
        gradients: also take gradients, all sites from one backward pass.
        vocabulary: form the logits of every token, where `push_logits` shall give them.
        stored: what the model stores of the prefix, where that was run before; see `run_together`.

    Raises:
        InputError: NaN or infinity in the contrasts, or gradients asked for in inference mode.
        SiteError: a model that stores anything else than keys and values, whose blocks do not run once a pass each, or
            whose run behind a stored prefix of that length differs from a whole run.
    """

    def __init__(
        self,
        language: LanguageModel,
        encoded: Encoded,
        *,
        gradients: bool = False,
        vocabulary: bool = False,
        stored: Any = None,
    ) -> None:
        if gradients:
            check_gradients(language.model)
        self._language, self._encoded = language, encoded
        self._tokens = None if vocabulary else encoded.tokens
        self._runs: list[BlockRun] = []
        self._states: dict[int, Tensor] = {}
        n, q, s = encoded.tails.shape
        self._cache = self._prefix_cache(stored)
        sites = language.anatomy.sites
        with (
            restricted_head(language, self._tokens),
            reading(language.model, sites, self._states, leaves=gradients),
            observed_blocks(language.model, language.anatomy, self._runs),
            torch.set_grad_enabled(gradients),
        ):
            logits = self._run()
            base = encoded.contrast(logits, self._tokens)[0]
        self.gradients: dict[int, Tensor] = {}
        if gradients:
            every = torch.autograd.grad(base.sum(), [self._states[site.index] for site in sites])
            for site, gradient in zip(sites, every, strict=True):
                self.gradients[site.index] = gradient.view(n, q, s, -1)[:, :, 0].sum(dim=1)
            self._states = {index: state.detach() for index, state in self._states.items()}
        self.base = base.detach().cpu()
        if not torch.isfinite(self.base).all():
            bad = encoded.rows[~torch.isfinite(self.base)].tolist()
            raise InputError(
                f"contrast: expected finite values, got NaN or infinity for prompts {bad[:5]} ({language.dtype})"
                f"{advice(language.dtype)}"
            )
        first = torch.cat([encoded.prefix[:1], encoded.tails[:1, 0]], dim=1)
        check_behind(language, first, logits[0].detach(), self._tokens)

    def _prefix_cache(self, stored: Any) -> Any:
        """Keys and values of the prefix, a row for each tail (n * q); None where prompts have one token."""
        prefix, tails = self._encoded.prefix, self._encoded.tails.shape[1]
        if prefix.shape[1] == 0:
            return None
        cache = stored or prefix_cache(self._language, prefix)
        return repeated_cache(cache, lambda stored: stored.repeat_interleave(tails, dim=0)) if tails > 1 else cache

    def _run(self, times: int = 1, first: int = 0) -> Tensor:
        """Logits (times * n * q, s, v) of all tails, `times` times over, after what is stored of the prefix.

        Args:
            first: the first block that is run and not skipped: below it, no keys are needed.
        """
        return self._logits(times, None if self._cache is None else shared_cache(self._cache, times, first))

    def _logits(self, times: int, cache: Any) -> Tensor:
        tails = self._encoded.tails.flatten(0, 1).repeat(times, 1).to(self._language.device)
        return self._language.run(tails, cache)[0]

    @property
    def nbytes(self) -> int:
        """Bytes that states, gradients, keys and values take."""
        layers = () if self._cache is None else self._cache.layers
        stored = [part for layer in layers for part in (layer.keys, layer.values) if isinstance(part, Tensor)]
        return sum(part.nbytes for part in (*stored, *self._states.values(), *self.gradients.values()))

    @property
    def tails(self) -> int:
        """Tokens that are run for one prompt and one edit: the number of tails, times their length."""
        return self._encoded.tails.shape[1] * self._encoded.tails.shape[2]

    def states(self, site: Site) -> Tensor:
        """(n, d) states at a site at the scored position, in the model's dtype."""
        n, q, s = self._encoded.tails.shape
        return self._states[site.index].view(n, q, s, -1)[:, 0, 0]

    def under(self, encoded: Encoded) -> PrefixRun:
        """A run of other continuations; where prompts and tails are those of this one, only their head's rows are run.

        Gradients are not taken again.
        """
        parts = ((encoded.prefix, self._encoded.prefix), (encoded.tails, self._encoded.tails))
        if not all(torch.equal(ours, theirs) for ours, theirs in parts):
            return PrefixRun(self._language, encoded)
        other = copy.copy(self)
        other._encoded, other._tokens, other.gradients = encoded, encoded.tokens, {}
        top = self._language.anatomy.sites[-1]
        other.base = other.push(top, other.states(top)[None])[0]
        return other

    def push(self, site: Site, edited: Tensor, *, gradients: bool = False) -> Tensor:
        """(m, n) float32 contrasts after the states at a site and the scored position are replaced by (m, n, d).

        Args:
            gradients: whether they can be differentiated with respect to the edited states.

        Raises:
            InputError: edited states of another shape, or gradients asked for in inference mode.
        """
        if gradients:
            check_gradients(self._language.model)
        with torch.set_grad_enabled(gradients):
            return self._encoded.contrast(self._pushed(site, edited), self._tokens).cpu()

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
        contrasts: dict[int, Tensor] = {}
        for group in self._shared_runs(sorted(states), states, rows):
            contrasts |= self._push_together({index: states[index] for index in group})
        return contrasts

    def _shared_runs(self, ordered: Sequence[int], edited: Mapping[int, Tensor], rows: int) -> list[list[int]]:
        """Sites in groups that share a run of at most `rows` tokens, fewer with long prefixes or all logits formed."""
        width = self._states[ordered[0]].shape[-1]
        rows = min(rows, max(1, KEYS // (width * (1 + self._encoded.prefix.shape[1]))))
        if self._tokens is None:
            rows = min(rows, max(1, LOGITS // self._language.vocabulary))
        groups: list[list[int]] = []
        filled = rows + 1
        for index in ordered:
            tokens = len(edited[index]) * self._encoded.tails.numel()
            if filled + tokens > rows:
                groups.append([])
                filled = 0
            groups[-1].append(index)
            filled += tokens
        return groups

    def _push_together(self, edited: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """`push` at a few sites, given in rising order, in one run."""
        language, anatomy = self._language, self._language.anatomy
        sites = [anatomy.site(index) for index in edited]
        states = [self._replaced(site, edited[site.index]) for site in sites]
        counts = [
            sum(len(part) for site, part in zip(sites, states, strict=True) if site.index <= block)
            for block in range(len(anatomy.blocks))
        ]
        replacement = torch.cat([part.to(states[0].device) for part in states])
        cache = None if self._cache is None else tiled_cache(self._cache)
        with (
            restricted_head(language, self._tokens),
            rows_joining_late(language.model, anatomy, counts, len(replacement), self._runs, cache),
            hooked(language.model, sites[0], lambda state: replacement.to(state.device)),
        ):
            logits = self._logits(sum(map(len, edited.values())), cache)
        parts = self._encoded.contrast(logits, self._tokens).cpu().split([len(states) for states in edited.values()])
        return dict(zip(edited, parts, strict=True))

    @torch.no_grad()
    def push_logits(self, site: Site, edited: Tensor) -> Tensor:
        """(m * n * q, s, v) float32 logits after such an edit, of the tokens that the contrast reads, or of all.

        Raises:
            InputError: edited states of another shape.
        """
        return self._pushed(site, edited)

    def push_targets(self, site: Site, edited: Tensor) -> Tensor:
        """(m, n, c) float32 logits of each prompt's own continuations after such an edit, where they are single tokens.

        Raises:
            InputError: edited states of another shape, or continuations of several tokens.
        """
        tokens = self._encoded.tokens
        if tokens is None:
            raise InputError("continuations: expected single tokens, got some of several")
        targets = self._encoded.targets[:, 0, 0].contiguous()  # (n, c)
        every = self.push_logits(site, edited)[:, 0].cpu()  # (m * n, v)
        read = tokens if self._tokens is not None else torch.arange(every.shape[-1])
        places = torch.searchsorted(read, targets)
        values = every.view(-1, len(targets), every.shape[-1])
        return values.gather(-1, places.expand(len(values), *places.shape)).float()

    def _pushed(self, site: Site, edited: Tensor) -> Tensor:
        replacement = self._replaced(site, edited)
        language = self._language
        with (
            restricted_head(language, self._tokens),
            skipped_blocks(language.model, language.anatomy, site.index, self._runs),
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


def run_together(
    language: LanguageModel, groups: Sequence[Encoded], *, gradients: bool = False, vocabulary: bool = False
) -> Iterator[PrefixRun]:
    """`PrefixRun` of each group; what their prompts begin with alike is run once for all of them.

    Raises:
        InputError, SiteError: as `PrefixRun`.
    """
    some = [group for group in groups if group.prefix.shape[1] > 0]
    stored = (
        dict(zip(map(id, some), prefix_caches(language, [each.prefix for each in some]), strict=True)) if some else {}
    )
    for group in told(groups, "lengths of prompts"):
        yield PrefixRun(language, group, gradients=gradients, vocabulary=vocabulary, stored=stored.pop(id(group), None))
