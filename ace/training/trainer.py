"""Train a recipe's ensemble; stop and resume at any epoch to the same weights."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from ace.errors import ArtifactError, InputError, RecipeError
from ace.tasks import Batch, Split
from ace.training.checkpoint import load_artifact, save_artifact
from ace.training.ensemble import DropoutMasks, Weights, initial_weights, mask_values, member, stacked_logits
from ace.training.recipe import Recipe
from ace.training.transformer import SmallTransformer

PARTIAL_SECONDS = 10.0
LINE = 16  # values: a multiple of every processor's vector


@dataclass(frozen=True)
class TrainedEnsemble:
    """Weights of a recipe's models at their checkpoints, with what is known of how they came to be.

    Attributes:
        recipe: what they were trained by.
        checkpoints: epoch -> stacked weights (e, ...); 0 is the untrained twin, the largest is the end.
        provenance: versions, wall time, date and training curve.
    """

    recipe: Recipe
    checkpoints: dict[int, Weights]
    provenance: dict[str, Any]

    def models(self, epoch: int | None = None) -> tuple[SmallTransformer, ...]:
        """The models at a checkpoint, by default the last, as ordinary modules in evaluation mode."""
        chosen = max(self.checkpoints) if epoch is None else epoch
        if chosen not in self.checkpoints:
            raise ArtifactError(f"epoch: expected one of {sorted(self.checkpoints)}, got {chosen}")
        weights = self.checkpoints[chosen]
        return tuple(member(self.recipe.model, weights, index) for index in range(self.recipe.models))


class EnsembleTrainer:
    """The state of a training: weights, optimiser moments, generators, curve. Advances one epoch at a time.

    Raises:
        InputError: a device that torch does not know or see.
        RecipeError: sequences longer than the model's context.
    """

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe = recipe
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
        dtype = getattr(torch, recipe.dtype)
        seeds = [np.random.SeedSequence(recipe.seed, spawn_key=(k,)).generate_state(2) for k in range(recipe.models)]
        starts = [torch.Generator().manual_seed(int(pair[0])) for pair in seeds]
        self.initial = {n: v.to(self.device) for n, v in initial_weights(recipe.model, starts, dtype).items()}
        # The fused optimiser treats the last few values of a tensor by other code than the rest, with other rounding.
        # In one padded buffer no weight is among them: a model's course does not depend on how many others there are.
        self._flat, self.weights = _flattened(self.initial)
        self._flat.grad, gradients = _flattened(self.initial)
        for name, value in self.weights.items():
            value.copy_(self.initial[name])
            value.requires_grad_().grad = gradients[name]
        self._generators = [torch.Generator(self.device).manual_seed(int(pair[1])) for pair in seeds]
        optimiser = recipe.optimiser
        self._optimiser = torch.optim.AdamW(
            [self._flat],
            lr=optimiser.learning_rate,
            betas=(optimiser.beta1, optimiser.beta2),
            eps=optimiser.epsilon,
            weight_decay=optimiser.weight_decay,
            fused=True,
        )
        values = mask_values(recipe.model, min(schedule.batch, schedule.sequences), self._inputs.shape[1])
        dropout = recipe.model.dropout
        self._masks = DropoutMasks(recipe.models, values, dropout, self._generators, dtype) if dropout else None

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(batch.inputs).to(self.device), torch.from_numpy(batch.targets).to(self.device)

    @property
    def training_data(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets (n, t) that every model trains on."""
        return self._inputs, self._targets

    def advance(self) -> None:
        """Train one epoch and add a point to the curve."""
        started = time.perf_counter()
        schedule = self.recipe.schedule
        orders = torch.stack(
            [torch.randperm(schedule.sequences, generator=g, device=self.device) for g in self._generators]
        )
        losses = []
        begins = range(0, schedule.sequences, schedule.batch)
        for step, begin in enumerate(begins):
            self._set_rate(self.epoch + step / len(begins))
            picked = orders[:, begin : begin + schedule.batch]
            losses.append(self._step(self._inputs[picked], self._targets[picked]))
        self.epoch += 1
        loss, accuracy = self._evaluate()
        self.seconds += time.perf_counter() - started
        point = {"epoch": self.epoch, "train_loss": torch.stack(losses).mean(dim=0).tolist()}
        self.curve.append({**point, "test_loss": loss.tolist(), "test_accuracy": accuracy.tolist()})

    def _set_rate(self, epochs_done: float) -> None:
        optimiser = self.recipe.optimiser
        left = 1.0 if optimiser.decay == "constant" else 1.0 - epochs_done / self.recipe.schedule.epochs
        for group in self._optimiser.param_groups:
            group["lr"] = optimiser.learning_rate * left

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = stacked_logits(self.recipe.model, self.weights, inputs, self._masks)
        loss = _losses(logits, targets)
        self._optimiser.zero_grad(set_to_none=False)
        loss.sum().backward()
        self._optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def _evaluate(self) -> tuple[Tensor, Tensor]:
        inputs, targets = self._test
        logits = stacked_logits(self.recipe.model, self.weights, inputs)
        hits = logits.argmax(dim=-1) == targets
        return _losses(logits, targets.expand(len(logits), -1, -1)), hits.float().mean(dim=(1, 2))

    def save(self, record: Path) -> None:
        """Store everything that `restore` needs, atomically."""
        tensors = {"weights": self._flat, **self._optimiser.state[self._flat]}  # no moments before the first step
        for index, generator in enumerate(self._generators):
            tensors[f"generator/{index}"] = generator.get_state()
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
        moments = {"step": torch.Size(), "exp_avg": self._flat.shape, "exp_avg_sq": self._flat.shape}
        expected = {f"generator/{k}": g.get_state().shape for k, g in enumerate(self._generators)}
        expected |= {"weights": self._flat.shape, **(moments if stored.get("epoch") else {})}
        if {name: value.shape for name, value in tensors.items()} != expected:
            raise ArtifactError(f"{record}: expected an unfinished training, got other tensors")
        self._flat.copy_(tensors["weights"])
        self._optimiser.state.clear()
        self._optimiser.state[self._flat] = {n: tensors[n].to(self.device) for n in moments if n in tensors}
        for index, generator in enumerate(self._generators):
            generator.set_state(tensors[f"generator/{index}"])
        self.epoch, self.seconds, self.curve = stored["epoch"], stored["seconds"], stored["curve"]

    def _identity(self) -> dict[str, str]:
        return {"recipe": self.recipe.digest, "torch": torch.__version__, "device": self.device.type}


def train(
    recipe: Recipe,
    *,
    device: str = "cpu",
    partial: Path | None = None,
    progress: bool = False,
) -> TrainedEnsemble:
    """Train a recipe to its end.

    Args:
        device: "cpu" or a CUDA device.
        partial: record to store an unfinished training in, every few seconds, and to resume from. It outlives this
            call: who stores the result removes it afterwards, so that no moment exists at which a crash loses both.
        progress: True shows a progress bar with test accuracies on the terminal.

    Raises:
        InputError, RecipeError: as `EnsembleTrainer`.
    """
    trainer = EnsembleTrainer(recipe, device)
    resumed = 0
    if partial is not None and partial.exists():
        try:
            trainer.restore(partial)
            resumed = trainer.epoch
        except ArtifactError:
            # An unfinished training that cannot be continued to the same weights is worth nothing: start anew.
            trainer = EnsembleTrainer(recipe, device)
    stored = time.perf_counter()
    with tqdm(
        total=recipe.schedule.epochs, initial=trainer.epoch, desc=recipe.name, unit="epoch", disable=not progress
    ) as bar:
        while trainer.epoch < recipe.schedule.epochs:
            trainer.advance()
            bar.update()
            bar.set_postfix_str("test acc " + " ".join(f"{x:.3f}" for x in trainer.curve[-1]["test_accuracy"]))
            if partial is not None and time.perf_counter() - stored > PARTIAL_SECONDS:
                trainer.save(partial)
                stored = time.perf_counter()
    return TrainedEnsemble(
        recipe,
        {0: _copied(trainer.initial, "cpu"), trainer.epoch: _copied(trainer.weights, "cpu")},
        _provenance(recipe, trainer, resumed),
    )


def remove_partial(record: Path) -> None:
    """Remove an unfinished training's record and weights."""
    record.unlink(missing_ok=True)
    for weights in record.parent.glob(f"{record.stem}.????????.safetensors"):
        weights.unlink(missing_ok=True)


def _provenance(recipe: Recipe, trainer: EnsembleTrainer, resumed: int) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "recipe": recipe.digest,
        "entries": recipe.entries(),
        "versions": {name: version(name) for name in ("torch", "numpy", "ace-invariants")},
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "seconds": round(trainer.seconds, 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resumed_from_epoch": resumed,
        "curve": trainer.curve,
    }


def save_ensemble(record: Path, ensemble: TrainedEnsemble) -> None:
    """Store an ensemble at `record` (JSON) with its weights beside it, atomically."""
    tensors = {
        f"{epoch}/{name}": value for epoch, weights in ensemble.checkpoints.items() for name, value in weights.items()
    }
    save_artifact(record, tensors, ensemble.provenance)


def load_ensemble(record: Path, recipe: Recipe) -> TrainedEnsemble:
    """Load an ensemble that `save_ensemble` stored.

    Raises:
        ArtifactError: corrupt, of another recipe, or without weights of the recipe's shapes and dtype at the start and
            the end.
    """
    tensors, provenance = load_artifact(record)
    if provenance.get("recipe") != recipe.digest:
        raise ArtifactError(f"{record}: expected recipe {recipe.digest[:12]}, got {str(provenance.get('recipe'))[:12]}")
    checkpoints: dict[int, Weights] = {}
    for key, value in tensors.items():
        epoch, _, name = key.partition("/")
        if not epoch.isdecimal():
            raise ArtifactError(f"{record}: expected weights named epoch/parameter, got {key!r}")
        checkpoints.setdefault(int(epoch), {})[name] = value
    if not {0, recipe.schedule.epochs} <= set(checkpoints):
        raise ArtifactError(
            f"{record}: expected weights at epochs 0 and {recipe.schedule.epochs}, got {sorted(checkpoints)}"
        )
    dtype = getattr(torch, recipe.dtype)
    shapes = _shapes(recipe)
    for at, found in checkpoints.items():
        fitting = {name: tuple(value.shape) for name, value in found.items() if value.dtype == dtype}
        if fitting != shapes or len(found) != len(shapes):
            raise ArtifactError(
                f"{record}: the weights at epoch {at} do not have the shapes and dtype of recipe {recipe.name}"
            )
    return TrainedEnsemble(recipe, dict(sorted(checkpoints.items())), provenance)


def _shapes(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        weights = SmallTransformer(recipe.model).state_dict()
    return {name: (recipe.models, *value.shape) for name, value in weights.items()}


def _flattened(weights: Weights) -> tuple[Tensor, Weights]:
    """A buffer of zeros for weights of these shapes, and views of it in their place, each on lines of its own."""
    lengths = [-(-value.numel() // LINE) * LINE for value in weights.values()]
    first = next(iter(weights.values()))
    flat = torch.zeros(sum(lengths), dtype=first.dtype, device=first.device)
    parts = flat.split(lengths)
    views = zip(weights.items(), parts, strict=True)
    return flat, {name: part[: value.numel()].view(value.shape) for (name, value), part in views}


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


def _copied(weights: Weights, device: str | None = None) -> Weights:
    return {name: value.detach().to(device or value.device, copy=True) for name, value in weights.items()}
