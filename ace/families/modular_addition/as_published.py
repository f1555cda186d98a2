"""Sizes of a core of modular addition by the choices of the paper, to show how much its numbers depend on them.

Two choices differ from ours: the held-out pairs that a core is extracted from are those that it is evaluated on, and
logits are not centred over classes, so that a shift of all logits counts as an output.
"""

from __future__ import annotations

import torch

from ace.extract import extract_core
from ace.families.modular_addition.scans import TOLERANCE, HeldOut
from ace.model.intervene import rank_scan
from ace.rank import Full, necessary_rank, sufficient_rank


def published_sizes(pairs: HeldOut) -> list[int | None]:
    """r_nec and r_suf from all held-out pairs at once and the head's weight as it is; None is "not reached"."""
    states, targets = torch.cat(pairs.states), torch.cat(pairs.targets)
    scan = rank_scan(states, targets, pairs.weight, pairs.bias, extract_core(states, pairs.weight, rank=Full()))
    choices = (necessary_rank(scan.remove, 2 / len(pairs.weight)), sufficient_rank(scan.keep, scan.base, TOLERANCE))
    return [choice.value for choice in choices]
