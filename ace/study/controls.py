"""Controls shared by several claims: levels, edits, and principal directions in a core's place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ace.core import Core
from ace.model.intervene import Intervention
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

DRAWS = 1000
LEVEL = 0.999


def edited(core: Core, mode: str, projector: str = "orthogonal") -> Callable[[Tensor], Tensor]:
    """What an intervention with a core does to states, for `TokenStudy.performance`."""
    return Intervention(core, mode, projector=projector).apply


def principal_core(study: TokenStudy, index: int) -> Core:
    """PCA of equal rank in the core's place: the leading principal directions of the extraction states."""
    core = study.core(index)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double() - core.mean
    _, _, axes = torch.linalg.svd(torch.linalg.qr(states, mode="r").R)
    return core.with_basis(axes[: core.dimension].T)
