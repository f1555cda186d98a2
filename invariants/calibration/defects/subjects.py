"""Defects of training runs: fake models, wrong tasks, answers, splits, cores of another model or site."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import ace
from ace.core import Core
from ace.linalg import random_frames
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks import Split
from invariants.calibration.defects.fakes import (
    CHAIN,
    SIZES,
    Blind,
    Broken,
    Bypass,
    Chain,
    Changed,
    Constant,
    Deep,
    Memorised,
    Neighbours,
    OneSplit,
    Restless,
    overconfident,
    shifted,
    shuffled,
)
from invariants.calibration.defects.record import by_claim, by_property, by_refusal
from invariants.contracts.exact import Exact, Largest
from invariants.properties import test_tasks


def runs(kind: Callable[[int], nn.Module] = Exact, task: ace.Task | None = None, **more: Any) -> TokenSubject:
    """Exact models of numbers, two of them, of which core.sufficiency and core.necessity hold."""
    settings = {"sites": "readout", "sizes": SIZES, **more}
    return ace.runs_subject("runs", [kind(index) for index in range(2)], task or Largest(), **settings)


def with_cores(change: Callable[[TokenStudy, int], Core], **more: Any) -> TokenSubject:
    """Exact models with other cores in the place of theirs."""
    subject = runs(**more)
    for index in subject.trained.members:
        subject.trained.replace_core(index, change(subject.trained, index))
    return subject


def complement(study: TokenStudy, index: int) -> Core:
    """As many dimensions outside the core, of those that states vary in."""
    core = study.core(index)
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double() - core.mean
    outside = states - states @ core.basis @ core.basis.T
    return core.with_basis(torch.linalg.svd(outside, full_matrices=False).Vh[: core.dimension].T)


def of_site(site: str, study: TokenStudy, index: int) -> Core:
    """The core of another site of the same models."""
    return TokenStudy(study.models, study.task, sites=site, sizes=SIZES).core(index)


def random_core(study: TokenStudy, index: int) -> Core:
    """A random subspace of the core's rank."""
    core = study.core(index)
    return core.with_basis(random_frames(core.width, core.dimension, 1, torch.Generator().manual_seed(index))[0])


def of_other_seed(study: TokenStudy, index: int) -> Core:
    """The core of the other model."""
    return study.core_of(1 - index, Split.EXTRACTION)


CORE, FAKE, LABELS, SPLIT, CONTROL = "wrong core", "fake model", "labels", "splits", "controls"

DEFECTS = (
    by_claim(CORE, "random subspaces", "core.sufficiency", partial(with_cores, random_core), runs),
    by_claim(CORE, "as many dimensions outside the core", "core.sufficiency", partial(with_cores, complement), runs),
    by_claim(CORE, "the core of another seed", "core.necessity", partial(with_cores, of_other_seed), runs),
    by_claim(
        CORE,
        "the core of the site below",
        "core.sufficiency",
        partial(with_cores, partial(of_site, "turn"), kind=Deep),
        partial(runs, Deep),
    ),
    by_claim(
        CORE,
        "the core of the site above",
        "core.sufficiency",
        partial(with_cores, partial(of_site, "readout"), kind=Deep, sites="turn"),
        partial(runs, Deep, sites="turn"),
    ),
    by_claim(CORE, "a rank one too small", "core.sufficiency", partial(runs, rank=ace.Fixed(1)), runs),
    by_claim(FAKE, "constant logits", "core.sufficiency", partial(runs, Constant), runs),
    by_claim(FAKE, "labels in the logits, past the state", "core.necessity", partial(runs, Bypass), runs),
    by_claim(FAKE, "memorised answers", "core.sufficiency", partial(runs, Memorised), runs),
    by_refusal(
        FAKE,
        "a state that is not read",
        "core extraction",
        lambda: runs(Blind).trained.core(0),
        lambda: runs().trained.core(0),
    ),
    by_refusal(FAKE, "other answers each time", "runs_subject", partial(runs, Restless), runs),
    by_refusal(FAKE, "a weight that is not a number", "runs_subject", partial(runs, Broken), runs),
    by_claim(
        LABELS,
        "answers shuffled",
        "core.sufficiency",
        partial(runs, task=Changed(shuffled)),
        partial(runs, task=Changed()),
    ),
    by_claim(
        LABELS,
        "answers of the position before",
        "core.sufficiency",
        partial(runs, task=Changed(lambda targets: np.roll(targets, 1, axis=1))),
        partial(runs, task=Changed()),
    ),
    by_property(
        LABELS,
        "targets one step too early",
        test_tasks.test_targets_are_the_inputs_one_step_on,
        planted={"task": Chain(shifted)},
        sound={"task": CHAIN},
    ),
    by_property(
        LABELS,
        "an oracle that is too sure",
        test_tasks.test_oracle_scores_have_their_own_expectations,
        planted={"task": Chain(overconfident)},
        sound={"task": CHAIN},
    ),
    by_refusal(SPLIT, "all splits the same", "runs_subject", partial(runs, task=OneSplit()), runs),
    by_refusal(SPLIT, "a row in two splits of a finite task", "runs_subject", partial(runs, task=Neighbours()), runs),
    by_refusal(
        SPLIT,
        "coordinates on the extraction split",
        "TokenStudy.coordinates",
        lambda: runs().trained.coordinates(0, Split.EXTRACTION),
        lambda: runs().trained.coordinates(0, Split.EVALUATION),
    ),
    by_claim(CONTROL, "a chance level of nothing", "core.necessity", partial(runs, task=Changed(chance=0.0)), runs),
    by_claim(CONTROL, "a chance level of all", "core.necessity", partial(runs, task=Changed(chance=1.0)), runs),
)
