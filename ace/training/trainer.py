"""Train a recipe's ensemble; stop and resume at any epoch to the same weights."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from ace.check import check_count
from ace.errors import ArtifactError, InputError, RecipeError
from ace.files import load_artifact, save_artifact
from ace.tasks import Batch, Split
from ace.training.buffer import WeightBuffer
from ace.training.course import Arm, Course
from ace.training.ensemble import DropoutMasks, Weights, initial_weights, mask_values, stacked_logits
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, checkpoints_of, tensors_of

PARTIAL_SECONDS = 10.0
PARTIAL_SHARE = 20  # storing an unfinished training takes at most one part in so many of its time
MOMENTS = ("exp_avg", "exp_avg_sq")


class EnsembleTrainer:
    """The state of a training: weights, optimiser moments, generators, curve. Advances one epoch at a time.

    Past a branch of the recipe's course the ensemble holds every model once in each arm, arm by arm.

    Attributes:
        checkpoints: epoch -> copies of the weights (e, ...) that the course keeps, and those of the start.
        curve: points with an entry for each model; see `Course.evaluate`.

    Raises:
        InputError: a device that torch does not know or see.
        RecipeError: sequences longer than the model's context.
    """

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe = recipe
        self.course = recipe.course or Course()
        self.device = _device(device)
        self.epoch = 0
        self.seconds = 0.0
        self.curve: list[dict[str, Any]] = []
        task = recipe.build_task()
        schedule = recipe.schedule
        training = task.draw(Split.TRAINING, schedule.sequences, schedule.data_seed)
        self._inputs, self._targets = self._tensors(training)
        if self._inputs.shape[1] > recipe.model.context:
            raise RecipeError(
                f"{recipe.name}.model.context: expected at least the sequences' {self._inputs.shape[1]} positions,"
                f" got {recipe.model.context}"
            )
        self._test = self._tensors(task.draw(Split.SELECTION, schedule.test_sequences, schedule.data_seed))
        seeds = [np.random.SeedSequence(recipe.seed, spawn_key=(k,)).generate_state(2) for k in range(recipe.models)]
        starts = [torch.Generator().manual_seed(int(pair[0])) for pair in seeds]
        initial = initial_weights(recipe.model, starts, getattr(torch, recipe.dtype))
        self.checkpoints: dict[int, Weights] = {0: initial}
        generators = [torch.Generator(self.device).manual_seed(int(pair[1])) for pair in seeds]
        self._losses: list[Tensor] = []
        self._settle(
            {name: value.to(self.device) for name, value in initial.items()}, generators, self.course.arms_at(0)
        )

    def _settle(self, weights: Weights, generators: list[torch.Generator], arms: Mapping[str, Arm]) -> None:
        """Take up weights (e, ...) and a generator for each model, with optimiser settings for each arm."""
        recipe, optimiser = self.recipe, self.recipe.optimiser
        self._generators = generators
        self._buffer = WeightBuffer({name: value.to(self.device) for name, value in weights.items()})
        groups = []
        parts = (buffer.split(recipe.models) for buffer in (self._buffer.rows, self._buffer.gradients))
        for arm, rows, slopes in zip(arms.values(), *parts, strict=True):
            rows.grad = slopes
            decay = optimiser.weight_decay if arm.weight_decay is None else arm.weight_decay
            groups.append({"params": [rows], "weight_decay": decay})
        self._optimiser = torch.optim.AdamW(
            groups,
            lr=optimiser.learning_rate,
            betas=(optimiser.beta1, optimiser.beta2),
            eps=optimiser.epsilon,
            fused=True,
        )
        sequences, dropout = min(recipe.schedule.batch, recipe.schedule.sequences), recipe.model.dropout
        values = mask_values(recipe.model, sequences, self._inputs.shape[1], self._targets.shape[1])
        dtype = self._buffer.rows.dtype
        self._masks = DropoutMasks(len(generators), values, dropout, generators, dtype) if dropout else None

    def _branch(self) -> None:
        """Go on in every arm: the same weights and generators, and where an arm is not fresh the same moments."""
        arms = self.course.arms_at(self.epoch + 1)
        (trunk,) = self._states()
        generators = [_copied(generator) for _ in arms for generator in self._generators]
        self._settle(_repeated(self.weights, len(arms)), generators, arms)
        self._set_states([{} if arm.fresh else {n: v.clone() for n, v in trunk.items()} for arm in arms.values()])

    def _states(self) -> list[dict[str, Tensor]]:
        """The optimiser's state of each arm: none before its first step."""
        return [dict(self._optimiser.state.get(group["params"][0], {})) for group in self._optimiser.param_groups]

    def _set_states(self, states: list[dict[str, Tensor]]) -> None:
        self._optimiser.state.clear()
        for group, state in zip(self._optimiser.param_groups, states, strict=True):
            if state:
                self._optimiser.state[group["params"][0]] = state

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(batch.inputs).to(self.device), torch.from_numpy(batch.targets).to(self.device)

    @property
    def weights(self) -> Weights:
        """Stacked weights (e, ...) as they are now; views that training changes."""
        return self._buffer.weights

    def copies(self) -> Weights:
        """Copies on the CPU of the weights (e, ...) as they are now."""
        return self._buffer.copies("cpu")

    @property
    def training_data(self) -> tuple[Tensor, Tensor]:
        """Inputs (n, t) and targets (n, s) that every model trains on."""
        return self._inputs, self._targets

    def advance(self) -> None:
        """Train one epoch; add a point to the curve and a checkpoint where the course has one."""
        started = time.perf_counter()
        if self.epoch == self.course.branch:
            self._branch()
        schedule = self.recipe.schedule
        orders = torch.stack(
            [torch.randperm(schedule.sequences, generator=g, device=self.device) for g in self._generators]
        )
        begins = range(0, schedule.sequences, schedule.batch)
        for step, begin in enumerate(begins):
            self._set_rate(self.epoch + step / len(begins))
            picked = orders[:, begin : begin + schedule.batch]
            self._losses.append(self._step(self._inputs[picked], self._targets[picked]))
        self.epoch += 1
        if self.course.has_point(self.epoch, schedule.epochs):
            self._add_point()
        if self.epoch in self.course.checkpoints:
            self.checkpoints[self.epoch] = self.copies()
        self.seconds += time.perf_counter() - started

    def _set_rate(self, epochs_done: float) -> None:
        optimiser = self.recipe.optimiser
        left = 1.0 if optimiser.decay == "constant" else 1.0 - epochs_done / self.recipe.schedule.epochs
        for group in self._optimiser.param_groups:
            group["lr"] = optimiser.learning_rate * left

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = stacked_logits(self.recipe.model, self.weights, inputs, self._masks, scored=targets.shape[-1])
        loss = _losses(logits, targets)
        self._buffer.differentiate(loss.sum())
        self._optimiser.step()
        return loss.detach()

    def _add_point(self) -> None:
        loss, accuracy = self._evaluate(*self._test)
        point = {"epoch": self.epoch, "train_loss": torch.stack(self._losses).mean(dim=0).tolist()}
        if self.recipe.course is not None:
            point["train_accuracy"] = self._evaluate(*self.training_data)[1].tolist()
        self.curve.append({**point, "test_loss": loss.tolist(), "test_accuracy": accuracy.tolist()})
        self._losses = []

    @torch.no_grad()
    def _evaluate(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(e) cross-entropy and accuracy without dropout."""
        logits = stacked_logits(self.recipe.model, self.weights, inputs, scored=targets.shape[-1])
        hits = logits.argmax(dim=-1) == targets
        return _losses(logits, targets.expand(len(logits), -1, -1)), hits.float().mean(dim=(1, 2))

    def save(self, record: Path) -> None:
        """Store everything that `restore` needs, atomically."""
        tensors = {"weights": self._buffer.rows}
        for arm, state in enumerate(self._states()):
            tensors |= {f"arm{arm}/{name}": value for name, value in state.items()}
        for index, generator in enumerate(self._generators):
            tensors[f"generator/{index}"] = generator.get_state()
        if self._losses:
            tensors["losses"] = torch.stack(self._losses)
        tensors |= {f"checkpoint/{name}": value for name, value in tensors_of(self.checkpoints).items()}
        progress = {"epoch": self.epoch, "seconds": self.seconds, "curve": self.curve}
        save_artifact(record, tensors, self._identity() | progress)

    def restore(self, record: Path) -> None:
        """Continue a training that `save` stored.

        Raises:
            ArtifactError: corrupt, or of another recipe, device type or version of torch, so that the result could
                differ from an uninterrupted training.
        """
        tensors, stored = load_artifact(record)
        for key, value in self._identity().items():
            if stored.get(key) != value:
                raise ArtifactError(f"{record}: expected {key} {value!r}, got {stored.get(key)!r}")
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            parts.setdefault(kind, {})[rest] = tensor
        self.checkpoints = checkpoints_of(record, self.recipe, parts.pop("checkpoint", {}))
        if 0 not in self.checkpoints:
            raise ArtifactError(f"{record}: expected an unfinished training, got no weights of its start")
        losses = parts.pop("losses", {}).get("")
        self.epoch, self.seconds, self.curve = stored["epoch"], stored["seconds"], stored["curve"]
        # The weights stand for the arms of the epoch that they were saved after; a branch is taken by the next one.
        arms = self.course.arms_at(self.epoch)
        generators = [torch.Generator(self.device) for _ in range(self.recipe.models * len(arms))]
        start = {name: self.checkpoints[0][name] for name in self.weights}  # a file keeps no order, the buffer does
        self._settle(_repeated(start, len(arms)), generators, arms)
        self._require_shapes(record, parts, len(arms))
        with torch.no_grad():
            self._buffer.rows.copy_(parts["weights"][""])
        self._set_states(
            [{n: v.to(self.device) for n, v in parts.get(f"arm{k}", {}).items()} for k in range(len(arms))]
        )
        for index, generator in enumerate(self._generators):
            generator.set_state(parts["generator"][str(index)])
        self._losses = [] if losses is None else list(losses.to(self.device))

    def _require_shapes(self, record: Path, parts: Mapping[str, Mapping[str, Tensor]], arms: int) -> None:
        shape = self._buffer.rows.shape
        moments = {"step": torch.Size(), **dict.fromkeys(MOMENTS, torch.Size((self.recipe.models, shape[1])))}
        expected: dict[str, dict[str, torch.Size]] = {"weights": {"": shape}}
        expected["generator"] = {str(k): g.get_state().shape for k, g in enumerate(self._generators)}
        if self.epoch:
            expected |= {f"arm{k}": moments for k in range(arms)}
        found = {kind: {name: value.shape for name, value in part.items()} for kind, part in parts.items()}
        if found != expected:
            raise ArtifactError(f"{record}: expected an unfinished training, got other tensors")

    def _identity(self) -> dict[str, str]:
        return {"recipe": self.recipe.digest, "torch": torch.__version__, "device": self.device.type}


def train(
    recipe: Recipe,
    *,
    device: str = "cpu",
    partial: Path | None = None,
    progress: bool = False,
    until: int | None = None,
) -> TrainedEnsemble:
    """Train a recipe to its end, or to an epoch before it.

    Args:
        device: "cpu" or a CUDA device.
        partial: record to store an unfinished training in, every few seconds, and to resume from. It outlives this
            call: who stores the result removes it afterwards, so that no moment exists at which a crash loses both.
        progress: True shows a progress bar with accuracies on the terminal.
        until: last epoch trained; the recipe's by default. What is trained is the same up to there.

    Raises:
        InputError, RecipeError: as `EnsembleTrainer`; InputError for an epoch outside the recipe.
    """
    last = recipe.schedule.epochs if until is None else check_count("until", until)
    if last > recipe.schedule.epochs:
        raise InputError(f"until: expected at most the recipe's {recipe.schedule.epochs} epochs, got {until}")
    trainer = EnsembleTrainer(recipe, device)
    resumed = 0
    if partial is not None and partial.exists():
        try:
            trainer.restore(partial)
            resumed = trainer.epoch
        except ArtifactError:
            # An unfinished training that cannot be continued to the same weights is worth nothing: start anew.
            trainer = EnsembleTrainer(recipe, device)
    stored, wait = time.perf_counter(), PARTIAL_SECONDS
    with tqdm(total=last, initial=trainer.epoch, desc=recipe.name, unit="epoch", disable=not progress) as bar:
        while trainer.epoch < last:
            trainer.advance()
            bar.update()
            if trainer.curve and trainer.curve[-1]["epoch"] == trainer.epoch:
                bar.set_postfix_str(_accuracies(trainer.curve[-1]))
            if partial is not None and time.perf_counter() - stored > wait:
                begun = time.perf_counter()
                trainer.save(partial)
                stored = time.perf_counter()
                wait = max(PARTIAL_SECONDS, PARTIAL_SHARE * (stored - begun))
    if partial is not None and trainer.epoch > resumed:
        trainer.save(partial)  # until the result is stored, or for who wants more epochs
    kept = {**trainer.checkpoints, trainer.epoch: trainer.copies()}
    return TrainedEnsemble(recipe, kept, _provenance(recipe, trainer, resumed))


def _provenance(recipe: Recipe, trainer: EnsembleTrainer, resumed: int) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "recipe": recipe.digest,
        "entries": recipe.entries(),
        "versions": {name: version(name) for name in ("torch", "numpy", "ace-invariants")},
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "epochs": trainer.epoch,
        "seconds": round(trainer.seconds, 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resumed_from_epoch": resumed,
        "curve": trainer.curve,
    }


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device: expected cpu or a CUDA device, got {name!r}") from error
    seen = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= seen):
        raise InputError(f"device: expected cpu or one of {seen} CUDA devices, got {name!r}")
    return device


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """(e) mean cross-entropy of each model in nats, logits (e, n, t, v), targets (e, n, t)."""
    flat = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return flat.view(len(logits), -1).mean(dim=1)


def _copied(generator: torch.Generator) -> torch.Generator:
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return copy


def _repeated(weights: Weights, times: int) -> Weights:
    """All models (e, ...) again and again: (times * e, ...)."""
    return {name: value.detach().repeat(times, *[1] * (value.ndim - 1)) for name, value in weights.items()}


def _accuracies(point: Mapping[str, list[float]]) -> str:
    kinds = [kind for kind in ("train", "test") if f"{kind}_accuracy" in point]
    return ", ".join(f"{kind} acc " + " ".join(f"{x:.3f}" for x in point[f"{kind}_accuracy"]) for kind in kinds)
