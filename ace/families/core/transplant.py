"""Transplants: core coordinates of one model, mapped affinely, in the place of another's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ace.arrays import Array
from ace.compare import affine_map
from ace.families.core.ablation import relative
from ace.families.core.alignment import coordinates
from ace.stats import Estimate, bootstrap_mean
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

View = Callable[[TokenStudy, int, Split], Array]


def transplanted(
    donors: TokenStudy,
    hosts: TokenStudy,
    view: View,
    *,
    shuffled: bool = False,
    projector: str = "orthogonal",
    reach: int = 0,
) -> tuple[Estimate, ...]:
    """What each host loses with the state about its mean replaced by each other donor's view, mapped affinely onto it.

    The host itself is run, whatever follows its site. Maps are fitted on the selection split; `shuffled` pairs the
    donor's rows with others of the host's.

    Args:
        reach: how many donors each host has, those that follow it in a ring; 0 for all others.

    Returns:
        the score minus the host's own, over what it scores above chance, for each donor and host.
    """
    estimates = []
    for host in hosts.members:
        core, like = hosts.core(host), hosts.states(host, Split.EVALUATION)
        goal = core.coordinates(hosts.states(host, Split.SELECTION), projector)
        following = [(host + step) % len(donors) for step in range(1, len(donors))]
        for donor in sorted(following[:reach] if reach else following):
            source, fresh = (
                torch.from_numpy(view(donors, donor, split)) for split in (Split.SELECTION, Split.EVALUATION)
            )
            carried = _carried(source, goal, fresh, seed=donor if shuffled else None)
            states = (core.mean + carried @ core.basis.T).to(like)
            scores = hosts.scores(host, states=states)
            estimates.append(relative(f"{donor}>{host}", hosts, host, scores, hosts.base_scores(host)))
    return tuple(estimates)


def _carried(source: Tensor, goal: Tensor, fresh: Tensor, seed: int | None) -> Tensor:
    """(n, s, r) images of a donor's fresh view, by the affine map that takes its view (m, t, k) to the goal (m, s, r).

    Position by position where the two have the same; else all positions of a sequence are mapped at once.

    Args:
        seed: of a random pairing of the rows; None for the right one.
    """
    places, width = goal.shape[1:]
    if source.shape[1] != places:
        source, goal, fresh = (part.flatten(1)[:, None] for part in (source, goal, fresh))
    rows, wanted = source.flatten(0, 1), goal.flatten(0, 1)
    if seed is not None:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    return affine_map(rows, wanted)(fresh).reshape(len(fresh), places, width)


def transplants(
    donors: TokenStudy,
    hosts: TokenStudy,
    *,
    shuffled: bool = False,
    view: View = coordinates,
    projector: str = "orthogonal",
) -> tuple[Estimate, ...]:
    """Accuracy of each host on each other donor's core coordinates, minus its own, on the evaluation split.

    Affine maps are fitted on the selection split.

    Args:
        shuffled: pairs the donor's rows with others of the host's.
        view: gives (n, s, k) what is carried over of a donor, on a split.
        projector: that the host's coordinates are of.

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
        if projector != "orthogonal":
            goal = core.coordinates(hosts.states(host, Split.SELECTION), projector).flatten(0, 1)
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
