"""Models of one task at one site each, analysed once: batches, states, cores, coordinates and performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ace.arrays import Array
from ace.core import Core
from ace.errors import ClaimError, Inapplicable, InputError
from ace.extract import Extractor, extract_core, extracted
from ace.model.sites import Site, find_sites, module_site
from ace.model.tail import Edit, Tail, find_tail
from ace.rank import Energy, GivenSpectrum, RankRule, check_rule
from ace.study.checks import as_tensor, checked_chance, checked_scores, drawn_batch, scored_classes, split_sizes
from ace.study.memory import Memory, remembered
from ace.study.replicates import CoreReplicates, resampled_cores
from ace.study.subject import Subject
from ace.tasks.base import Batch, Split, Task, require_disjoint

ENERGY = 0.999  # the published rule of the Markov experiment
DRAW_SEED = 1

Kind = TypeVar("Kind")
Model = TypeVar("Model", bound=nn.Module)


class TokenStudy:
    """Models of one task, each read and edited at one site: batches, states, cores and coordinates, computed once.

    Args:
        models: they share the task and differ in their seed.
        task: gives the disjoint splits, the score and its chance level.
        sites: a module's name in every model, whose input is the state, or one for each; found below the head by
            default.
        rank: rank rule of the cores; 0.999 of the energy by default.
        extractor: stands in for `ace.extract_core`.
        sizes: sequences of some splits; else 1,000, for evaluation 3,000, and of a finite task all that there are.
        memory: where results are kept; one of its own by default.

    Raises:
        SiteError: a model without such a module, or without recognisable blocks where none is named.
        InputError: no models, not as many sites as models, or sizes of something else than splits.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        task: Task,
        *,
        sites: str | Sequence[str] | None = None,
        rank: RankRule | None = None,
        extractor: Extractor = extract_core,
        sizes: Mapping[Split, int] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.models = tuple(models)
        if not self.models:
            raise InputError("models: expected at least one, got none")
        self.task = task
        self.rank = check_rule("rank", Energy(ENERGY) if rank is None else rank)
        self.extractor = extractor
        self.sizes = split_sizes(task, sizes or {})
        self.memory = memory or Memory()
        self.sites: tuple[Site, ...] = _sites(self.models, sites)

    def __len__(self) -> int:
        return len(self.models)

    @property
    def members(self) -> range:
        """Indices of the models."""
        return range(len(self))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """All pairs of models, i < j."""
        return [(i, j) for i in self.members for j in range(i + 1, len(self))]

    @property
    def site(self) -> str:
        """Where the models are read and edited."""
        return " or ".join(dict.fromkeys(map(str, self.sites)))

    def expect_task(self, kind: type[Kind]) -> Kind:
        """The task, known to be of a kind.

        Raises:
            ClaimError: it is of another.
        """
        if not isinstance(self.task, kind):
            raise ClaimError(f"subject: expected a task of kind {kind.__name__}, got {type(self.task).__name__}")
        return self.task

    def expect_model(self, index: int, kind: type[Model]) -> Model:
        """One model, known to be of a kind.

        Raises:
            ClaimError: it is of another.
        """
        model = self.models[index]
        if not isinstance(model, kind):
            raise ClaimError(f"subject: expected models of kind {kind.__name__}, got {type(model).__name__}")
        return model

    @remembered
    def batch(self, split: Split) -> Batch:
        """The sequences of a split, the same for all models.

        Raises:
            InputError: the task gives something else than so many sequences of this split.
        """
        return drawn_batch(self.task, split, self.sizes[split], DRAW_SEED)

    @remembered
    def tail(self, index: int) -> Tail:
        """The part of one model from its site on."""
        return find_tail(self.models[index], self.sites[index], self.inputs(Split.EXTRACTION))

    def inputs(self, split: Split) -> Tensor:
        """(n, ...) what the models read of a split."""
        return as_tensor(self.batch(split).inputs)

    @remembered
    def states(self, index: int, split: Split) -> Tensor:
        """States (n, s, d) of one model at the positions that count for the scored ones."""
        return self.tail(index).states(self.inputs(split), self.batch(split).scored)

    @remembered
    def sensitivities(self, index: int) -> Tensor:
        """(m, d) gradients of the scored outputs with respect to the state: exact below a linear head.

        Of many rows, d stand for all: their Gramian J^T J / m is the same.
        """
        batch = self.batch(Split.EXTRACTION)
        rows = self.tail(index).sensitivities(
            self.inputs(Split.EXTRACTION), batch.scored, centred=self.task.logits, seed=index
        )
        if self.tail(index).head is not None or len(rows) <= rows.shape[1]:
            return rows
        triangle = torch.linalg.qr(rows, mode="r").R
        return triangle * (len(triangle) / len(rows)) ** 0.5

    def core(self, index: int) -> Core:
        """The core of one model, from the extraction split."""
        return self.memory.get(self._core_key(index), lambda: self.core_of(index, Split.EXTRACTION))

    def core_of(self, index: int, split: Split) -> Core:
        """A core of one model from the states of any split."""
        states, read = self.states(index, split).flatten(0, 1), self.sensitivities(index)
        return extracted(self.extractor, states, read, rank=self.rank, labels=lambda: scored_classes(self.batch(split)))

    def _core_key(self, index: int) -> tuple[str, TokenStudy, int]:
        return ("core", self, index)

    def replace_core(self, index: int, core: Core) -> None:
        """Put another subspace of the same site in a core's place, before anything was measured with it.

        Raises:
            ClaimError: coordinates were measured already.
        """
        if self.memory.holds(("coordinates measured", self, index)):
            raise ClaimError(f"core {index}: expected to be replaced before coordinates were measured, came after")
        self.memory.put(self._core_key(index), core)

    @remembered
    def coordinates(self, index: int, split: Split) -> Array:
        """Core coordinates (n, s, r) of one model on a split that its core was not extracted from."""
        require_disjoint(Split.EXTRACTION.value, self.batch(split))
        self.memory.put(("coordinates measured", self, index), value=True)
        return self.core(index).coordinates(self.states(index, split)).numpy()

    def head(self, index: int) -> tuple[Tensor, Tensor]:
        """Weight (v, d) and bias (v) of one model's linear head, float64.

        Raises:
            Inapplicable: more than a linear head follows the site.
        """
        return self.tail(index).linear_map(f"model {index}")

    def performance(self, index: int, edit: Edit | None = None) -> tuple[Array, Array]:
        """Hits and cross-entropy in nats (n, s) on the evaluation split, after an edit of the states (n, s, d)."""
        batch, states = self.batch(Split.EVALUATION), self.states(index, Split.EVALUATION)
        targets = as_tensor(batch.targets)
        hits, losses, place = [], [], 0
        for logits in self.tail(index).outputs(self.inputs(Split.EVALUATION), states, batch.scored, edit):
            wanted = targets[place : place + len(logits)]
            place += len(logits)
            hits.append((logits.argmax(dim=-1) == wanted).double())
            values = logits.double()
            losses.append(values.logsumexp(dim=-1) - values.gather(-1, wanted[..., None])[..., 0])
        return torch.cat(hits).numpy(), torch.cat(losses).numpy()

    def scores(
        self, index: int, edit: Edit | None = None, *, states: Tensor | None = None, limit: int | None = None
    ) -> Array:
        """(n) the task's score of the evaluation sequences, after an edit of the states (n, s, d).

        Args:
            states: in the place of the model's own.
            limit: only so many sequences, the first.

        Raises:
            InputError: the task's score is not one finite number a sequence.
        """
        batch = self.batch(Split.EVALUATION)
        used = self.states(index, Split.EVALUATION) if states is None else states
        inputs, targets = self.inputs(Split.EVALUATION)[:limit], as_tensor(batch.targets)[:limit]
        scores, place = [], 0
        for outputs in self.tail(index).outputs(inputs, used[:limit], batch.scored, edit):
            scores.append(checked_scores(self.task, outputs, targets[place : place + len(outputs)]))
            place += len(outputs)
        return torch.cat(scores).numpy()

    @remembered
    def base_scores(self, index: int) -> Array:
        """(n) scores of the model as it is."""
        return self.scores(index)

    @remembered
    def base(self, index: int) -> tuple[Array, Array]:
        """Hits and cross-entropy (n, s) of the model as it is, on the evaluation split."""
        return self.performance(index)

    @property
    def chance(self) -> Array:
        """(n) per evaluation sequence, the score of the best guess that does not look at the input."""
        return self.memory.get(("chance", self), lambda: checked_chance(self.task, self.batch(Split.EVALUATION)))

    def require_behaviour(self, name: str = "", *indices: int) -> None:
        """Refuse claims about how a task is done to models, all or those given, that perform it no better than chance.

        Raises:
            Inapplicable: a model's score is not above chance by three standard errors.
        """
        for index in indices or self.members:
            above = self.base_scores(index) - self.chance
            if above.mean() <= 3 * standard_error(above):
                raise Inapplicable(
                    f"model {index} lacks the behaviour: score {self.base_scores(index).mean():.4f} is not above chance"
                    f" {self.chance.mean():.4f} by three standard errors"
                )

    @remembered
    def core_replicates(self, index: int) -> CoreReplicates:
        """Bootstrap replicates of a core: extraction sequences resampled in blocks."""
        states = self.states(index, Split.EXTRACTION).double() - self.core(index).mean
        rank = self.core(index).dimension
        return resampled_cores(states, self.sensitivities(index), rank, np.random.default_rng(index))

    def replicate_ranks(self, index: int) -> NDArray[np.float64]:
        """(b) the rank that the study's rule chooses in each replicate."""
        chosen = []
        for sigma in self.core_replicates(index).sigma:
            above = int((sigma > 1e-7 * sigma[0]).sum())  # roots of eigenvalues, whose rounding is 1e-14
            spectrum = GivenSpectrum(sigma, above, lambda draws, generator: sigma[:1])  # noqa: B023
            chosen.append(self.rank.choose(spectrum).value or 0)
        return np.array(chosen, dtype=np.float64)


def _sites(models: Sequence[nn.Module], given: str | Sequence[str] | None) -> tuple[Site, ...]:
    if given is None:
        return tuple(find_sites(model).site(-1) for model in models)
    names = [given] * len(models) if isinstance(given, str) else list(given)
    if len(names) != len(models):
        raise InputError(f"sites: expected one for each of {len(models)} models, got {len(names)}")
    return tuple(module_site(model, name) for model, name in zip(models, names, strict=True))


def standard_error(clusters: Array) -> float:
    """Standard error of the mean of independent clusters (n)."""
    return float(clusters.std(ddof=1) / np.sqrt(len(clusters)))


TokenSubject = Subject[TokenStudy]
