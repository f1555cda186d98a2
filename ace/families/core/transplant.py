"""Transplants: core coordinates of one model, mapped affinely, in the place of another's."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ace.arrays import Array
from ace.compare import affine_map
from ace.stats import Estimate, bootstrap_mean
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

View = Callable[[TokenStudy, int, Split], Array]


def transplants(
    donors: TokenStudy, hosts: TokenStudy, *, shuffled: bool = False, view: View = TokenStudy.coordinates
) -> tuple[Estimate, ...]:
    """Accuracy of each host on each other donor's core coordinates, minus its own, on the evaluation split.

    Affine maps are fitted on the selection split.

    Args:
        shuffled: pairs the donor's rows with others of the host's.
        view: gives (n, s, k) what is carried over of a donor, on a split.

    Raises:
        Inapplicable: more than a linear head follows a host's site.
    """
    estimates = []
    for host in range(len(hosts)):
        core = hosts.core(host)
        weight, bias = hosts.head(host)
        # The logits are affine in core coordinates: no state of full width is formed.
        read, rest = core.basis.T @ weight.T, weight @ core.mean + bias
        targets = hosts.batch(Split.EVALUATION).targets
        own = hosts.base(host)[0].mean(axis=1)
        goal = torch.from_numpy(hosts.coordinates(host, Split.SELECTION)).flatten(0, 1)
        for donor in range(len(donors)):
            if donor == host:
                continue
            source = torch.from_numpy(view(donors, donor, Split.SELECTION)).flatten(0, 1)
            if shuffled:
                source = source[torch.randperm(len(source), generator=torch.Generator().manual_seed(donor))]
            carried = affine_map(source, goal)(torch.from_numpy(view(donors, donor, Split.EVALUATION)))
            logits = carried @ read + rest
            hits = (logits.argmax(dim=-1).numpy() == targets).mean(axis=1)
            estimates.append(bootstrap_mean(f"{donor}>{host}", hits - own))
    return tuple(estimates)
