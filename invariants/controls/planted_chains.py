"""Subjects of chains and hidden Markov processes on which a control lies inside its claim's bound: so it can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ace.core import Core
from ace.extract import extract_core
from ace.families.hidden_markov.subjects import INNER
from ace.linalg import random_frames
from ace.rank import RankRule
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks import HiddenMarkov, MarkovChain, mess3
from ace.tasks.base import Batch, Split, Task
from ace.training.transformer import SmallTransformer

SMALL = {Split.EXTRACTION: 400, Split.SELECTION: 400, Split.EVALUATION: 400}
MODELS = 3
QUIET = 20  # dimensions of a core in which little happens
COPIES = 20  # of each sequence
MANY = 2000  # sequences, where they repeat


def small(
    study: TokenStudy,
    models: list[nn.Module] | None = None,
    task: Task | None = None,
    sizes: Mapping[Split, int] = SMALL,
) -> TokenStudy:
    """The first models of a study on fewer sequences, or others in their place."""
    chosen = list(study.models[:MODELS]) if models is None else models
    sites = [site.path for site in study.sites[: len(chosen)]]
    return TokenStudy(chosen, task or study.task, sites=sites, rank=study.rank, sizes=sizes)


def as_it_is(subject: TokenSubject) -> TokenSubject:
    """The subject with fewer models and sequences."""
    return replace(subject, name="planted", trained=small(subject.trained), untrained=small(subject.twins()))


def on(subject: TokenSubject, task: Task, sizes: Mapping[Split, int] = SMALL) -> TokenSubject:
    """The same models on another task."""
    trained, twins = (small(study, task=task, sizes=sizes) for study in (subject.trained, subject.twins()))
    return replace(subject, name="planted", trained=trained, untrained=twins)


def with_trained_twins(subject: TokenSubject) -> TokenSubject:
    """Models that were trained before their training."""
    return replace(subject, name="planted", trained=small(subject.trained), untrained=small(subject.trained))


def with_each_others_twins(subject: TokenSubject) -> TokenSubject:
    """Each model has the initialisation of another."""
    turned = list(np.roll(np.arange(MODELS), 1))
    twins = small(subject.twins(), [subject.twins().models[k] for k in turned])
    return replace(subject, name="planted", trained=small(subject.trained), untrained=twins)


def with_its_own_chain(subject: TokenSubject) -> TokenSubject:
    """The chain that shall need fewer dimensions is the same chain."""
    return replace(as_it_is(subject), companions={"low-rank chain": small(subject.trained)})


def with_quiet_cores(subject: TokenSubject) -> TokenSubject:
    """Every core is replaced by the directions in which states vary least: all that the task needs is in the rest."""
    planted = as_it_is(subject)
    study = planted.trained
    for k in study.members:
        core, states = study.core(k), study.states(k, Split.EXTRACTION).flatten(0, 1).double()
        axes = torch.linalg.svd(states - core.mean, full_matrices=False).Vh
        study.replace_core(k, core.with_basis(axes[-QUIET:].T))
    return planted


def arbitrary(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """A subspace that hangs on the states by their sum alone: other data, another subspace."""
    core = extract_core(states, sensitivities, rank=rank)
    generator = torch.Generator().manual_seed(int(abs(float(states.double().sum())) * 1e3))
    return core.with_basis(random_frames(core.width, core.dimension, 1, generator)[0])


def with_arbitrary_cores(subject: TokenSubject) -> TokenSubject:
    """Cores that other data of the same model do not find again."""
    planted = as_it_is(subject)
    planted.trained.extractor = arbitrary
    return planted


def on_a_chain_that_says_little(subject: TokenSubject) -> TokenSubject:
    """A chain that stays a little more often than it goes anywhere else: most of what is lost is within the margin."""
    states, stay = 4, 0.256
    transition = np.full((states, states), (1 - stay) / (states - 1))
    np.fill_diagonal(transition, stay)
    return on(subject, MarkovChain("little", transition, 32), {**SMALL, Split.EVALUATION: 12_000})


def on_symbols_that_show_the_state(subject: TokenSubject) -> TokenSubject:
    """A hidden Markov process that hardly hides its state."""
    return on(subject, mess3(0.9, 0.99))


class Repeated(Task):
    """Sequences of a process, each several times in a row."""

    def __init__(self, process: HiddenMarkov) -> None:
        self.process, self.name, self.vocabulary = process, process.name, process.vocabulary

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        """Fewer sequences, repeated."""
        one = self.process.draw(split, -(-sequences // COPIES), seed)
        rows = np.arange(sequences) // COPIES
        predictive = None if one.predictive is None else one.predictive[rows]
        return Batch(one.inputs[rows], one.targets[rows], predictive, split)


class RepeatedStudy(TokenStudy):
    """Models of a process whose sequences repeat."""

    def batch(self, split: Split) -> Batch:
        """The sequences of a split."""
        process = self.expect_task(HiddenMarkov)
        return self.memory.get(("repeated", self, split), lambda: Repeated(process).draw(split, MANY, 1))


def with_repeated_sequences(subject: TokenSubject) -> TokenSubject:
    """The sequence before is most often the same one."""
    studies = [
        RepeatedStudy(study.models[:MODELS], study.task, sites=study.sites[0].path, rank=study.rank, sizes=SMALL)
        for study in (subject.trained, subject.twins())
    ]
    for k in studies[0].members:
        studies[0].replace_core(k, _that_reads_the_belief(subject.trained, k))
    return replace(subject, name="planted", trained=studies[0], untrained=studies[1])


def _that_reads_the_belief(study: TokenStudy, index: int) -> Core:
    """The directions of one model's states by which regression tells the belief, beside each symbol."""
    states = study.states(index, Split.EXTRACTION).flatten(0, 1).double()
    inputs = study.inputs(Split.EXTRACTION)
    belief = torch.from_numpy(study.expect_task(HiddenMarkov).latent(inputs.numpy()))[..., :-1]
    symbols = torch.eye(study.task.vocabulary, dtype=torch.float64)[inputs]
    beside = (belief[..., None] * symbols[..., None, :]).flatten(2)
    core = study.core(index)
    readers = torch.linalg.lstsq(states - core.mean, (beside - beside.mean(dim=(0, 1))).flatten(0, 1)).solution
    return core.with_basis(torch.linalg.qr(readers).Q)


class Tied(nn.Module):
    """A model that gives two symbols one logit: it shows a part of what it knows."""

    def __init__(self, model: SmallTransformer, missing: int) -> None:
        super().__init__()
        self.model, self.missing = model, missing
        self.blocks = nn.ModuleList([nn.Identity()])  # what it knows passes here

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, t, v) logits."""
        states = self.model.tokens(inputs) + self.model.positions.weight[: inputs.shape[1]]
        for block in self.model.blocks:
            states = block(states)
        logits: Tensor = self.model.head(self.blocks[0](states))
        others = [k for k in range(logits.shape[-1]) if k != self.missing]
        shared = logits[..., others].mean(dim=-1, keepdim=True)
        return torch.where(torch.arange(logits.shape[-1]) == self.missing, logits, shared)


def with_tied_outputs(subject: TokenSubject) -> TokenSubject:
    """Each model shows another part of what it knows; cores are those of all of it."""
    studies = []
    for source in (subject.trained, subject.twins()):
        models = [Tied(source.expect_model(k, SmallTransformer), k).eval() for k in range(MODELS)]
        study = TokenStudy(models, source.task, sites="blocks.0", sizes=SMALL)
        for k in study.members:
            study.replace_core(k, small(source).core(k))
        studies.append(study)
    return TokenSubject("planted", INNER, studies[0], studies[1])


class Bypassed(nn.Module):
    """A model with a side path that hardly counts: whatever passes there, the answers are the same."""

    def __init__(self, model: SmallTransformer) -> None:
        super().__init__()
        self.model = model
        self.side = nn.Linear(model.sizes.width, model.sizes.vocabulary)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.side.weight.copy_(1e-4 * torch.randn(self.side.weight.shape, generator=generator))

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, t, v) logits."""
        states = self.model.tokens(inputs) + self.model.positions.weight[: inputs.shape[1]]
        logits: Tensor = self.model(inputs) + self.side(states)
        return logits


def with_a_side_path(subject: TokenSubject) -> TokenSubject:
    """The site lies on a path that hardly counts."""
    studies = [
        TokenStudy(
            [Bypassed(study.expect_model(k, SmallTransformer)).eval() for k in range(MODELS)],
            study.task,
            sites="side",
            sizes=SMALL,
        )
        for study in (subject.trained, subject.twins())
    ]
    return replace(subject, name="planted", trained=studies[0], untrained=studies[1])


def with_large_cores(subject: TokenSubject) -> TokenSubject:
    """Cores of half the state's dimensions: no consensus is five times as large."""
    planted = as_it_is(subject)
    study = planted.trained
    for k in study.members:
        core = study.core(k)
        full = torch.linalg.qr(core.basis, mode="complete").Q
        study.replace_core(k, core.with_basis(full[:, : core.width // 2]))
    return planted
