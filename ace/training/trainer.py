"""Train all models of a recipe together, epoch by epoch; stop and go on between any two to the same weights."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ace.check import check_device
from ace.errors import RecipeError
from ace.tasks import Batch, Split
from ace.training.buffer import WeightBuffer
from ace.training.checkpoint import Progress, load_unfinished, save_unfinished
from ace.training.course import Arm, Course
from ace.training.ensemble import DropoutMasks, Weights, initial_weights, mask_values, stacked_logits
from ace.training.groups import GroupOptimiser
from ace.training.recipe import Recipe
from ace.training.result import rounded
from ace.training.score import loss_and_accuracy, mean_losses
from ace.training.seeds import copied, model_seeds
from ace.training.state import EnsembleState, ensemble_state

UNIT = "epoch"


class EnsembleTrainer:
    """The models of a recipe in training: weights, optimiser, generators and curve.

    Past a branch of the recipe's course the ensemble holds every model once in each arm, arm by arm.

    Attributes:
        epoch: how many epochs are done; seconds: how long they took.
        checkpoints: epoch -> copies of the weights (e, ...) that the course keeps, and those of the start.
        curve: points with an entry for each model: epoch, train_loss and test_loss in nats, test_accuracy, and
            train_accuracy where the recipe has a course.

    Raises:
        InputError: a device that torch does not know or see.
        RecipeError: sequences longer than the model's context.
    """

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe = recipe
        self.course = recipe.course or Course()
        self.device = check_device("device", device)
        self.epoch = 0
        self.seconds = 0.0
        self.curve: list[dict[str, Any]] = []
        task, schedule = recipe.build_task(), recipe.schedule
        self._inputs, self._targets = self._tensors(task.draw(Split.TRAINING, schedule.sequences, schedule.data_seed))
        self._test = self._tensors(task.draw(Split.SELECTION, schedule.test_sequences, schedule.data_seed))
        length = self._inputs.shape[1]
        if length > recipe.model.context:
            raise RecipeError(
                f"{recipe.name}.model.context: expected at least the sequences' {length} positions,"
                f" got {recipe.model.context}"
            )
        seeds = [model_seeds(recipe.seed, index) for index in range(recipe.models)]
        starts = [torch.Generator().manual_seed(start) for start, _ in seeds]
        initial = initial_weights(recipe.model, starts, getattr(torch, recipe.dtype))
        self.checkpoints: dict[int, Weights] = {0: initial}
        generators = [torch.Generator(self.device).manual_seed(course) for _, course in seeds]
        self._losses: list[Tensor] = []
        self._settle(initial, generators, self.course.arms_at(0))

    def _settle(self, weights: Weights, generators: Sequence[torch.Generator], arms: Mapping[str, Arm]) -> None:
        """Take up weights (e, ...) and a generator for each model, with an optimiser that is new in each arm."""
        recipe = self.recipe
        self._generators = generators
        self._buffer = WeightBuffer({name: value.to(self.device) for name, value in weights.items()})
        decays = [recipe.optimiser.weight_decay if a.weight_decay is None else a.weight_decay for a in arms.values()]
        groups = [(recipe.models, decay) for decay in decays]
        self._optimiser = GroupOptimiser(self._buffer, recipe.optimiser, groups)
        sequences, dropout = min(recipe.schedule.batch, recipe.schedule.sequences), recipe.model.dropout
        values = mask_values(recipe.model, sequences, self._inputs.shape[1], self._targets.shape[1])
        dtype = self._buffer.rows.dtype
        self._masks = DropoutMasks(len(generators), values, dropout, generators, dtype) if dropout else None

    def _branch(self) -> None:
        """Go on in every arm: the same weights and generators, and where an arm is not fresh the same moments."""
        arms = self.course.arms_at(self.epoch + 1)
        (trunk,) = self._optimiser.moments
        generators = [copied(generator) for _ in arms for generator in self._generators]
        self._settle(_repeated(self.weights, len(arms)), generators, arms)
        copies = [{} if arm.fresh else {name: value.clone() for name, value in trunk.items()} for arm in arms.values()]
        self._optimiser.take_up(copies)

    def _leave(self) -> None:
        """Go on without the arms that have ended; the others keep weights, generators and moments.

        An arm ends at a checkpoint, which is a point of the curve, so that no losses wait for one.
        """
        before, arms = self.course.arms_at(self.epoch), self.course.arms_at(self.epoch + 1)
        models = self.recipe.models
        rows = [place * models + k for place, name in enumerate(before) if name in arms for k in range(models)]
        moments = [values for name, values in zip(before, self._optimiser.moments, strict=True) if name in arms]
        weights = {name: value.detach()[rows].clone() for name, value in self.weights.items()}
        self._settle(weights, [self._generators[row] for row in rows], arms)
        self._optimiser.take_up(moments)

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(batch.inputs).to(self.device), torch.from_numpy(batch.targets).to(self.device)

    @property
    def weights(self) -> Weights:
        """Stacked weights (e, ...) as they are now; views that training changes."""
        return self._buffer.weights

    def copies(self) -> Weights:
        """Copies on the CPU of the weights (e, ...) as they are now."""
        return self._buffer.copies("cpu")

    def kept(self) -> dict[int, Weights]:
        """The checkpoints so far, with the weights (e, ...) as they are now."""
        return {**self.checkpoints, self.epoch: self._checkpoint()}

    def _checkpoint(self) -> Weights:
        """Copies of the weights as they are now, rounded to half precision where the course says so."""
        copies = self.copies()
        return rounded(copies) if self.epoch in self.course.halved else copies

    @property
    def training_data(self) -> tuple[Tensor, Tensor]:
        """Inputs (n, t) and targets (n, s) that every model trains on."""
        return self._inputs, self._targets

    @property
    def done(self) -> int:
        """How many epochs are done."""
        return self.epoch

    @property
    def status(self) -> str:
        """The models' accuracies at the last point of the curve."""
        point = self.curve[-1] if self.curve else {}
        kinds = [kind for kind in ("train", "test") if f"{kind}_accuracy" in point]
        return ", ".join(f"{kind} acc " + " ".join(f"{x:.3f}" for x in point[f"{kind}_accuracy"]) for kind in kinds)

    def advance(self) -> None:
        """Train one epoch; add a point to the curve and a checkpoint where the course has one."""
        started = time.perf_counter()
        if self.epoch == self.course.branch:
            self._branch()
        elif len(self.course.arms_at(self.epoch + 1)) < len(self.course.arms_at(self.epoch)):
            self._leave()
        schedule = self.recipe.schedule
        orders = torch.stack(
            [torch.randperm(schedule.sequences, generator=g, device=self.device) for g in self._generators]
        )
        begins = range(0, schedule.sequences, schedule.batch)
        for step, begin in enumerate(begins):
            picked = orders[:, begin : begin + schedule.batch]
            share = self._rate_share(self.epoch + step / len(begins))
            self._losses.append(self._step(self._inputs[picked], self._targets[picked], share))
        self.epoch += 1
        if self.course.has_point(self.epoch, schedule.epochs):
            self._add_point()
        if self.epoch in self.course.checkpoints:
            self.checkpoints[self.epoch] = self._checkpoint()
        self.seconds += time.perf_counter() - started

    def _rate_share(self, epochs_done: float) -> float:
        """The learning rate, as a share of the recipe's, after so many epochs."""
        return 1.0 if self.recipe.optimiser.decay == "constant" else 1.0 - epochs_done / self.recipe.schedule.epochs

    def _step(self, inputs: Tensor, targets: Tensor, share: float) -> Tensor:
        logits = stacked_logits(self.recipe.model, self.weights, inputs, self._masks, scored=targets.shape[-1])
        loss = mean_losses(logits, targets)
        self._buffer.differentiate(loss.sum())
        self._optimiser.step(share)
        return loss.detach()

    def _add_point(self) -> None:
        sizes, weights = self.recipe.model, self.weights
        loss, accuracy = loss_and_accuracy(sizes, weights, *self._test)
        point = {"epoch": self.epoch, "train_loss": torch.stack(self._losses).mean(dim=0).tolist()}
        if self.recipe.course is not None:
            point["train_accuracy"] = loss_and_accuracy(sizes, weights, *self.training_data)[1].tolist()
        self.curve.append({**point, "test_loss": loss.tolist(), "test_accuracy": accuracy.tolist()})
        self._losses = []

    def save(self, record: Path) -> None:
        """Store everything that `restore` needs, atomically."""
        generators = [generator.get_state() for generator in self._generators]
        state = EnsembleState(self._buffer.rows, self._optimiser.moments, generators, self._losses, self.checkpoints)
        save_unfinished(
            record, state.tensors(self.course), self._identity(), UNIT, Progress(self.epoch, self.seconds, self.curve)
        )

    def restore(self, record: Path) -> None:
        """Go on from a training that `save` stored; what cannot be continued leaves this trainer as it was.

        Raises:
            ArtifactError: corrupt, or of another recipe, device type or version of torch, so that the result could
                differ from an uninterrupted training.
        """
        tensors, progress = load_unfinished(record, self._identity(), UNIT, self.recipe.schedule.epochs)
        shape = self._generators[0].get_state().shape
        state = ensemble_state(record, self.recipe, progress.done, tensors, shape)
        arms = self.course.arms_at(progress.done)
        generators = [torch.Generator(self.device) for _ in state.generators]
        start = {name: state.checkpoints[0][name] for name in self.weights}  # a file keeps no order, the buffer does
        self._settle(_repeated(start, len(arms)), generators, arms)
        with torch.no_grad():
            self._buffer.rows.copy_(state.rows)
        self._optimiser.take_up([{n: v.to(self.device) for n, v in values.items()} for values in state.moments])
        for generator, stored in zip(generators, state.generators, strict=True):
            generator.set_state(stored)
        self._losses = [loss.to(self.device) for loss in state.losses]
        self.checkpoints = state.checkpoints
        self.epoch, self.seconds, self.curve = progress.done, progress.seconds, progress.curve

    def _identity(self) -> dict[str, str]:
        """What the weights at the end depend on, beside the state."""
        return {"recipe": self.recipe.digest, "torch": torch.__version__, "device": self.device.type}


def _repeated(weights: Weights, times: int) -> Weights:
    """All models (e, ...) again and again: (times * e, ...)."""
    return {name: value.detach().repeat(times, *[1] * (value.ndim - 1)) for name, value in weights.items()}
