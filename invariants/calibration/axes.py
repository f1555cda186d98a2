"""Random axes in a core's place, with readers of several kinds."""

from __future__ import annotations

from dataclasses import replace

import torch

from ace.core import Core
from ace.linalg import random_frames, weighted_frames
from ace.study.prompts import PromptStudy


def haar_axis(core: Core, study: PromptStudy, seed: int) -> Core:
    """A random axis, every direction alike."""
    return core.with_basis(random_frames(core.width, core.dimension, 1, torch.Generator().manual_seed(seed))[0])


def covariance_axis(core: Core, study: PromptStudy, seed: int) -> Core:
    """A random axis drawn as the states vary."""
    states = study.observed[0][0]
    return core.with_basis(
        weighted_frames(states.double() - core.mean, core.dimension, 1, torch.Generator().manual_seed(seed))[0]
    )


def dual_axis(core: Core, study: PromptStudy, seed: int) -> Core:
    """The same, with the reader that is dual to it in the states' covariance, as the oblique rest has."""
    axis, centred = covariance_axis(core, study, seed), study.observed[0][0] - core.mean
    reader = torch.linalg.solve(centred.T @ centred, axis.basis).T
    return replace(axis, readers=reader / (reader @ axis.basis))


def read_axis(core: Core, study: PromptStudy, seed: int) -> Core:
    """A Haar axis with the readers that the sensitivities give any axis."""
    states, gradients = (by_site[0] for by_site in study.observed)
    return Core.from_basis(haar_axis(core, study, seed).basis, states=states, sensitivities=gradients)
