"""Planted wrong results: extractors and studies with one known fault each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.core import PROJECTORS, Core
from ace.extract import extract_core
from ace.linalg import random_frames
from ace.rank import RankRule
from ace.study.memory import Memory
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.site_choice import rank_of
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split


def random_basis(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """A random subspace of the right rank."""
    core = extract_core(states, sensitivities, rank=rank)
    generator = torch.Generator().manual_seed(core.dimension)
    return core.with_basis(random_frames(core.width, core.dimension, 1, generator)[0]) if core.dimension else core


def uncentred(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """Missing centring: reachability about zero instead of the mean."""
    mirrored = torch.cat([states, -states]).double()
    return extract_core(mirrored, sensitivities, rank=rank)


def swapped_gramians(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """The dual basis in the basis's place: spans what is read instead of what is reached."""
    core = extract_core(states, sensitivities, rank=rank)
    if not core.dimension:
        return core
    return core.with_basis(torch.linalg.qr(core.readers.T).Q)


def principal_components(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """PCA under another name: blind to what the output reads."""
    core = extract_core(states, sensitivities, rank=rank)
    if not core.dimension:
        return core
    axes = torch.linalg.svd(states.double() - states.double().mean(dim=0), full_matrices=False).Vh
    return core.with_basis(axes[: core.dimension].T)


def misread(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """The right span with the sensitivities of a network whose outputs are weighted anew: readers of something else."""
    core = extract_core(states, sensitivities, rank=rank)
    weights = torch.arange(1.0, len(sensitivities) + 1, dtype=torch.float64)[:, None]
    return Core.from_basis(core.basis, states=states, sensitivities=weights * sensitivities)


def read_principal_components(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """PCA with the right readers of its span: coordinate-free about a span that is not."""
    axes = torch.linalg.svd(states.double() - states.double().mean(dim=0), full_matrices=False).Vh
    return Core.from_basis(axes.T, states=states, sensitivities=sensitivities, rank=rank)


SMALL = {Split.EXTRACTION: 500, Split.SELECTION: 500, Split.EVALUATION: 500}  # a planted fault is no matter of digits
MODELS = 3


def _smaller(study: TokenStudy, kind: type[TokenStudy] = TokenStudy) -> TokenStudy:
    models, sites = study.models[:MODELS], [site.path for site in study.sites[:MODELS]]
    return kind(models, study.task, sites=sites, rank=study.rank, extractor=study.extractor, sizes=SMALL)


def _planted(subject: TokenSubject, name: str, study: TokenStudy) -> TokenSubject:
    return replace(subject, name=name, trained=study, untrained=_smaller(subject.twins()))


def _with_cores(subject: TokenSubject, name: str, change: Callable[[Core, int], Core]) -> TokenSubject:
    study = _smaller(subject.trained)
    for index in range(len(study)):
        study.replace_core(index, change(study.core(index), index))
    return _planted(subject, name, study)


def with_random_cores(subject: TokenSubject) -> TokenSubject:
    """Every core replaced by a random subspace of its rank."""

    def change(core: Core, index: int) -> Core:
        generator = torch.Generator().manual_seed(index)
        return core.with_basis(random_frames(core.width, core.dimension, 1, generator)[0])

    return _with_cores(subject, "random cores", change)


def with_the_rest(subject: TokenSubject) -> TokenSubject:
    """Every core replaced by a subspace of its rank that is orthogonal to it: all that the task needs is outside."""

    def change(core: Core, index: int) -> Core:
        full = torch.linalg.qr(core.basis, mode="complete").Q
        return core.with_basis(full[:, core.dimension : 2 * core.dimension])

    return _with_cores(subject, "the rest", change)


class Permuted(TokenStudy):
    """Seeds that no longer see the same sequences: coordinates of all but the first are permuted over sequences."""

    def coordinates(self, index: int, split: Split) -> Array:
        """Core coordinates (n, t, r), rows exchanged."""
        values = super().coordinates(index, split)
        return values if index == 0 else values[np.random.default_rng(index).permutation(len(values))]


def with_permuted_seeds(subject: TokenSubject) -> TokenSubject:
    """Every model is compared with the others on other sequences than they saw."""
    return _planted(subject, "permuted seeds", _smaller(subject.trained, Permuted))


def with_random_axes(subject: PromptSubject) -> PromptSubject:
    """Every axis of number replaced by a random one, at every site that is chosen with the true one."""
    models, memory = subject.trained, Memory()
    planted = PromptStudies(models.language, len(models), models.source, extractor=models.extractor, memory=memory)
    for index, study in enumerate(planted.studies):
        # The choice stays that of the true core: the fault is in the axis, not in the place.
        choices = [study.choice(projector, deep=deep) for projector in PROJECTORS for deep in (False, True)]
        places = {(choice.site, rank_of(choice)) for choice in [study.choice(), *choices]} | {(study.sites[-1], 1)}
        for site, rank in places:
            core = study.core(site, rank)
            frame = random_frames(core.width, core.dimension, 1, torch.Generator().manual_seed(index))[0]
            study.replace_core(site, core.with_basis(frame))
    return replace(subject, name="random axes", trained=planted, memory=memory)
