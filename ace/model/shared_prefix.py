"""Keys and values of prompts that begin alike: what several share is run once.

Prompts are run from left to right in a few pieces. In each piece only rows that differ so far are run, on the keys and
values of the row that they continue; a prompt that ends within a piece is padded, and what is stored of it is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ace.model.language import LanguageModel
from ace.model.partial_runs import restricted_head
from ace.model.stored_keys import only_grows, repeated_cache, shortened
from ace.model.stored_prefix import store_prefix

PASS = 48  # tokens that a further pass of a model is worth: every weight is read once more


def prefix_cache(language: LanguageModel, prefix: Tensor) -> Any:
    """What the model stores of token ids (n, t), t >= 1, row by row.

    Raises:
        SiteError: a model that stores anything else than keys and values, one pair for each block.
    """
    return prefix_caches(language, [prefix])[0]


@torch.no_grad()
def prefix_caches(language: LanguageModel, prefixes: Sequence[Tensor]) -> list[Any]:
    """`prefix_cache` of several arrays of token ids (n, t), together: what begins alike is run once.

    Raises:
        SiteError: as `prefix_cache`.
    """
    if not prefixes:
        return []
    whole, lengths = _padded(prefixes)
    ends = piece_ends(whole, lengths)
    ids, tails = whole.to(language.device), [0, *torch.tensor([len(prefix) for prefix in prefixes]).cumsum(0).tolist()]
    caches: list[Any] = [None] * len(prefixes)
    cache, kinds = None, torch.zeros(len(whole), dtype=torch.int64)  # which stored row each row goes on from
    for start, end in pairwise([0, *ends]):
        going = (lengths > start).nonzero()[:, 0]
        first, own = _distinct(whole[going, :end])
        piece = ids[going[first], start:end]
        if cache is None:
            cache = store_prefix(language, piece)
        else:
            parents = kinds[going[first]].to(language.device)
            cache = repeated_cache(cache, partial(torch.index_select, dim=0, index=parents))
            with restricted_head(language, torch.tensor([0])):
                _, cache = language.run(piece, cache, store=True)
        one_for_all = len(ends) == 1 and bool((lengths == ends[0]).all())
        if not one_for_all and not only_grows(cache):  # what else is stored, or no more, cannot be parted by rows
            return [store_prefix(language, prefix) for prefix in prefixes]
        kinds = torch.full((len(whole),), -1)
        kinds[going] = own
        for group, prefix in enumerate(prefixes):
            if start < prefix.shape[1] <= end:
                rows = kinds[tails[group] : tails[group + 1]].to(language.device)
                caches[group] = shortened(cache, rows, prefix.shape[1])
    return caches


def _padded(prefixes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(n, t) all token ids, padded at their ends, and (n) their lengths: what follows a position does not change it."""
    longest = max(prefix.shape[1] for prefix in prefixes)
    whole = torch.cat([torch.nn.functional.pad(prefix, (0, longest - prefix.shape[1])) for prefix in prefixes])
    return whole, torch.cat([torch.full((len(prefix),), prefix.shape[1]) for prefix in prefixes])


def piece_ends(whole: Tensor, lengths: Tensor) -> list[int]:
    """Where the pieces end in which token ids (n, t) of these lengths (n) are run, at the least cost in tokens."""
    longest = whole.shape[1]
    cost, previous = [0.0] + [float("inf")] * longest, [0] * (longest + 1)
    for start in range(longest):
        going = whole[lengths > start]
        for end in range(start + 1, longest + 1):
            through = cost[start] + PASS + len(_distinct(going[:, :end])[0]) * (end - start)
            if through < cost[end]:
                cost[end], previous[end] = through, start
    ends = [longest]
    while previous[ends[0]] > 0:
        ends.insert(0, previous[ends[0]])
    return ends


def _distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(u) one row of each kind, and (n) which of them each row is."""
    kinds, which = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((len(kinds),), len(rows)).scatter_reduce(0, which, torch.arange(len(rows)), "amin")
    return first, which
