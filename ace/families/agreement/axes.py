"""The axis of number as extraction finds it and as others do, each with the projectors that an edit can use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ace.alternatives.methods import onto_readers, own_readers
from ace.auc import separations
from ace.core import OBLIQUE, ORTHOGONAL, Core
from ace.model.intervene import Intervention
from ace.model.sites import Site
from ace.study.alternatives import prompt_alternatives
from ace.study.memory import remembered
from ace.study.prompts import PromptStudy
from ace.study.site_choice import rank_of
from ace.tasks.base import Split

EXTRACTED = "ACE"
READERS = "onto the readers"


@dataclass(frozen=True, eq=False)
class Axis:
    """A subspace with one of its projectors.

    Attributes:
        method: "ACE", or the name of an alternative.
        projector: "orthogonal", onto its directions; "oblique"; or "onto the readers", orthogonally.
        core: the subspace that an edit is given: that of the readers for the last.
    """

    method: str
    projector: str
    core: Core

    def edit(self, mode: str, strength: float | None = None) -> Intervention:
        """An intervention with this projector."""
        kind = OBLIQUE if self.projector == OBLIQUE else ORTHOGONAL
        return Intervention(self.core, mode, strength=strength, projector=kind)

    def component(self, states: Tensor) -> Tensor:
        """(..., d) what removing it takes from states (..., d)."""
        return states - self.edit("remove").apply(states)


def place(study: PromptStudy) -> tuple[Site, int]:
    """Site and rank at which all are compared: what the selection split chose for ACE's oblique projector."""
    choice = study.choice(OBLIQUE)
    return choice.site, rank_of(choice)


@remembered
def all_axes(study: PromptStudy) -> tuple[Axis, ...]:
    """Every method with each of its projectors, ACE first; one projector where directions are their own readers."""
    site, rank = place(study)
    cores = {EXTRACTED: study.core(site, rank), **prompt_alternatives(study, site, rank)}
    axes = []
    for method, core in cores.items():
        axes.append(Axis(method, ORTHOGONAL, core))
        if not own_readers(core):
            axes += [Axis(method, OBLIQUE, core), Axis(method, READERS, onto_readers(core))]
    return tuple(axes)


def extracted_axis(study: PromptStudy) -> Axis:
    """What alternatives are held against: ACE with its oblique projector, which does not depend on coordinates."""
    own = [axis for axis in all_axes(study) if axis.method == EXTRACTED]
    return next((axis for axis in own if axis.projector == OBLIQUE), own[0])


def displaced(study: PromptStudy, axis: Axis, split: Split) -> float:
    """Mean squared norm of what an edit of the axis takes up of the split's states."""
    states = study.states(split, place(study)[0]).double()
    return float(axis.component(states).square().sum(dim=1).mean())


def matched_flip(study: PromptStudy, axis: Axis, split: Split) -> Intervention:
    """The flip of an axis, made larger or smaller so that it moves the split's states as far as ACE's flip does.

    As far in the mean square. An axis that states hardly vary along is so moved by many times their spread.
    """
    share = displaced(study, extracted_axis(study), split) / displaced(study, axis, split)
    return axis.edit("scale", 1 - 2 * share**0.5)


@remembered
def best_axes(study: PromptStudy) -> dict[str, Axis]:
    """Method -> the projector whose flip, as long as ACE's, mirrors number most on selection; ACE's is the oblique."""
    axes = all_axes(study)
    flips = [matched_flip(study, axis, Split.SELECTION) for axis in axes]
    scores = study.push(Split.SELECTION, place(study)[0], flips)
    apart = separations(scores, study.base(Split.SELECTION), study.labels(Split.SELECTION))
    best: dict[str, Axis] = {EXTRACTED: extracted_axis(study)}
    for row in np.argsort(apart, kind="stable"):
        best.setdefault(axes[row].method, axes[row])
    return {method: best[method] for method in dict.fromkeys(axis.method for axis in axes)}


def total_variance(study: PromptStudy, split: Split) -> float:
    """Mean squared distance of the split's states from the reference point."""
    site, rank = place(study)
    states = study.states(split, site).double() - study.core(site, rank).mean
    return float(states.square().sum(dim=1).mean())


def edited_states(axes: Sequence[Axis], mode: str, states: Tensor) -> Tensor:
    """(m, n, d) states (n, d) under the same edit of several axes."""
    return torch.stack([axis.edit(mode).apply(states) for axis in axes])
