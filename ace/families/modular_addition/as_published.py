"""Sizes of a core of modular addition by the choices of the paper, to show how much its numbers depend on them.

Two choices differ from ours: the held-out pairs that a core is extracted from are those that it is evaluated on, and
logits are not centred over classes, so that a shift of all logits counts as an output.
"""

from __future__ import annotations

import numpy as np
import torch

from ace.extract import extract_core
from ace.families.modular_addition.scans import TOLERANCE, held_out_states, linear_head
from ace.model.intervene import rank_scan
from ace.rank import Full, necessary_rank, sufficient_rank
from ace.tasks import ModularAddition
from ace.training.transformer import SmallTransformer


def published_sizes(model: SmallTransformer, task: ModularAddition) -> list[int | None]:
    """r_nec and r_suf from all held-out pairs at once and the head's weight as it is; None is "not reached".

    Raises:
        Inapplicable: more than a linear head follows the site.
    """
    batches, parts = held_out_states(model, task)
    states = torch.cat(parts)
    targets = torch.from_numpy(np.concatenate([batch.targets for batch in batches]))[:, -1]
    weight, bias = linear_head(model, batches[0], "a model")
    scan = rank_scan(states, targets, weight, bias, extract_core(states, weight, rank=Full()))
    choices = (necessary_rank(scan.remove, 2 / task.modulus), sufficient_rank(scan.keep, scan.base, TOLERANCE))
    return [choice.value for choice in choices]
