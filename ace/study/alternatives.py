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
from ace.study.token_interchange import searched_subspace
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

ROWS = 4000  # states that a method with labels is fitted to
CLASSES = 256  # that a probe is fitted for at most: its cost grows with them, and it is no part of a verdict
WIDTH = 2048  # of states, up to which their covariance is decomposed
PROBE, MEANS = "logistic probe", "mean difference"
SEARCH = "DAS"
CORE = "core"  # by name, beside the alternatives


@remembered
def alternative_cores(study: TokenStudy, index: int) -> dict[str, Core]:
    """Every alternative's core for one model, by name, of the rank of its own core or as many as the method has.

    Classes are the targets at the scored positions. Methods that look at labels are left out where targets are no
    classes, or where a state has other positions than an output, so that it is not told which state has which answer.
    Of more than 4,000 states these are fitted to as many drawn at random; PCA and gradients see all of them, those at
    earlier positions too where a change there reaches the outputs. The last is "DAS", trained on exchanges between
    sequences, where there are sequences enough to hold some out and gradients can be taken.

    What finds nothing, such as classes with equal means, is left out, and so is what costs too much for something that
    no verdict hangs on: a probe of more than 256 classes, and all but the mean difference and DAS, which decompose
    matrices of the states' width, above a width of 2,048.
    """
    batch, tail, core = study.batch(Split.EXTRACTION), study.tail(index), study.core(index)
    states, read = study.states(index, Split.EXTRACTION), study.sensitivities(index)
    whole = few = Evidence(states.flatten(0, 1), read, mean=core.mean)
    labels = scored_classes(batch) if tail.places == tail.output_places else None
    names = dict.fromkeys(ALTERNATIVES if core.width <= WIDTH else (MEANS,))
    if labels is not None:
        scored = states[:, -batch.scored :].flatten(0, 1)
        rows = np.sort(np.random.default_rng(index).permutation(len(scored))[:ROWS])
        classes = len(np.unique(labels[rows]))
        if classes > 1:
            few = Evidence(scored[torch.from_numpy(rows)], read, labels[rows], core.mean)
        if classes > CLASSES:
            names.pop(PROBE, None)
    evidence = {name: few if ALTERNATIVES[name].labelled else whole for name in names}
    cores = found_cores(core.dimension, evidence)
    with suppress(Inapplicable):
        cores[SEARCH] = searched_subspace(study, index)
    return cores


def shared_alternatives(study: TokenStudy) -> list[str]:
    """Names of the alternatives that every model has a core of."""
    found = [alternative_cores(study, k) for k in study.members]
    return [name for name in found[0] if all(name in cores for cores in found)]


def core_or_alternative(study: TokenStudy, index: int, name: str) -> Core:
    """One model's own core, for "core", or the alternative of that name in its place."""
    return study.core(index) if name == CORE else alternative_cores(study, index)[name]


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
        cores[SEARCH] = searched_core(study, site, rank)
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
