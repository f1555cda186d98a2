"""How like each other the cores of independently trained models are: subspaces, coordinates, and one run on another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.compare import affine_map, overlap
from ace.errors import Inapplicable
from ace.families.core.ablation import relative
from ace.families.core.alignment import aligned_pairs
from ace.families.core.operator import spectrum_distance, steps
from ace.families.core.size import require_several
from ace.linalg import random_frames
from ace.moments import moments
from ace.stats import Estimate, bootstrap, quantile
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split

NULL_DRAWS = 10_000
LEVEL = 0.999
FOUND_VARIANCE = 1e-6  # share of an output's variance below which a direction of outputs is rounding

View = Callable[[TokenStudy, int, Split], Array]


def coordinates(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, s, r) core coordinates."""
    return study.coordinates(index, split)


@remembered
def outputs(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, s, k) the model's own outputs in the place of its core coordinates, in their leading principal directions.

    Logits are centred over classes. Directions come from the selection split.
    """

    def raw(of: Split) -> Tensor:
        batch = study.batch(of)
        inputs = torch.from_numpy(batch.inputs)
        parts = list(study.tail(index).outputs(inputs, study.states(index, of), batch.scored))
        values = torch.cat(parts).double()
        return values - values.mean(dim=-1, keepdim=True) if study.task.logits else values

    fitted = raw(Split.SELECTION).flatten(0, 1)
    centred = fitted - fitted.mean(dim=0)
    _, sizes, axes = torch.linalg.svd(torch.linalg.qr(centred, mode="r").R)
    axes = axes[sizes.square() > FOUND_VARIANCE * sizes.square().sum()]
    return ((raw(split) - fitted.mean(dim=0)) @ axes.T).numpy()


@measures("untrained")
def divergence(subject: TokenSubject) -> Measurement:
    """Overlap of the cores of each pair of models.

    Raises:
        Inapplicable: one model alone, or models of different widths.
    """
    study = require_several(subject)
    first, widths = study.core(0), {study.core(k).width for k in study.members}
    if len(widths) > 1:
        raise Inapplicable(f"{subject.name}: states of different widths {sorted(widths)} have no subspaces in common")
    ranks = sorted({max(1, study.core(k).dimension) for k in study.members})
    # Of two ranks the overlap of Haar subspaces is widest for the smaller: the widest null serves all pairs.
    frames = random_frames(first.width, ranks[0], NULL_DRAWS, torch.Generator().manual_seed(0))
    null = frames[:, : ranks[-1]].square().sum(dim=(1, 2)).numpy() / ranks[0]
    return Measurement(
        _overlaps(study),
        {"untrained": _overlaps(subject.twins())},
        {"99.9% of Haar subspaces": quantile(null, LEVEL)},
        {"Haar quantiles .001, .5, .999": [float(q) for q in np.quantile(null, [0.001, 0.5, 0.999])]},
    )


def _overlaps(study: TokenStudy) -> tuple[Estimate, ...]:
    estimates = []
    for i, j in study.pairs:
        across = study.core_replicates(i).bases.mT @ study.core_replicates(j).bases
        drawn = across.square().sum(dim=(1, 2)) / min(across.shape[1:])
        value = overlap(study.core(i).basis, study.core(j).basis)
        estimates.append(Estimate(f"{i}-{j}", value, replicates=drawn.numpy()))
    return tuple(estimates)


@measures("untrained", "outputs")
def alignment(subject: TokenSubject) -> Measurement:
    """Smallest canonical correlation of the core coordinates of each pair; directions from the selection split."""
    study = require_several(subject)
    trained, every = _aligned(study, coordinates)
    return Measurement(
        trained,
        {"untrained": _aligned(subject.twins(), coordinates)[0], "outputs": _aligned(study, outputs)[0]},
        details={"all": every},
    )


def _aligned(study: TokenStudy, view: View) -> tuple[tuple[Estimate, ...], dict[str, list[float]]]:
    chosen, tested = (
        moments(*(view(study, k, split) for k in study.members)) for split in (Split.SELECTION, Split.EVALUATION)
    )
    estimates, every, _ = aligned_pairs(study, chosen, tested)
    return estimates, every


@measures("shuffled map", "untrained donor", "outputs")
def transplant(subject: TokenSubject) -> Measurement:
    """What each host loses when it is run on another model's core coordinates, over what it scores above chance."""
    study = require_several(subject)
    return Measurement(
        _transplants(study, study, coordinates),
        {
            "shuffled map": _transplants(study, study, coordinates, shuffled=True),
            "untrained donor": _transplants(subject.twins(), study, coordinates),
            "outputs": _transplants(study, study, outputs),
        },
    )


def _transplants(donors: TokenStudy, hosts: TokenStudy, view: View, *, shuffled: bool = False) -> tuple[Estimate, ...]:
    """Each host with the state about its mean replaced by a donor's view, mapped affinely onto its coordinates.

    Maps are fitted on the selection split; `shuffled` pairs the donor's rows with others of the host's.
    """
    estimates = []
    for host in hosts.members:
        core = hosts.core(host)
        goal = torch.from_numpy(coordinates(hosts, host, Split.SELECTION)).flatten(0, 1)
        like = hosts.states(host, Split.EVALUATION)
        for donor in donors.members:
            if donor == host:
                continue
            source = torch.from_numpy(view(donors, donor, Split.SELECTION)).flatten(0, 1)
            if len(source) != len(goal):
                raise Inapplicable(f"models {donor} and {host} have states at different positions")
            if shuffled:
                source = source[torch.randperm(len(source), generator=torch.Generator().manual_seed(donor))]
            carried = affine_map(source, goal)(torch.from_numpy(view(donors, donor, Split.EVALUATION)))
            states = (core.mean + carried @ core.basis.T).to(like)
            label = f"{donor}>{host}"
            scores = hosts.scores(host, states=states)
            estimates.append(relative(label, hosts, host, scores, hosts.base_scores(host)))
    return tuple(estimates)


@measures("untrained", "outputs")
def spectrum(subject: TokenSubject) -> Measurement:
    """Matching distance of the eigenvalues of the one-step operator in core coordinates to the task's known ones.

    Raises:
        Inapplicable: the task names no eigenvalues, or its states have one position.
    """
    study = subject.trained
    wanted = study.task.eigenvalues
    if wanted is None:
        raise Inapplicable(f"the task {study.task.name!r} names no eigenvalues of a known operator")

    def distances(of: TokenStudy, view: View) -> tuple[Estimate, ...]:
        estimates = []
        for index in of.members:
            values = view(of, index, Split.EVALUATION)
            if values.shape[1] < 2:
                raise Inapplicable("states have a single position, so there is no step from one to the next")
            estimates.append(bootstrap(str(index), steps(values), lambda moment: spectrum_distance(moment, wanted)))
        return tuple(estimates)

    return Measurement(
        distances(study, coordinates),
        {"untrained": distances(subject.twins(), coordinates), "outputs": distances(study, outputs)},
        details={"true": [[value.real, value.imag] for value in wanted]},
    )
