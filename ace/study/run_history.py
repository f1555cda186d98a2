"""What a training went through: models at its checkpoints, the epochs at which they memorised and generalised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ace.errors import ClaimError, Inapplicable
from ace.extract import Extractor, extract_core, head_sensitivities
from ace.families.markov.kinds import small_model
from ace.linalg import random_frames
from ace.model.intervene import RankScan, rank_scan
from ace.model.sites import find_sites, hooked
from ace.rank import Energy, Full, RankChoice, necessary_rank, sufficient_rank
from ace.study.measurement import Measurement
from ace.study.tokens import Study, Subject
from ace.tasks import ModularAddition
from ace.tasks.base import Batch, require_disjoint
from ace.tasks.modular_addition import HELD_OUT
from ace.training.course import Course
from ace.training.result import TrainedEnsemble
from ace.training.transformer import SmallTransformer

ENERGY = 0.99  # the published rule of this experiment
LEARNT = 0.99  # published threshold of memorisation, on training pairs, and of generalisation, on held-out ones
HALFWAY = 0.5
TOLERANCE = 1e-3  # published, of r_suf


@dataclass(frozen=True)
class Stages:
    """Epochs of one model's training.

    Attributes:
        memorised, generalised: first point of the curve with accuracy .99 on training and on held-out pairs.
        before: last checkpoint on whose held-out pairs fewer than half the answers were right, at least memorised.
        after: first checkpoint from generalisation on.
    """

    memorised: int
    generalised: int
    before: int
    after: int


class History:
    """A training of modular addition with its checkpoints and arms, each analysed once.

    Args:
        ensemble: trained along a course, so that its curve has training accuracies.
        extractor: stands in for `ace.extract.extract_core`.
    """

    def __init__(self, ensemble: TrainedEnsemble, *, extractor: Extractor = extract_core) -> None:
        task = ensemble.recipe.build_task()
        if not isinstance(task, ModularAddition):
            raise ClaimError(f"ensemble: expected modular addition, got {task.name}")
        self.task = task
        self.ensemble = ensemble
        self.course = ensemble.recipe.course or Course()
        self.curve: list[dict[str, list[float]]] = ensemble.provenance["curve"]
        self._extractor = extractor
        self._studies: dict[tuple[tuple[int, ...], str], Study] = {}
        self._scans: dict[tuple[int, str, int], CheckpointScan] = {}

    def __len__(self) -> int:
        return self.ensemble.recipe.models

    @property
    def members(self) -> range:
        """Indices of the models."""
        return range(len(self))

    @property
    def epochs(self) -> list[int]:
        """Epochs of the checkpoints, rising."""
        return sorted(self.ensemble.checkpoints)

    @property
    def last(self) -> int:
        """The last epoch trained."""
        return self.epochs[-1]

    @property
    def branch(self) -> int:
        """The epoch at which the arms part.

        Raises:
            ClaimError: the recipe has no arms.
        """
        if self.course.branch is None:
            raise ClaimError("ensemble: expected a recipe with arms, got one without")
        return self.course.branch

    def accuracy(self, kind: str, index: int, arm: str | None = None) -> list[tuple[int, float]]:
        """(epoch, accuracy) of one model along an arm, the first by default; kind is train or test."""
        found = []
        for point in self.curve:
            epoch = int(point["epoch"])  # type: ignore[call-overload]
            arms = list(self.course.arms_at(epoch))
            place = arms.index(arm) if arm in arms else 0
            found.append((epoch, point[f"{kind}_accuracy"][place * len(self) + index]))
        return found

    def learnt(self, kind: str, index: int) -> int | None:
        """First epoch of the curve at which accuracy reaches .99, or None for "not reached"."""
        return next((epoch for epoch, value in self.accuracy(kind, index) if value >= LEARNT), None)

    def stages(self, index: int) -> Stages:
        """When one model memorised and generalised, and the checkpoints around.

        Raises:
            Inapplicable: it did not generalise, or there is no checkpoint before or after.
        """
        memorised, generalised = (self.learnt(kind, index) for kind in ("train", "test"))
        if memorised is None or generalised is None:
            raise Inapplicable(f"model {index} did not generalise in {self.last} epochs")
        held = dict(self.accuracy("test", index))
        before = [e for e in self.epochs if memorised <= e < generalised and held.get(e, 1.0) < HALFWAY]
        after = [e for e in self.epochs if e >= generalised]
        if not before or not after:
            raise Inapplicable(f"model {index}: no checkpoint between memorisation and generalisation, or none after")
        return Stages(memorised, generalised, before[-1], after[0])

    def study(self, epochs: int | tuple[int, ...], arm: str | None = None) -> Study:
        """The models at one checkpoint, or each at its own, with cores by the published rule."""
        each = (epochs,) * len(self) if isinstance(epochs, int) else epochs
        key = (each, self._arm(max(each), arm))
        if key not in self._studies:
            models = [self.ensemble.models(epoch, arm)[index] for index, epoch in enumerate(each)]
            self._studies[key] = Study(models, self.task, rank=Energy(ENERGY), extractor=self._extractor)
        return self._studies[key]

    def _arm(self, epoch: int, arm: str | None) -> str:
        arms = list(self.course.arms_at(epoch))
        return arm if arm in arms else arms[0]

    def scan(self, epoch: int, index: int, arm: str | None = None) -> CheckpointScan:
        """Keep and remove at every rank at a checkpoint."""
        key = (epoch, self._arm(epoch, arm), index)
        if key not in self._scans:
            model = small_model(self.study(epoch, arm), index)
            self._scans[key] = scan_checkpoint(model, self.task, seed=index, extractor=self._extractor)
        return self._scans[key]

    def necessary(self, epoch: int, index: int, arm: str | None = None) -> RankChoice:
        """r_nec: smallest rank whose removal leaves at most the published 2 / p."""
        return necessary_rank(self.scan(epoch, index, arm).core.remove, 2 / self.task.modulus)

    def sufficient(self, epoch: int, index: int, arm: str | None = None) -> RankChoice:
        """r_suf: smallest rank whose keeping is within the published 1e-3 of the whole model."""
        scan = self.scan(epoch, index, arm).core
        return sufficient_rank(scan.keep, scan.base, TOLERANCE)


@dataclass(frozen=True)
class CheckpointScan:
    """Keep and remove at every rank of one model, on all held-out pairs.

    Attributes:
        core: ranks of the core, 1 to the smallest numerical rank of the cores of the three parts.
        random: ranks of nested random subspaces, 1 to the state's width: the control.
    """

    core: RankScan
    random: RankScan


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch: waking the others for matrices this small takes longer than what they would save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def scan_checkpoint(
    model: SmallTransformer, task: ModularAddition, *, seed: int = 0, extractor: Extractor = extract_core
) -> CheckpointScan:
    """Scan a model on all held-out pairs, each part of them with a core extracted from another part.

    A rank at which a curve first crosses a bound is as uncertain as the curve: so all pairs count, and none is judged
    by a core that saw it. The model runs once, on the last position alone.

    Args:
        seed: chooses the random subspaces.
    """
    batches, parts = held_out_states(model, task)
    weight, bias = model.head.weight.detach(), model.head.bias.detach()
    sensitivities = head_sensitivities(weight)
    scans: dict[str, list[RankScan]] = {"core": [], "random": []}
    for place, part in enumerate(parts):
        core = extractor(part, sensitivities, rank=Full())
        random = core.with_basis(random_frames(core.width, core.width, 1, torch.Generator().manual_seed(seed))[0])
        judged = batches[place - 1]  # evaluation, for a core from extraction
        require_disjoint(batches[place].split.value, judged)
        targets = torch.from_numpy(judged.targets)[:, -1]
        for name, basis in (("core", core), ("random", random)):
            scans[name].append(rank_scan(parts[place - 1], targets, weight, bias, basis))
    return CheckpointScan(_pooled(scans["core"]), _pooled(scans["random"]))


def _pooled(scans: Sequence[RankScan]) -> RankScan:
    """Scans of different samples as one, up to the smallest number of ranks."""
    ranks = min(len(scan.keep_hits) for scan in scans)
    return RankScan(
        torch.cat([scan.base_hits for scan in scans]),
        torch.cat([scan.keep_hits[:ranks] for scan in scans], dim=1),
        torch.cat([scan.remove_hits[:ranks] for scan in scans], dim=1),
    )


def held_out_states(model: SmallTransformer, task: ModularAddition) -> tuple[list[Batch], tuple[Tensor, ...]]:
    """All pairs of each held-out split, and their states (n, d) below the head at the last position."""
    batches = [task.draw(split, task.size(split)) for split in HELD_OUT]
    states = last_states(model, torch.from_numpy(np.concatenate([batch.inputs for batch in batches])))
    return batches, states.split([len(batch.inputs) for batch in batches])


@torch.no_grad()
def last_states(model: SmallTransformer, inputs: Tensor) -> Tensor:
    """(n, d) states below the head at the last position of token ids (n, t), t >= 2.

    What comes before the last position is computed once for all sequences that share it.
    """
    before = inputs[:, :-1]
    if before.shape[1] == 1:
        rows, place = torch.unique(before, return_inverse=True)  # far faster than by rows
        prefixes, place = rows[:, None], place[:, 0]
    else:
        prefixes, place = torch.unique(before, dim=0, return_inverse=True)
    past = model.new_cache()
    for position in range(prefixes.shape[1]):
        model(prefixes[:, position : position + 1], past)
    found: list[Tensor] = []
    with hooked(model, find_sites(model).site(-1), found.append):
        model(inputs[:, -1:], [part.taken(place) for part in past])
    return found[0][:, 0]


def resampled_accuracy(hits: Tensor, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(b, r) accuracy at each rank, hits (r, n), of samples drawn counts (b, n) times."""
    return np.asarray(counts @ hits.double().numpy().T / counts.sum(axis=1, keepdims=True))


Measure = Callable[[Subject], Measurement]


def with_progress(measures: Mapping[str, Measure]) -> Mapping[str, Measure]:
    """The measures, with how far the training went, and was to go, among their details as `trained`."""

    def progressing(measure: Measure) -> Measure:
        def measured(subject: Subject) -> Measurement:
            history, found = history_of(subject), measure(subject)
            epochs = {"epochs": history.last, "of": history.ensemble.recipe.schedule.epochs}
            return replace(found, details={**found.details, "trained": epochs})

        return measured

    return MappingProxyType({claim: progressing(measure) for claim, measure in measures.items()})


@dataclass(frozen=True, eq=False)
class GrokkingSubject(Subject):
    """A subject with its training's history; `trained` are the models at their first checkpoints after grokking."""

    history: History | None = None


def grokking_subject(name: str, history: History, rerun: str = "") -> GrokkingSubject:
    """The subject of a training's claims: each model at its first checkpoint after grokking, and what it was before.

    Raises:
        ClaimError: some model did not memorise.
        Inapplicable: some model did not generalise.
    """
    memorised = [history.learnt("train", k) for k in history.members]
    later = [e for e in history.epochs if all(learnt is not None and e >= learnt for learnt in memorised)]
    if not later:
        raise ClaimError(f"subject {name}: expected models that memorise in {history.last} epochs, got {memorised}")
    return GrokkingSubject(
        name,
        history.study(tuple(history.stages(k).after for k in history.members)),
        history.study(0),
        {"memorised": history.study(later[0])},
        rerun,
        history,
    )


def history_of(subject: Subject) -> History:
    """The history of a subject's training, or `ClaimError`."""
    if not isinstance(subject, GrokkingSubject) or subject.history is None:
        raise ClaimError(f"subject {subject.name}: expected the history of a training, got none")
    return subject.history
