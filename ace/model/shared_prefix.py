"""Keys and values of prompts that begin alike: what several share is run once.

Prompts of one length are run from left to right in a few pieces. In each piece only rows that differ so far are run,
on the keys and values of the row that they continue.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ace.model.language import LanguageModel
from ace.model.partial_runs import restricted_head
from ace.model.stored_keys import only_grows, repeated_cache
from ace.model.stored_prefix import store_prefix

PASS = 48  # tokens that a further pass of a model is worth: every weight is read once more


@torch.no_grad()
def prefix_cache(language: LanguageModel, prefix: Tensor) -> Any:
    """What the model stores of token ids (n, t), t >= 1, row by row.

    Raises:
        SiteError: a model that stores anything else than keys and values, one pair for each block.
    """
    ids = prefix.to(language.device)
    ends = piece_ends(prefix)
    first, rows = _distinct(prefix[:, : ends[0]])
    cache = store_prefix(language, ids[first, : ends[0]])
    if len(ends) > 1 and not only_grows(cache):  # a layer that does more may not be continued row by row
        return store_prefix(language, ids)
    with restricted_head(language, torch.tensor([0])):
        for start, end in pairwise(ends):
            first, following = _distinct(prefix[:, :end])
            cache = repeated_cache(cache, partial(torch.index_select, dim=0, index=rows[first].to(language.device)))
            _, cache = language.run(ids[first, start:end], cache, store=True)
            rows = following
    if len(first) == len(prefix) and torch.equal(rows, torch.arange(len(rows))):
        return cache
    return repeated_cache(cache, partial(torch.index_select, dim=0, index=rows.to(language.device)))


def piece_ends(prefix: Tensor) -> list[int]:
    """Where the pieces end in which token ids (n, t) are run, the last at t: those of the least cost in tokens."""
    length = prefix.shape[1]
    distinct = [1, *(len(_distinct(prefix[:, :end])[0]) for end in range(1, length + 1))]
    cost, previous = [0.0] + [float("inf")] * length, [0] * (length + 1)
    for end in range(1, length + 1):
        for start in range(end):
            through = cost[start] + PASS + distinct[end] * (end - start)
            if through < cost[end]:
                cost[end], previous[end] = through, start
    ends = [length]
    while previous[ends[0]] > 0:
        ends.insert(0, previous[ends[0]])
    return ends


def _distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(u) one row of each kind, by first appearance, and (n) which of them each row is."""
    seen: dict[tuple[int, ...], int] = {}
    first: list[int] = []
    kinds: list[int] = []
    for place, row in enumerate(map(tuple, rows.tolist())):
        if row not in seen:
            seen[row] = len(first)
            first.append(place)
        kinds.append(seen[row])
    return torch.tensor(first), torch.tensor(kinds)
