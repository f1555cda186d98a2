"""Subjects of claims: an ensemble with its task, analysed once, and the untrained twins it is held against."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ace.core import Core
from ace.errors import ClaimError, Inapplicable
from ace.extract import Extractor, extract_core, head_sensitivities
from ace.model.observe import states_at
from ace.model.sites import Site, find_sites, head_of
from ace.rank import Energy, GivenSpectrum, RankRule
from ace.stats import Array
from ace.study.memory import SHARED
from ace.tasks.base import Batch, Split, Task, require_disjoint

ENERGY = 0.999  # the published rule of the Markov experiment
SIZES = {Split.EXTRACTION: 1000, Split.SELECTION: 1000, Split.EVALUATION: 3000}  # 3,000 as published
DRAW_SEED = 1
BLOCKS = 100
REPLICATES = 200


@dataclass(frozen=True)
class CoreReplicates:
    """Bootstrap replicates of a core.

    Attributes:
        sigma: (b, k) Hankel singular values.
        bases: (b, d, r) orthonormal bases of the core's own rank, so that subspaces compare.
    """

    sigma: Tensor
    bases: Tensor


class Study:
    """Models of one task at the site below the head: batches, states, cores and coordinates, each computed once.

    Args:
        models: they share the task and differ in their seed.
        task: gives the disjoint splits.
        rank: rank rule of the cores.
        extractor: stands in for `ace.extract.extract_core`.
        sizes: sequences of each split; of a finite task all are taken.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        task: Task,
        *,
        rank: RankRule | None = None,
        extractor: Extractor = extract_core,
        sizes: Mapping[Split, int] | None = None,
    ) -> None:
        self.models = tuple(models)
        self.task = task
        self.rank = rank or Energy(ENERGY)
        self.extractor = extractor
        self.sizes = {split: task.size(split) or size for split, size in (sizes or SIZES).items()}
        self.sites: tuple[Site, ...] = tuple(find_sites(model).site(-1) for model in self.models)
        self._batches: dict[Split, Batch] = {}
        self._cores: dict[int, Core] = {}
        self._coordinates: dict[tuple[int, Split], Array] = {}
        self._replicates: dict[int, CoreReplicates] = {}

    def __len__(self) -> int:
        return len(self.models)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """All pairs of models, i < j."""
        return [(i, j) for i in range(len(self)) for j in range(i + 1, len(self))]

    def batch(self, split: Split) -> Batch:
        """The sequences of a split, the same for all models."""
        if split not in self._batches:
            self._batches[split] = self.task.draw(split, self.sizes[split], DRAW_SEED)
        return self._batches[split]

    def states(self, index: int, split: Split) -> Tensor:
        """States (n, s, d) of one model at the scored positions of a split."""

        def compute() -> Tensor:
            inputs = torch.from_numpy(self.batch(split).inputs)
            scored = self.batch(split).scored
            return states_at(self.models[index], inputs, self.sites[index])[:, -scored:].contiguous()

        return SHARED.get((self, index, split), compute)

    def core(self, index: int) -> Core:
        """The core of one model, from the extraction split and the exact Jacobian of its linear head."""
        if index not in self._cores:
            states = self.states(index, Split.EXTRACTION).flatten(0, 1)
            sensitivities = head_sensitivities(head_of(self.models[index]).weight)
            self._cores[index] = self.extractor(states, sensitivities, rank=self.rank)
        return self._cores[index]

    def replace_core(self, index: int, core: Core) -> None:
        """Put another subspace of the same site in a core's place, before anything was measured with it."""
        if (index, Split.SELECTION) in self._coordinates or (index, Split.EVALUATION) in self._coordinates:
            raise ClaimError(f"core {index}: expected to be replaced before coordinates were measured, came after")
        self._cores[index] = core

    def coordinates(self, index: int, split: Split) -> Array:
        """Core coordinates (n, t, r) of one model on a split that its core was not extracted from."""
        key = (index, split)
        if key not in self._coordinates:
            require_disjoint(Split.EXTRACTION.value, self.batch(split))
            self._coordinates[key] = self.core(index).coordinates(self.states(index, split)).numpy()
        return self._coordinates[key]

    def head(self, index: int) -> tuple[Tensor, Tensor]:
        """Weight (v, d) and bias (v) of one model's head, float64."""
        head = head_of(self.models[index])
        bias = head.bias if head.bias is not None else torch.zeros(head.out_features)
        return head.weight.detach().double(), bias.detach().double()

    def performance(self, index: int, edit: Callable[[Tensor], Tensor] | None = None) -> tuple[Array, Array]:
        """Hits and cross-entropy in nats (n, t) on the evaluation split, after an edit of the states (n, t, d)."""
        states = self.states(index, Split.EVALUATION)
        head = head_of(self.models[index])
        targets = torch.from_numpy(self.batch(Split.EVALUATION).targets)
        hits, losses = [], []
        with torch.no_grad():
            for part, wanted in zip(states.split(500), targets.split(500), strict=True):
                logits = head(edit(part) if edit else part)
                hits.append((logits.argmax(dim=-1) == wanted).double())
                losses.append(-logits.double().log_softmax(dim=-1).gather(-1, wanted[..., None])[..., 0])
        return torch.cat(hits).numpy(), torch.cat(losses).numpy()

    def base(self, index: int) -> tuple[Array, Array]:
        """Hits and cross-entropy (n, t) of the model as it is, on the evaluation split."""
        if index not in self._base:
            self._base[index] = self.performance(index)
        return self._base[index]

    @cached_property
    def _base(self) -> dict[int, tuple[Array, Array]]:
        return {}

    @cached_property
    def chance(self) -> NDArray[np.float64]:
        """(n) per evaluation sequence, how often the best constant guess is right. Best: over the evaluation split."""
        targets = self.batch(Split.EVALUATION).targets
        best = np.bincount(targets.ravel()).argmax()
        return np.asarray((targets == best).mean(axis=1), dtype=np.float64)

    @property
    def chance_error(self) -> float:
        """Standard error, by sequence, of the constant guess's accuracy."""
        return standard_error(self.chance)

    def require_behaviour(self, *indices: int) -> None:
        """Refuse claims about how models, all or those given, do a task that they do not do.

        Raises:
            Inapplicable: a model's accuracy is not above chance by three standard errors.
        """
        for index in indices or range(len(self)):
            above = self.base(index)[0].mean(axis=1) - self.chance
            if above.mean() <= 3 * standard_error(above):
                raise Inapplicable(
                    f"model {index} lacks the behaviour: accuracy {self.base(index)[0].mean():.4f} is not above chance"
                    f" {self.chance.mean():.4f} by three standard errors"
                )

    def core_replicates(self, index: int) -> CoreReplicates:
        """Bootstrap replicates of a core: extraction sequences resampled in blocks, through block Gramians.

        Gramians square the condition number; that is of no account in replicates, and turns all draws into products.
        """
        if index not in self._replicates:
            states = self.states(index, Split.EXTRACTION).double() - self.core(index).mean
            sensitivities = head_sensitivities(head_of(self.models[index]).weight)
            rank = self.core(index).dimension
            self._replicates[index] = resampled_cores(states, sensitivities, rank, np.random.default_rng(index))
        return self._replicates[index]

    def replicate_ranks(self, index: int) -> NDArray[np.float64]:
        """(b) the rank that the study's rule chooses in each replicate."""
        chosen = []
        for sigma in self.core_replicates(index).sigma:
            spectrum = GivenSpectrum(sigma, int((sigma > 1e-12 * sigma[0]).sum()), lambda draws, generator: sigma[:1])  # noqa: B023
            chosen.append(self.rank.choose(spectrum).value or 0)
        return np.array(chosen, dtype=np.float64)


def resampled_cores(
    states: Tensor, sensitivities: Tensor, rank: int, rng: np.random.Generator, draws: int = REPLICATES
) -> CoreReplicates:
    """Cores of sequences drawn with replacement, in blocks: states (n, t, d) float64, sensitivities (m, d)."""
    blocks = [part.flatten(0, 1) for part in states.tensor_split(min(BLOCKS, len(states)))]
    rows = torch.tensor([float(len(block)) for block in blocks], dtype=torch.float64)
    sums = torch.stack([block.sum(dim=0) for block in blocks])
    grams = torch.stack([block.T @ block for block in blocks])
    counts = torch.from_numpy(rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), draws)).double()
    total = counts @ rows  # (b)
    mean = counts @ sums / total[:, None]
    gram = torch.tensordot(counts, grams, dims=1) - total[:, None, None] * mean[:, :, None] * mean[:, None, :]
    # A B^T = U S V^T gives B C B^T = V S^2 V^T, and A^T U is C B^T V but for lengths: only (m, m) is decomposed.
    reach = gram @ sensitivities.T  # (b, d, m)
    values, vectors = torch.linalg.eigh(sensitivities @ reach)
    sigma = values.flip(1).clamp_min(0.0).sqrt()
    directions = reach @ vectors.flip(2)[:, :, :rank]
    bases = torch.linalg.qr(directions / directions.norm(dim=1, keepdim=True)).Q
    return CoreReplicates(sigma / ((total[:, None] - 1) * len(sensitivities)).sqrt(), bases)


def standard_error(clusters: Array) -> float:
    """Standard error of the mean of independent clusters (n)."""
    return float(clusters.std(ddof=1) / np.sqrt(len(clusters)))


class ClaimSubject(Hashable, Protocol):
    """What any claim needs of that which it speaks about."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def site(self) -> str: ...  # noqa: D102

    def require_behaviour(self) -> None:
        """Raise `Inapplicable` where the claims' precondition is not met."""
        ...

    def command(self, claim: str) -> str:
        """The command that reruns one claim on this subject."""
        ...


@dataclass(frozen=True, eq=False)
class Subject:
    """What a claim speaks about. Compared by identity, so that what was measured on it can be remembered.

    Attributes:
        name: shown in tables, such as "markov-paper".
        trained, untrained: the ensemble and its twins at initialisation, on the same task.
        companions: other studies that serve as controls, by name.
        rerun: the command that reruns one of its claims, with `{claim}` in the claim's place.
    """

    name: str
    trained: Study
    untrained: Study
    companions: Mapping[str, Study] = field(default_factory=dict)
    rerun: str = ""

    @property
    def site(self) -> str:
        """Where the trained models are read and edited."""
        return str(self.trained.sites[0])

    def require_behaviour(self) -> None:
        """Refuse claims about how models do a task that they do not do.

        Raises:
            Inapplicable: see `Study.require_behaviour`.
        """
        self.trained.require_behaviour()

    def command(self, claim: str) -> str:
        """The command that reruns one claim on this subject."""
        return self.rerun.format(claim=claim)

    def companion(self, name: str) -> Study:
        """A companion study.

        Raises:
            ClaimError: the subject has none of that name.
        """
        if name not in self.companions:
            raise ClaimError(f"subject {self.name}: expected a companion {name!r}, got {sorted(self.companions)}")
        return self.companions[name]
