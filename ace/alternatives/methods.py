"""The alternatives by name, and the projectors that each of them can be held against a core with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from ace.alternatives.classes import least_squares_erasure, linear_discriminants, mean_difference
from ace.alternatives.directions import gradients_alone, principal_components
from ace.alternatives.evidence import Evidence
from ace.alternatives.probe import logistic_probe
from ace.core import Core


@dataclass(frozen=True)
class Alternative:
    """A method that finds a subspace from states, labels and sensitivities.

    Attributes:
        find: (evidence, rank) -> a core of that rank, or of as many dimensions as the method has where those are fewer.
        labelled: whether it looks at labels.
    """

    find: Callable[[Evidence, int], Core]
    labelled: bool


ALTERNATIVES: Mapping[str, Alternative] = MappingProxyType(
    {
        "mean difference": Alternative(mean_difference, labelled=True),
        "PCA": Alternative(principal_components, labelled=False),
        "gradients alone": Alternative(gradients_alone, labelled=False),
        "LDA": Alternative(linear_discriminants, labelled=True),
        "logistic probe": Alternative(logistic_probe, labelled=True),
        "LEACE": Alternative(least_squares_erasure, labelled=True),
    }
)


def onto_readers(core: Core) -> Core:
    """The span of a core's readers in the core's place, projected onto orthogonally.

    Of a probe this is its weight vector, and of gradients alone the gradient: what is often done, and is neither the
    core's orthogonal projector nor its oblique one. The same core where directions are their own readers.
    """
    return Core.from_basis(core.readers.T, core.mean, samples=core.samples, site=core.site, task=core.task)


def own_readers(core: Core) -> bool:
    """Whether a core's directions are its own readers, so that all its projectors are one."""
    return torch.equal(core.directions, core.readers.T)
