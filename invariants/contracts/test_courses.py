"""Courses of training: points, checkpoints and arms; each arm is the plain training it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ace.errors import ArtifactError, Inapplicable, InputError, RecipeError
from ace.families.modular_addition.scans import last_states
from ace.model.observe import states_at
from ace.model.sites import find_sites
from ace.study.run_history import RunHistory
from ace.tasks import Split
from ace.training.apart import alone, joined
from ace.training.buffer import WeightBuffer
from ace.training.ensemble import DropoutMasks, Weights, initial_weights, mask_values, member, stacked_logits
from ace.training.recipe import Recipe, parse_recipe
from ace.training.result import load_ensemble, save_ensemble
from ace.training.train import train, train_apart, trained_apart
from ace.training.trainer import EnsembleTrainer
from ace.training.transformer import Architecture, SmallTransformer
from ace.zoo.obtain import Store
from invariants import FIXTURES
from invariants.contracts import builders

ARMS = {"decay": {}, "reset": {"fresh": True}, "free": {"weight_decay": 0.0, "fresh": True}}
BRANCH, LAST = 3, 6


def addition(**changes: Mapping[str, Any] | None) -> Recipe:
    """Modular addition mod 7 in three steps an epoch, with a branch after epoch 3 of 6."""
    tables: dict[str, Any] = {
        "task": {"kind": "modular_addition", "modulus": 7, "share": 0.4},
        "model": {"context": 2, "blocks": 2, "width": 8, "hidden": 12},
        "optimiser": {"decay": "constant", "weight_decay": 1.0},
        "schedule": {"sequences": 20, "batch": 8, "epochs": LAST, "test_sequences": 9},
        "course": {"evaluate": 2, "checkpoints": [1, 4], "branch": BRANCH, "arms": ARMS},
    }
    for table, entries in changes.items():
        tables[table] = {**tables.get(table, {}), **(entries or {})}
    found = builders.entries(**{name: entries for name, entries in tables.items() if name != "task"})
    found["task"] = tables["task"]
    if "course" in changes and changes["course"] is None:
        del found["course"]
    return parse_recipe("tiny", found)


def exactly(**changes: Mapping[str, Any] | None) -> Recipe:
    """The same in double precision without dropout, so that a plain training can be compared."""
    return addition(model={"dropout": 0.0}, ensemble={"dtype": "float64"}, **changes)


def course_of(recipe: Recipe) -> EnsembleTrainer:
    trainer = EnsembleTrainer(recipe)
    while trainer.epoch < recipe.schedule.epochs:
        trainer.advance()
    return trainer


def distance(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((value - second[name]).detach().abs().max()) for name, value in first.items())


def of_arm(weights: Weights, arm: int, models: int = 2) -> Weights:
    return {name: value[arm * models : (arm + 1) * models] for name, value in weights.items()}


def plainly(model: SmallTransformer, recipe: Recipe, order: torch.Generator, epochs: int, decay: float) -> None:
    """Train one model by hand: torch's AdamW on the loss at the last position."""
    task, schedule = recipe.build_task(), recipe.schedule
    batch = task.draw(Split.TRAINING, schedule.sequences, schedule.data_seed)
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)[:, -1]
    model.requires_grad_()
    optimiser = torch.optim.AdamW(model.parameters(), recipe.optimiser.learning_rate, weight_decay=decay)
    for _ in range(epochs):
        for picked in torch.randperm(schedule.sequences, generator=order).split(schedule.batch):
            optimiser.zero_grad()
            functional.cross_entropy(model(inputs[picked])[:, -1], targets[picked]).backward()
            optimiser.step()


def order_of(recipe: Recipe, index: int) -> torch.Generator:
    """The generator that deals model k's batches; without dropout it does nothing else."""
    seeds = np.random.SeedSequence(recipe.seed, spawn_key=(index,)).generate_state(2)
    return torch.Generator().manual_seed(int(seeds[1]))


# --- the loss at scored positions alone -------------------------------------------------------------------------------
SIZES = Architecture(5, 6, 2, width=8, heads=2, hidden=12, dropout=0.1)


@pytest.mark.parametrize("scored", [1, 2, 5])
def test_logits_at_scored_positions_are_the_last_of_all(scored: int) -> None:
    weights = initial_weights(SIZES, [torch.Generator().manual_seed(k) for k in range(3)], torch.float64)
    weights = {name: value.requires_grad_() for name, value in weights.items()}
    inputs = torch.randint(5, (3, 4, 5), generator=torch.Generator().manual_seed(1))
    some = stacked_logits(SIZES, weights, inputs, scored=scored)
    whole = stacked_logits(SIZES, weights, inputs)[:, :, -scored:]
    torch.testing.assert_close(some, whole, rtol=0, atol=1e-12)
    slopes = [torch.autograd.grad((x**2).sum(), list(weights.values()), retain_graph=True) for x in (some, whole)]
    for one, two in zip(*slopes, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("scored", [1, 2, 5])
def test_a_step_uses_exactly_the_dropout_values_that_were_counted(scored: int) -> None:
    generators = [torch.Generator().manual_seed(k) for k in range(2)]
    weights = initial_weights(SIZES, generators, torch.float64)
    inputs = torch.randint(5, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    values = mask_values(SIZES, 4, 5, scored)
    masks = DropoutMasks(2, values, 0.1, generators, torch.float64)
    stacked_logits(SIZES, weights, inputs, masks, scored=scored)
    assert masks._used * 2 == values  # two groups of sequences a model


def test_last_states_by_shared_prefixes_are_those_of_whole_runs() -> None:
    model = member(SIZES, initial_weights(SIZES, [torch.Generator().manual_seed(0)], torch.float64), 0)
    for length in (2, 3):
        inputs = torch.randint(5, (40, length), generator=torch.Generator().manual_seed(length))
        whole = states_at(model, inputs, find_sites(model).site(-1))[:, -1]
        torch.testing.assert_close(last_states(model, inputs), whole, rtol=0, atol=1e-12)


# --- arms -------------------------------------------------------------------------------------------------------------
def test_the_ensemble_is_each_model_trained_plainly_on_its_last_position() -> None:
    recipe = exactly(course=None, schedule={"epochs": 2})
    trainer = course_of(recipe)
    for index in range(recipe.models):
        model = member(recipe.model, trainer.checkpoints[0], index)
        plainly(model, recipe, order_of(recipe, index), 2, decay=1.0)
        ours = {name: value[index] for name, value in trainer.weights.items()}
        assert distance(ours, dict(model.state_dict())) < 1e-9


def test_the_first_arm_is_the_training_that_never_branched() -> None:
    branched, plain = course_of(addition()), course_of(addition(course=None))
    assert distance(of_arm(branched.weights, 0), plain.weights) == 0.0
    assert branched.checkpoints.keys() == {0, 1, 4}


@pytest.mark.parametrize(("arm", "decay"), [(1, 1.0), (2, 0.0)])
def test_a_fresh_arm_is_a_new_optimiser_on_the_weights_at_the_branch(arm: int, decay: float) -> None:
    recipe = exactly(course={"checkpoints": [BRANCH]})
    trainer = course_of(recipe)
    for index in range(recipe.models):
        order = order_of(recipe, index)
        for _ in range(BRANCH):  # the batches up to the branch
            torch.randperm(recipe.schedule.sequences, generator=order)
        model = member(recipe.model, trainer.checkpoints[BRANCH], index)
        plainly(model, recipe, order, LAST - BRANCH, decay)
        ours = {name: value[index] for name, value in of_arm(trainer.weights, arm).items()}
        assert distance(ours, dict(model.state_dict())) < 1e-9


def test_arms_differ_in_what_they_name_alone() -> None:
    twins = {"one": {"fresh": True}, "two": {"fresh": True}, "three": {"weight_decay": 0.0, "fresh": True}}
    weights = course_of(addition(course={"arms": twins})).weights
    assert distance(of_arm(weights, 0), of_arm(weights, 1)) == 0.0  # same batches, same dropout
    assert distance(of_arm(weights, 0), of_arm(weights, 2)) > 1e-4


SHORT = {**ARMS, "reset": {"fresh": True, "until": 4}}


def test_an_arm_that_ends_before_the_others_is_as_long_as_it_lasts_and_leaves_no_trace() -> None:
    whole, short = course_of(addition(course={"checkpoints": [1, 4, 5]})), course_of(addition(course={"arms": SHORT}))
    assert addition(course={"arms": SHORT}).address == addition().address
    assert distance(short.checkpoints[4], whole.checkpoints[4]) == 0.0
    for place, arm in enumerate((0, 2)):
        assert distance(of_arm(short.weights, place), of_arm(whole.weights, arm)) == 0.0
    sizes = {point["epoch"]: [len(v) for k, v in point.items() if k != "epoch"] for point in short.curve}
    assert sizes == {1: [2] * 4, 2: [2] * 4, 3: [2] * 4, 4: [6] * 4, 6: [4] * 4}
    by_epoch = {point["epoch"]: point for point in whole.curve}
    ended = short.curve[-1]
    assert ended["test_loss"] == [by_epoch[LAST]["test_loss"][k] for k in (0, 1, 4, 5)]


@pytest.mark.parametrize("stop", range(BRANCH, LAST + 1))
def test_an_interruption_around_an_arms_end_leaves_no_trace(stop: int, tmp_path: Path) -> None:
    recipe = addition(course={"arms": SHORT})
    whole, record = train(recipe), tmp_path / "partial.json"
    train(recipe, until=stop, partial=record)
    again = train(recipe, partial=record)
    assert again.provenance["resumed_from_epoch"] == stop
    assert builders.same_weights(again.checkpoints, whole.checkpoints)
    assert again.provenance["curve"] == whole.provenance["curve"]


def test_a_history_knows_where_each_arm_ends(tmp_path: Path) -> None:
    recipe = addition(course={"arms": SHORT})
    save_ensemble(tmp_path / "a.json", train(recipe))
    found = load_ensemble(tmp_path / "a.json", recipe)
    history = RunHistory(found)
    assert [history.last_of(arm) for arm in ARMS] == [LAST, 4, LAST]
    assert history.epochs_of("reset") == [0, 1, 4]
    assert torch.equal(head(history.study(LAST, "free").models[0]), found.checkpoints[LAST]["head.weight"][2])
    assert torch.equal(head(history.study(4, "free").models[0]), found.checkpoints[4]["head.weight"][4])
    with pytest.raises(Inapplicable, match=r"arm 'reset' of tiny ends before epoch 6"):
        history.study(LAST, "reset")
    with pytest.raises(ArtifactError, match=r"arm: expected one that lasts to epoch 6, got 'reset'"):
        found.models(LAST, "reset")
    with pytest.raises(Inapplicable, match=r"no arm 'none'; it has decay, reset, free"):
        history.last_of("none")


# --- half precision ---------------------------------------------------------------------------------------------------
def test_what_is_kept_in_half_precision_is_the_same_before_and_after_it_is_stored(tmp_path: Path) -> None:
    recipe = addition(course={"halved": [4]})
    plain, found = train(addition()), train(recipe)
    assert recipe.address == addition().address
    assert distance(found.checkpoints[LAST], plain.checkpoints[LAST]) == 0.0  # what is kept changes no training
    for name, value in plain.checkpoints[4].items():
        assert torch.equal(found.checkpoints[4][name], value.half().float())
    assert distance(found.checkpoints[4], plain.checkpoints[4]) > 0.0
    save_ensemble(tmp_path / "a.json", found)
    assert builders.same_weights(load_ensemble(tmp_path / "a.json", recipe).checkpoints, found.checkpoints)
    with pytest.raises(ArtifactError, match=r"the weights at epoch 4 do not have the shapes and dtype"):
        load_ensemble(tmp_path / "a.json", addition())
    whole, record = train(recipe), tmp_path / "partial.json"
    train(recipe, until=5, partial=record)
    assert builders.same_weights(train(recipe, partial=record).checkpoints, whole.checkpoints)


# --- arms apart -------------------------------------------------------------------------------------------------------
def test_arms_that_are_trained_apart_make_the_same_training(tmp_path: Path) -> None:
    recipe = addition(course={"arms": SHORT, "halved": [1]})
    together = train(recipe)
    parts = {arm: train_apart(recipe, arm, partial=tmp_path / f"{arm}.json") for arm in reversed(SHORT)}
    for arm in SHORT:
        stored = trained_apart(recipe, arm, tmp_path / f"{arm}.json")
        assert stored is not None
        assert builders.same_weights(stored.checkpoints, parts[arm].checkpoints)
    found = joined(recipe, parts)
    assert builders.same_weights(found.checkpoints, together.checkpoints)
    for ours, theirs in zip(found.provenance["curve"], together.provenance["curve"], strict=True):
        for name, values in theirs.items():  # means over steps round differently with more models beside
            assert ours[name] == (pytest.approx(values, rel=1e-6) if name == "train_loss" else values), name
    assert found.provenance["recipe"] == together.provenance["recipe"]
    assert [found.provenance["trained_apart"][arm]["epochs"] for arm in SHORT] == [LAST, 4, LAST]
    save_ensemble(tmp_path / "a.json", found)
    assert builders.same_weights(load_ensemble(tmp_path / "a.json", recipe).checkpoints, together.checkpoints)
    with pytest.raises(InputError, match=r"parts: expected the arms decay, reset, free, got decay"):
        joined(recipe, {"decay": parts["decay"]})
    other = train_apart(replace(recipe, seed=99), "free", partial=tmp_path / "other.json")
    with pytest.raises(ArtifactError, match=r"got weights that differ at epoch 0, before the branch"):
        joined(recipe, {**parts, "free": other})
    for wrong, expected in ((recipe, "arm: expected one of"), (addition(course=None), "expected a recipe with arms")):
        with pytest.raises(InputError, match=expected):
            train_apart(wrong, "none", partial=tmp_path / "none.json")


def test_a_store_keeps_arms_that_were_trained_apart_once_all_are_there(tmp_path: Path) -> None:
    recipe = addition()
    store = Store(tmp_path / "fixtures", tmp_path / "cache", progress=False)
    store.weights.mkdir(parents=True)
    first = store.keep_arm(recipe, "decay")
    assert first.parent == store.cache
    unfinished, _ = alone(recipe, "free")
    train(unfinished, until=5, partial=store.cache / f"{recipe.address}-free-stored-partial.json")
    assert store.keep_arm(recipe, "reset").parent == store.cache  # free is there and not at its end
    kept = store.keep_arm(recipe, "free")
    assert kept.parent == store.weights
    found, together = load_ensemble(kept, recipe), train(recipe)
    assert builders.same_weights(found.checkpoints, together.checkpoints)
    assert found.provenance["trained_apart"]["free"]["resumed_from_epoch"] == LAST
    assert not list(store.cache.glob("*partial*"))
    with pytest.raises(InputError, match="arm: expected one of decay, reset, free, got 'none'"):
        store.keep_arm(recipe, "none")


# --- interruptions ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stop", range(LAST + 1))
def test_an_interruption_anywhere_leaves_no_trace(stop: int, tmp_path: Path) -> None:
    recipe = addition()
    whole, first = course_of(recipe), EnsembleTrainer(recipe)
    while first.epoch < stop:
        first.advance()
    first.save(tmp_path / "partial.json")
    second = EnsembleTrainer(recipe)
    second.restore(tmp_path / "partial.json")
    assert second.epoch == stop
    while second.epoch < LAST:
        second.advance()
    assert distance(second.weights, whole.weights) == 0.0
    assert builders.same_weights(second.checkpoints, whole.checkpoints)
    assert second.curve == whole.curve


def test_a_part_of_a_training_is_the_beginning_of_all_of_it(tmp_path: Path) -> None:
    recipe = addition()
    record = tmp_path / "partial.json"
    whole, part = train(recipe), train(recipe, until=4, partial=record)
    assert part.provenance["epochs"] == 4
    assert max(part.checkpoints) == 4
    assert all(distance(part.checkpoints[epoch], whole.checkpoints[epoch]) == 0.0 for epoch in part.checkpoints)
    save_ensemble(tmp_path / "part.json", part)
    assert builders.same_weights(load_ensemble(tmp_path / "part.json", recipe).checkpoints, part.checkpoints)
    rest = train(recipe, partial=record)
    assert rest.provenance["resumed_from_epoch"] == 4
    assert builders.same_weights(rest.checkpoints, whole.checkpoints)


def head(model: nn.Module) -> Tensor:
    return model.get_parameter("head.weight")


def test_models_of_an_arm_are_that_arms() -> None:
    found = train(addition())
    for arm, name in enumerate(ARMS):
        models = found.models(LAST, name)
        ours = of_arm(found.checkpoints[LAST], arm)
        for index, model in enumerate(models):
            assert torch.equal(head(model), ours["head.weight"][index])
        assert torch.equal(head(found.models(1, name)[0]), found.checkpoints[1]["head.weight"][0])
    assert torch.equal(head(found.models()[0]), head(found.models(LAST, "decay")[0]))
    with pytest.raises(ArtifactError, match=r"expected one of .*'decay'.*, got 'none'"):
        found.models(LAST, "none")


def test_a_history_has_the_models_of_the_trunk_up_to_the_branch_and_of_each_arm_past_it() -> None:
    history = RunHistory(train(addition()))
    for arm in (None, *ARMS):
        for epoch in history.epochs:
            ours = history.ensemble.models(epoch, arm)
            assert len(ours) == len(history)
            for model, same in zip(history.study(epoch, arm).models, ours, strict=True):
                assert torch.equal(head(model), head(same)), (epoch, arm)
    each = history.study((1, LAST), "free").models
    for index, epoch in enumerate((1, LAST)):
        assert torch.equal(head(each[index]), head(history.ensemble.models(epoch, "free")[index]))


def test_an_ensemble_without_a_checkpoint_that_its_recipe_names_is_refused(tmp_path: Path) -> None:
    found = train(addition())
    save_ensemble(tmp_path / "a.json", found)
    asked = addition(course={"checkpoints": [1, 2, 4]})
    assert asked.address == found.recipe.address  # what is kept does not change what is trained
    with pytest.raises(ArtifactError, match=r"expected weights at epochs \[0, 1, 2, 4, 6\]"):
        load_ensemble(tmp_path / "a.json", asked)


# --- recipes ----------------------------------------------------------------------------------------------------------
def test_the_curve_has_the_points_that_the_course_names() -> None:
    curve = course_of(addition()).curve
    assert [point["epoch"] for point in curve] == [1, 2, 3, 4, 6]
    assert [len(point["train_accuracy"]) for point in curve] == [2, 2, 2, 6, 6]


def test_branch_and_arms_change_the_address_and_what_is_kept_does_not() -> None:
    address = addition().address
    assert addition(course={"evaluate": 1, "checkpoints": [2]}).address == address
    assert addition(course={"branch": 4}).address != address
    assert addition(course={"arms": {**ARMS, "free": {"weight_decay": 0.1}}}).address != address
    assert addition(course=None).address != address


def test_more_pairs_than_the_task_has_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"schedule: expected at most the 20 sequences of training, got 21"):
        addition(schedule={"sequences": 21})


def test_a_base_seed_replaces_the_recipes_own_under_retrain_alone(tmp_path: Path) -> None:
    recipe = builders.recipe()
    seeded = Store(FIXTURES, tmp_path, retrain=True, seed=7, progress=False).ensemble(recipe)
    assert seeded.recipe == replace(recipe, seed=7)
    plain = Store(FIXTURES, tmp_path, seed=7, progress=False).ensemble(recipe)
    assert plain.recipe == recipe
    assert not builders.same_weights(plain.checkpoints, seeded.checkpoints)


def test_rows_of_a_buffer_are_its_weights_and_gradients_land_in_its_rows() -> None:
    start = {"a": torch.randn(3, 4, 5), "b": torch.randn(3, 7)}
    buffer = WeightBuffer(start)
    assert distance(buffer.weights, start) == 0.0
    with torch.no_grad():
        buffer.rows[1].zero_()
    assert float(buffer.weights["a"][1].detach().abs().max()) == 0.0
    buffer.differentiate((buffer.weights["b"] ** 2).sum() + 0 * buffer.weights["a"].sum())
    assert torch.equal(buffer.gradients[0, 32:39], 2 * start["b"][0])
    assert float(buffer.gradients[:, :32].abs().max()) == 0.0
