"""Alternatives in the place of a study's cores, from the extraction split alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import torch

from ace.alternatives.evidence import Evidence
from ace.alternatives.methods import ALTERNATIVES
from ace.core import Core
from ace.errors import Inapplicable, InputError
from ace.model.sites import Site
from ace.study.checks import scored_classes
from ace.study.interchange import searched_core
from ace.study.memory import remembered
from ace.study.prompts import PromptStudy
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

ROWS = 4000  # states that a method with labels is fitted to


@remembered
def alternative_cores(study: TokenStudy, index: int) -> dict[str, Core]:
    """Every alternative's core for one model, by name, of the rank of its own core or as many as the method has.

    Classes are the targets at the scored positions; where those are no classes, methods that look at labels are left
    out. Of more than 4,000 states these are fitted to as many drawn at random; PCA and gradients see all of them. A
    method that finds nothing, such as classes with equal means, is left out too.
    """
    core, labels = study.core(index), scored_classes(study.batch(Split.EXTRACTION))
    states, read = study.states(index, Split.EXTRACTION).flatten(0, 1), study.sensitivities(index)
    whole = Evidence(states, read, mean=core.mean)
    few = whole
    if labels is not None:
        rows = np.sort(np.random.default_rng(index).permutation(len(states))[:ROWS])
        few = Evidence(states[torch.from_numpy(rows)], read, labels[rows], core.mean)
    return found_cores(core.dimension, {name: few if ALTERNATIVES[name].labelled else whole for name in ALTERNATIVES})


@remembered
def prompt_alternatives(study: PromptStudy, site: Site, rank: int = 1) -> dict[str, Core]:
    """Every alternative's core at a site of a language model, by name, of that rank or as many as the method has.

    Classes are those of the prompts. The last is "DAS", trained on exchanges between prompts, where there are prompts
    enough to hold some out.
    """
    states, gradients = (by_site[site.index] for by_site in study.observed)
    evidence = Evidence(states, gradients, study.observed_labels(), study.core(site, rank).mean)
    cores = found_cores(rank, dict.fromkeys(ALTERNATIVES, evidence))
    with suppress(Inapplicable):
        cores["DAS"] = searched_core(study, site, rank)
    return cores


def found_cores(rank: int, evidence: Mapping[str, Evidence]) -> dict[str, Core]:
    """The core of each named alternative that finds one from its evidence, in the order of `ALTERNATIVES`."""
    cores = {}
    for name, method in ALTERNATIVES.items():
        if rank < 1 or name not in evidence or (method.labelled and evidence[name].labels is None):
            continue
        with suppress(InputError):  # nothing to be found there: no matter of how it was asked
            cores[name] = method.find(evidence[name], rank)
    return cores
