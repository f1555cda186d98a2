"""An ensemble against a loop for each model, at the published settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ace.training.trainer import EnsembleTrainer
from invariants.bench import cases, naive

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("name", ["markov-paper", "modadd-paper"])
def test_the_ensemble_and_separate_loops_train_to_the_same_weights(name: str) -> None:
    recipe = cases.published(name, models=2, sequences=150, dtype="float64")
    recipe = replace(recipe, model=replace(recipe.model, dropout=0.0))  # the draws of torch's dropout are others
    trainer = EnsembleTrainer(recipe)
    models = naive.separate_models(recipe)
    seeds = [np.random.SeedSequence(recipe.seed, spawn_key=(k,)).generate_state(2)[1] for k in range(recipe.models)]
    orders = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    for index, model in enumerate(models):
        model.double().load_state_dict(naive.renamed(trainer.weights, index))
    trainer.advance()
    naive.train_separately(models, recipe, *trainer.training_data, orders)
    for index, model in enumerate(models):
        torch.testing.assert_close(
            dict(model.state_dict()), naive.renamed(trainer.weights, index), rtol=1e-8, atol=1e-9
        )


@pytest.mark.parametrize("way", cases.TRAINING_WAYS)
@pytest.mark.parametrize(("name", "models", "sequences"), cases.TRAININGS)
def test_training_epoch(benchmark: BenchmarkFixture, name: str, models: int, sequences: int, way: str) -> None:
    benchmark.group = f"{name}, {models} models, one epoch"
    benchmark.pedantic(cases.training(name, models, sequences)[way], rounds=5, warmup_rounds=1)


@pytest.mark.gpu
@pytest.mark.parametrize("way", cases.TRAINING_WAYS)
@pytest.mark.parametrize(("name", "models", "sequences"), cases.TRAININGS)
def test_training_epoch_on_cuda(benchmark: BenchmarkFixture, name: str, models: int, sequences: int, way: str) -> None:
    benchmark.group = f"{name}, {models} models, one epoch, CUDA"
    benchmark.pedantic(cases.training(name, models, sequences, "cuda")[way], rounds=5, warmup_rounds=1)
