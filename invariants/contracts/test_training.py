"""Training: the ensemble is its models trained one by one, and an interruption leaves no trace in the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ace.errors import ArtifactError
from ace.files import load_artifact, remove_artifact, save_artifact
from ace.tasks import Split
from ace.training import resumable
from ace.training.ensemble import DropoutMasks, Weights, initial_weights, mask_values, member, stacked_logits
from ace.training.recipe import Recipe
from ace.training.result import TrainedEnsemble, save_ensemble
from ace.training.train import train
from ace.training.trainer import EnsembleTrainer
from ace.training.transformer import Architecture, Block, SmallTransformer, initialise
from invariants.contracts import builders

ROUNDING = 1e-12  # of a forward and a backward pass in float64 at these sizes; the layer norms amplify by about 1e2
DRIFT = 1e-9  # the same after some dozen steps of Adam, which divides by small second moments


def generators(count: int, seed: int = 3) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(count)]


def sizes(blocks: int = 2, dropout: float = 0.1) -> Architecture:
    return Architecture(5, 6, blocks, width=8, heads=2, hidden=12, dropout=dropout)


def stacked(models: int = 3, blocks: int = 2) -> Weights:
    """Weights of three models, norms and zero biases moved too, so that none of them is without effect."""
    weights = initial_weights(sizes(blocks), generators(models), torch.float64)
    noise = torch.Generator().manual_seed(1)
    return {n: v + 0.1 * torch.randn(v.shape, generator=noise, dtype=v.dtype) for n, v in weights.items()}


def own_tokens(models: int = 3, sequences: int = 4) -> Tensor:
    """(e, n, t) token ids, other ones for each model."""
    return torch.stack([builders.tokens(sequences * models)[k::models] for k in range(models)])


def seeds(recipe: Recipe, index: int) -> tuple[int, int]:
    """Model k's two seeds, of its start and of its course: from its own stream (seed, k), as a recipe promises."""
    start, course = np.random.SeedSequence(recipe.seed, spawn_key=(index,)).generate_state(2)
    return int(start), int(course)


def fresh(recipe: Recipe, index: int) -> SmallTransformer:
    model = SmallTransformer(recipe.model)
    initialise(model, torch.Generator().manual_seed(seeds(recipe, index)[0]))
    return model


def distance(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((value - second[name]).detach().abs().max()) for name, value in first.items())


def of_model(weights: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    return {name: value[index] for name, value in weights.items()}


# --- the ensemble is its models ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("sequences", [1, 3, 4])
@pytest.mark.parametrize("shared", [True, False])
def test_stacked_logits_are_those_of_each_model_run_alone_without_dropout(
    blocks: int, sequences: int, shared: bool
) -> None:
    weights = stacked(blocks=blocks)
    inputs = builders.tokens(sequences) if shared else own_tokens(sequences=sequences)
    together = stacked_logits(sizes(blocks), weights, inputs)
    for index in range(3):
        alone = member(sizes(blocks), weights, index)(inputs if shared else inputs[index])
        assert together[index].shape == alone.shape
        assert (together[index] - alone).abs().max() < ROUNDING
    assert (together[0] - together[1]).abs().max() > 0.1  # three models, not one three times


def test_a_member_is_in_evaluation_mode_and_a_copy() -> None:
    weights = stacked()
    model = member(sizes(), weights, 1)
    before = model(builders.tokens())
    assert not model.training
    weights["head.weight"].zero_()
    assert torch.equal(model(builders.tokens()), before)


@pytest.mark.parametrize("sequences", [3, 4])
def test_gradients_of_the_ensemble_are_those_of_each_model_alone(sequences: int) -> None:
    weights = {name: value.requires_grad_() for name, value in stacked().items()}
    inputs, targets = own_tokens(sequences=sequences), own_tokens(sequences=sequences).flip(1)
    logits = stacked_logits(sizes(), weights, inputs)
    functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="sum").backward()
    for index in range(3):
        alone = member(sizes(), {n: v.detach() for n, v in weights.items()}, index).requires_grad_()
        loss = functional.cross_entropy(alone(inputs[index]).flatten(0, -2), targets[index].flatten(), reduction="sum")
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in alone.named_parameters()}
        assert all(value is not None for value in gradients.values())
        stacked_gradients = {name: value.grad[index] for name, value in weights.items() if value.grad is not None}
        assert distance(stacked_gradients, {n: v for n, v in gradients.items() if v is not None}) < 100 * ROUNDING


# --- dropout ----------------------------------------------------------------------------------------------------------
def dropped_logits(model: SmallTransformer, inputs: Tensor, masks: Iterable[Tensor]) -> Tensor:
    """The readable model with given dropout masks, a block: attention weights, attention output, hidden, output."""
    drawn = iter(masks)
    length = inputs.shape[1]
    states = model.tokens(inputs) + model.positions.weight[:length]
    for block in model.blocks:
        assert isinstance(block, Block)
        attention = block.attention
        parts = attention.project_in(states).view(len(inputs), length, 3, attention.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -torch.inf).softmax(dim=-1) * next(drawn).view_as(scores)
        mixed = attention.project_out((weights @ value).transpose(1, 2).flatten(2))
        states = block.norm1(states + mixed * next(drawn).view_as(mixed))
        inner = functional.relu(block.expand(states))
        outer = block.contract(inner * next(drawn).view_as(inner))
        states = block.norm2(states + outer * next(drawn).view_as(outer))
    assert next(drawn, None) is None
    logits: Tensor = model.head(states)
    return logits


@pytest.mark.parametrize("sequences", [1, 3, 4])
@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_logits_and_gradients_under_dropout_are_those_of_each_model_under_the_same_masks(
    sequences: int, probability: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Tensor] = []
    real = DropoutMasks.take

    def take(self: DropoutMasks, *shape: int) -> Tensor:
        found = real(self, *shape)
        taken.append(found.clone())
        return found

    monkeypatch.setattr(DropoutMasks, "take", take)
    weights = {name: value.requires_grad_() for name, value in stacked().items()}
    inputs = own_tokens(sequences=sequences)
    values = mask_values(sizes(), sequences, inputs.shape[2])
    masks = DropoutMasks(3, values, probability, generators(3), torch.float64)
    together = stacked_logits(sizes(), weights, inputs, masks)
    together.square().sum().backward()
    assert sum(mask.numel() for mask in taken) == 3 * values
    for index in range(3):
        alone = member(sizes(), {n: v.detach() for n, v in weights.items()}, index).requires_grad_()
        logits = dropped_logits(alone, inputs[index], [mask.reshape(3, -1)[index] for mask in taken])
        logits.square().sum().backward()
        assert (together[index] - logits).abs().max() < ROUNDING
        for name, parameter in alone.named_parameters():
            gradient, stacked_gradient = parameter.grad, weights[name].grad
            assert gradient is not None
            assert stacked_gradient is not None
            assert (stacked_gradient[index] - gradient).abs().max() < 100 * ROUNDING * (1 + gradient.abs().max()), name


def draws(models: int, values: int, probability: float, sources: list[torch.Generator], times: int = 1) -> Tensor:
    """(times, models, values) masks."""
    masks = DropoutMasks(models, values, probability, sources, torch.float64)
    found = []
    for _ in range(times):
        masks.draw()
        found.append(masks.take(models, values).clone())
    return torch.stack(found)


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.5, 0.9])
def test_dropout_masks_have_the_stated_probability_and_scale(probability: float) -> None:
    count = 400_000
    (masks,) = draws(2, count, probability, generators(2))
    kept = masks > 0
    assert masks.unique().tolist() == pytest.approx([0.0, 1 / (1 - probability)], rel=1e-4)
    # A binomial share leaves six standard errors once in 5e8; the 16-bit grid adds at most 1e-5.
    error = 6 * math.sqrt(probability * (1 - probability) / count) + 1e-5
    assert (kept.double().mean(dim=1) - (1 - probability)).abs().max() < error
    # Without a scale, or with p in place of 1 - p, the mean is not 1.
    assert (masks.mean(dim=1) - 1).abs().max() < error / (1 - probability)


def test_a_models_dropout_masks_do_not_depend_on_its_neighbours() -> None:
    together = draws(3, 1000, 0.3, generators(3), times=3)
    alone = draws(1, 1000, 0.3, [generators(3)[1]], times=3)
    other = draws(3, 1000, 0.3, [torch.Generator().manual_seed(k) for k in (90, 4, 91)], times=3)
    assert torch.equal(together[:, 1], alone[:, 0])
    assert torch.equal(together[:, 1], other[:, 1])
    assert not torch.equal(together[:, 0], together[:, 1])


def test_dropout_masks_differ_from_step_to_step_and_from_place_to_place() -> None:
    (first, second) = draws(1, 4000, 0.5, generators(1), times=2)[:, 0]
    assert 0.4 < (first == second).double().mean() < 0.6  # independent, so half agree; six standard errors are 0.05
    assert 0.4 < (first[:2000] == first[2000:]).double().mean() < 0.6


# --- training ---------------------------------------------------------------------------------------------------------
def trained(**changes: Mapping[str, Any]) -> TrainedEnsemble:
    return train(builders.recipe(**changes))


def end(ensemble: TrainedEnsemble) -> Weights:
    return ensemble.checkpoints[max(ensemble.checkpoints)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_model_trained_alone_or_with_others_is_the_same_bit_for_bit(dtype: str, dropout: float) -> None:
    few, many = (
        trained(ensemble={"models": count, "dtype": dtype}, model={"dropout": dropout, "blocks": 2}) for count in (1, 3)
    )
    assert distance(of_model(end(few), 0), of_model(end(many), 0)) == 0.0
    assert distance(of_model(end(many), 0), of_model(end(many), 1)) > 0.1
    mine, theirs = ([(p["train_loss"][0], p["test_loss"][0]) for p in e.provenance["curve"]] for e in (few, many))
    assert mine == theirs


def test_at_the_published_sizes_too_a_model_trained_alone_or_with_others_is_the_same_bit_for_bit() -> None:
    published: dict[str, Mapping[str, Any]] = {
        "task": {"length": 32},
        "model": {"context": 64, "width": 64, "heads": 4, "hidden": 256},
        "schedule": {"sequences": 136, "batch": 64, "epochs": 1},
    }
    alone, pair, five = (trained(**published, ensemble={"models": count}) for count in (1, 2, 5))
    assert distance(of_model(end(alone), 0), of_model(end(five), 0)) == 0.0
    assert distance(of_model(end(pair), 1), of_model(end(five), 1)) == 0.0


def test_the_same_recipe_trains_to_the_same_bits_and_another_seed_to_others() -> None:
    first, second, other = trained(), trained(), trained(ensemble={"seed": 1})
    assert builders.same_weights(first.checkpoints, second.checkpoints)
    assert distance(end(first), end(other)) > 0.1


def test_the_global_random_state_neither_enters_the_weights_nor_changes() -> None:
    first = trained()
    torch.manual_seed(123)
    np.random.seed(123)
    before = torch.get_rng_state()
    second = trained()
    assert torch.equal(torch.get_rng_state(), before)
    assert builders.same_weights(first.checkpoints, second.checkpoints)


def test_checkpoint_zero_is_a_fresh_initialisation_of_each_model() -> None:
    recipe = builders.recipe(ensemble={"models": 3})
    for index, model in enumerate(train(recipe).models(0)):
        assert distance(dict(model.state_dict()), dict(fresh(recipe, index).state_dict())) == 0.0


def slowly_trained(recipe: Recipe, index: int) -> tuple[SmallTransformer, list[float]]:
    """One model in an ordinary loop: torch's module, torch's AdamW without fusing, torch's scheduler."""
    model = fresh(recipe, index).double()
    settings, schedule = recipe.optimiser, recipe.schedule
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        foreach=False,
    )
    steps = schedule.epochs * -(-schedule.sequences // schedule.batch)
    decay: Callable[[int], float] = (
        (lambda step: 1 - step / steps) if settings.decay == "linear" else (lambda step: 1.0)
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, decay)
    course = torch.Generator().manual_seed(seeds(recipe, index)[1])
    batch = recipe.build_task().draw(Split.TRAINING, schedule.sequences, schedule.data_seed)
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    losses = []
    for _ in range(schedule.epochs):
        parts = torch.randperm(schedule.sequences, generator=course).split(schedule.batch)
        for part in parts:
            loss = functional.cross_entropy(model(inputs[part]).flatten(0, -2), targets[part].flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
            losses.append(float(loss.detach()))
    assert optimiser.param_groups[0]["lr"] == pytest.approx(
        0.0 if settings.decay == "linear" else settings.learning_rate
    )
    return model, losses


@pytest.mark.parametrize("decay", ["constant", "linear"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_the_ensemble_trains_as_separate_loops_with_torchs_own_adamw_do(decay: str, weight_decay: float) -> None:
    recipe = builders.recipe(
        model={"dropout": 0.0},
        optimiser={"decay": decay, "weight_decay": weight_decay, "beta1": 0.8, "epsilon": 1e-6},
        ensemble={"dtype": "float64"},
    )
    fast = train(recipe)
    for index, model in enumerate(fast.models()):
        slow, losses = slowly_trained(recipe, index)
        assert distance(dict(model.state_dict()), dict(slow.state_dict())) < DRIFT
        of_first_epoch = losses[: len(losses) // recipe.schedule.epochs]
        assert fast.provenance["curve"][0]["train_loss"][index] == pytest.approx(np.mean(of_first_epoch), abs=DRIFT)


def test_the_learning_rate_falls_linearly_to_zero_after_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    real = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *arguments: Any) -> object:
        rates.append(self.param_groups[0]["lr"])
        return real(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    recipe = builders.recipe()
    train(recipe)
    steps = recipe.schedule.epochs * 4  # 60 sequences in batches of 16
    assert rates == pytest.approx(np.linspace(recipe.optimiser.learning_rate, 0.0, steps + 1)[:-1].tolist())


def test_training_teaches_the_task() -> None:
    recipe = builders.recipe(schedule={"sequences": 400})
    oracle = recipe.build_task().draw(Split.SELECTION, recipe.schedule.test_sequences).oracle_loss.mean()
    final = train(recipe).provenance["curve"][-1]
    assert max(final["test_loss"]) < oracle + 0.1 < math.log(4)  # the loss of a guess that has learnt nothing


# --- interruption -----------------------------------------------------------------------------------------------------
def course(trainer: EnsembleTrainer) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in trainer.weights.items()}


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("stops", [[0], [1], [2], [3], [4], [1, 2, 3], [2, 2]], ids=str)
def test_an_interrupted_training_ends_bit_for_bit_as_an_uninterrupted_one(
    tmp_path: Path, stops: list[int], dropout: float
) -> None:
    recipe = builders.recipe(model={"dropout": dropout})
    whole = EnsembleTrainer(recipe)
    for _ in range(recipe.schedule.epochs):
        whole.advance()
    trainer = EnsembleTrainer(recipe)
    for stop in stops:
        while trainer.epoch < stop:
            trainer.advance()
        trainer.save(tmp_path / "partial.json")
        trainer = EnsembleTrainer(recipe)  # a new process knows nothing but the file
        trainer.restore(tmp_path / "partial.json")
        assert trainer.epoch == stop
    while trainer.epoch < recipe.schedule.epochs:
        trainer.advance()
    assert distance(course(trainer), course(whole)) == 0.0
    assert trainer.curve == whole.curve
    assert distance(trainer.checkpoints[0], whole.checkpoints[0]) == 0.0


def test_saving_does_not_disturb_the_training(tmp_path: Path) -> None:
    trainer = EnsembleTrainer(builders.recipe())
    while trainer.epoch < trainer.recipe.schedule.epochs:
        trainer.save(tmp_path / "partial.json")
        trainer.advance()
    assert distance(course(trainer), end(trained())) == 0.0


def test_restoring_forgets_what_the_trainer_had_done(tmp_path: Path) -> None:
    trainer = EnsembleTrainer(builders.recipe())
    trainer.save(tmp_path / "start.json")
    trainer.advance()
    trainer.restore(tmp_path / "start.json")
    while trainer.epoch < trainer.recipe.schedule.epochs:
        trainer.advance()
    assert distance(course(trainer), end(trained())) == 0.0


def partial(folder: Path, recipe: Recipe | None = None) -> Path:
    """The record of a training that stopped after two epochs."""
    trainer = EnsembleTrainer(recipe or builders.recipe())
    trainer.advance()
    trainer.advance()
    trainer.save(folder / "partial.json")
    return folder / "partial.json"


def test_train_goes_on_from_an_unfinished_training_and_keeps_it_until_the_result_is_stored(tmp_path: Path) -> None:
    record = partial(tmp_path)
    found = train(builders.recipe(), partial=record)
    assert found.provenance["resumed_from_epoch"] == 2
    assert builders.same_weights(found.checkpoints, trained().checkpoints)
    assert record.exists()


def test_train_stores_what_it_has_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "PARTIAL_SECONDS", 0.0)
    record = tmp_path / "partial.json"
    train(builders.recipe(), partial=record)
    assert json.loads(record.read_text())["epoch"] == builders.recipe().schedule.epochs
    again = train(builders.recipe(), partial=record)  # nothing is left to train
    assert builders.same_weights(again.checkpoints, trained().checkpoints)
    remove_artifact(record)
    assert list(tmp_path.iterdir()) == []


def edited(key: str, value: object) -> Callable[[Path], Path]:
    def edit(folder: Path) -> Path:
        record = partial(folder)
        record.write_text(json.dumps({**json.loads(record.read_text()), key: value}))
        return record

    return edit


def damaged(folder: Path) -> Path:
    record = partial(folder)
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    return record


def finished(folder: Path) -> Path:
    """A finished ensemble's weights under a record that claims to be of an unfinished training."""
    identity = json.loads(partial(folder).read_text())
    save_ensemble(folder / "partial.json", trained())
    document = json.loads((folder / "partial.json").read_text())
    (folder / "partial.json").write_text(json.dumps({**identity, "weights": document["weights"]}))
    return folder / "partial.json"


def losses_of_three(folder: Path) -> Path:
    """A training of two models with the losses of three."""
    tensors, document = load_artifact(partial(folder))
    save_artifact(folder / "partial.json", {**tensors, "losses": torch.zeros(2, 3)}, document)
    return folder / "partial.json"


FOREIGN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another recipe": (lambda f: partial(f, builders.recipe(ensemble={"seed": 5})), "expected recipe"),
    "another version of torch": (edited("torch", "1.0.0"), "expected torch"),
    "another device": (edited("device", "cuda"), "expected device"),
    "no identity": (edited("recipe", None), "expected recipe"),
    "no epoch": (edited("epoch", None), "expected an entry `epoch` in 0..4, got None"),
    "an epoch beyond the last": (edited("epoch", 5), "expected an entry `epoch` in 0..4, got 5"),
    "no curve": (edited("curve", None), "expected entries `seconds` and `curve`"),
    "seconds in words": (edited("seconds", "long"), "expected entries `seconds` and `curve`, got 'long'"),
    "an epoch before the first step": (edited("epoch", 0), "unfinished training: 'arm0/exp_avg' of shape none"),
    "truncated weights": (damaged, "corrupt or truncated"),
    "losses of another ensemble": (losses_of_three, "unfinished training: 'losses' of shape .*, 2"),
    "other tensors": (finished, "unfinished training"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_an_unfinished_training_that_cannot_go_on_to_the_same_weights_is_refused(tmp_path: Path, case: str) -> None:
    make, message = FOREIGN[case]
    trainer = EnsembleTrainer(builders.recipe())
    before = {name: value.clone() for name, value in course(trainer).items()}
    with pytest.raises(ArtifactError, match=message):
        trainer.restore(make(tmp_path))
    assert trainer.epoch == 0
    assert distance(course(trainer), before) == 0.0


@pytest.mark.parametrize("case", FOREIGN)
def test_train_starts_anew_where_it_cannot_go_on(tmp_path: Path, case: str) -> None:
    found = train(builders.recipe(), partial=FOREIGN[case][0](tmp_path))
    assert found.provenance["resumed_from_epoch"] == 0
    assert builders.same_weights(found.checkpoints, trained().checkpoints)


# --- recipes ----------------------------------------------------------------------------------------------------------
def test_the_address_follows_all_that_determines_the_weights_and_nothing_else() -> None:
    base = builders.recipe()
    changes: list[dict[str, Mapping[str, Any]]] = [
        {"task": {"stay": 0.8}},
        {"model": {"width": 32}},
        {"model": {"dropout": 0.2}},
        {"optimiser": {"learning_rate": 2e-2}},
        {"optimiser": {"decay": "constant"}},
        {"schedule": {"epochs": 5}},
        {"schedule": {"data_seed": 1}},
        {"ensemble": {"models": 3}},
        {"ensemble": {"seed": 1}},
        {"ensemble": {"dtype": "float64"}},
    ]
    addresses = [builders.recipe(**change).address for change in changes]
    assert len({base.address, *addresses}) == len(changes) + 1
    assert builders.recipe("other").digest == base.digest
    assert builders.recipe().address == base.address
    assert base.address == f"tiny-{base.digest[:12]}"


def test_fresh_weights_are_drawn_as_torchs_own_modules_draw_them() -> None:
    model = SmallTransformer(Architecture(50, 50, 1, width=64, heads=4, hidden=128))
    initialise(model, torch.Generator().manual_seed(0))
    weights = dict(model.named_parameters())
    assert all((weights[f"blocks.0.norm{i}.weight"] == 1).all() for i in (1, 2))
    zero = [f"blocks.0.{name}.bias" for name in ("norm1", "norm2", "attention.project_in", "attention.project_out")]
    assert all((weights[name] == 0).all() for name in zero)
    reference = nn.MultiheadAttention(64, 4)
    limits = {  # of uniform draws; the largest of thousands lies within one percent of its limit
        "blocks.0.attention.project_in.weight": math.sqrt(6 / (64 + 3 * 64)),
        "blocks.0.attention.project_out.weight": 64**-0.5,
        "blocks.0.expand.weight": 64**-0.5,
        "blocks.0.contract.weight": 128**-0.5,
        "head.weight": 64**-0.5,
    }
    for name, limit in limits.items():
        assert 0.99 * limit < float(weights[name].detach().abs().max()) <= limit, name
    assert float(reference.in_proj_weight.detach().abs().max()) == pytest.approx(limits[next(iter(limits))], rel=0.01)
    for name in ("tokens.weight", "positions.weight"):
        assert float(weights[name].detach().std()) == pytest.approx(1.0, abs=0.05)
