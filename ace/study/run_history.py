"""The history of a training: models at its checkpoints, and the epochs at which they memorised and generalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ace.check import check_choice
from ace.errors import ClaimError, Inapplicable
from ace.extract import Extractor, extract_core
from ace.rank import Energy, RankRule
from ace.study.memory import Memory, remembered
from ace.study.tokens import TokenStudy
from ace.tasks.base import Task
from ace.training.course import Course
from ace.training.result import TrainedEnsemble

ENERGY = 0.99  # the published rule of the modular-addition experiment
LEARNT = 0.99  # published threshold of memorisation, on training pairs, and of generalisation, on held-out ones
HALFWAY = 0.5


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


class RunHistory:
    """A training with its checkpoints and arms, each checkpoint analysed once.

    Args:
        ensemble: trained along a course, so that its curve has training accuracies.
        extractor: stands in for `ace.extract_core`.
        rank: rank rule of the cores at every checkpoint.
        memory: where results are kept; one of its own by default.

    Raises:
        ClaimError: a curve without training accuracies.
    """

    def __init__(
        self,
        ensemble: TrainedEnsemble,
        *,
        extractor: Extractor = extract_core,
        rank: RankRule | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.task: Task = ensemble.recipe.build_task()
        self.ensemble = ensemble
        self.course = ensemble.recipe.course or Course()
        self.curve: list[dict[str, list[float]]] = ensemble.provenance["curve"]
        if not all("train_accuracy" in point for point in self.curve):
            name = ensemble.recipe.name
            raise ClaimError(f"ensemble: expected a curve with training accuracies, got {name} without a course")
        self.extractor = extractor
        self.memory = memory or Memory()
        self._rank = rank or Energy(ENERGY)

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

    def epochs_of(self, arm: str) -> list[int]:
        """Epochs of the checkpoints of one arm, with those of its trunk.

        Raises:
            Inapplicable: no such arm.
        """
        self._require_arm(arm)
        return [epoch for epoch in self.epochs if self.course.has_arm(arm, epoch)]

    @property
    def last(self) -> int:
        """The last epoch trained."""
        return self.epochs[-1]

    def last_of(self, arm: str) -> int:
        """The last epoch trained of one arm.

        Raises:
            Inapplicable: no such arm.
        """
        return self.epochs_of(arm)[-1]

    @property
    def branch(self) -> int:
        """The epoch at which the arms part.

        Raises:
            Inapplicable: the recipe has no arms.
        """
        if self.course.branch is None:
            raise Inapplicable(f"the training of {self.ensemble.recipe.name} has no arms to be compared")
        return self.course.branch

    @remembered
    def accuracy(self, kind: str, index: int, arm: str | None = None) -> list[tuple[int, float]]:
        """(epoch, accuracy) of one model along an arm, the first by default; kind is train or test.

        Raises:
            InputError: another kind.
            Inapplicable: no such arm, or one that ends before the curve does.
        """
        check_choice("kind", kind, ("train", "test"))
        curve = []
        for point in self.curve:
            epoch = int(point["epoch"])  # type: ignore[call-overload]
            place = list(self.course.arms_at(epoch)).index(self.arm_at(epoch, arm))
            curve.append((epoch, point[f"{kind}_accuracy"][place * len(self) + index]))
        return curve

    def learnt(self, kind: str, index: int) -> int | None:
        """First epoch of the curve at which accuracy reaches .99, or None for "not reached"."""
        return next((epoch for epoch, value in self.accuracy(kind, index) if value >= LEARNT), None)

    @remembered
    def stages(self, index: int) -> Stages:
        """The epochs at which one model memorised and generalised, and the checkpoints before and after that.

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

    def require_generalised(self) -> None:
        """Refuse claims about the mechanism by which models generalised where one of them did not.

        Raises:
            Inapplicable: some model did not, or has no checkpoint around it.
        """
        for index in self.members:
            self.stages(index)

    @property
    def progress(self) -> Mapping[str, Any]:
        """How many epochs were trained, and of how many."""
        return {"epochs": self.last, "of": self.ensemble.recipe.schedule.epochs}

    def study(self, epochs: int | tuple[int, ...], arm: str | None = None) -> TokenStudy:
        """The models at one checkpoint, or each at its own, with cores by the history's rank rule.

        Raises:
            ArtifactError: no such checkpoint.
            Inapplicable: no such arm.
        """
        each = (epochs,) * len(self) if isinstance(epochs, int) else epochs
        return self._study(each, self.arm_at(max(each), arm))

    @remembered
    def _study(self, epochs: tuple[int, ...], arm: str) -> TokenStudy:
        at = {epoch: self.ensemble.models(epoch, arm or None) for epoch in set(epochs)}
        models = [at[epoch][index] for index, epoch in enumerate(epochs)]
        return TokenStudy(models, self.task, rank=self._rank, extractor=self.extractor, memory=self.memory)

    def arm_at(self, epoch: int, arm: str | None) -> str:
        """The arm of that name, the first by default; before the branch the trunk of all arms, "".

        Raises:
            Inapplicable: the training has no such arm, before the branch or after it, or it has ended before.
        """
        arms = list(self.course.arms_at(epoch))
        if not arm:
            return arms[0]
        self._require_arm(arm)
        if not self.course.has_arm(arm, epoch):
            raise Inapplicable(f"arm {arm!r} of {self.ensemble.recipe.name} ends before epoch {epoch}")
        return arm if arm in arms else arms[0]

    def _require_arm(self, arm: str) -> None:
        if arm not in self.course.arms:
            had = ", ".join(self.course.arms) or "none"
            raise Inapplicable(f"the training of {self.ensemble.recipe.name} has no arm {arm!r}; it has {had}")
