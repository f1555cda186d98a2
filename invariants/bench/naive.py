"""The straightforward twins of the fast paths: plain, readable, and as good as the plain way gets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ace.core import Core
from ace.intervene import Intervention, intervening
from ace.sites import Site
from ace.stats import Array
from ace.training.recipe import Recipe
from ace.training.transformer import SmallTransformer


class TorchTransformer(nn.Module):
    """The published architecture from torch's own encoder layer."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        sizes = recipe.model
        self.tokens = nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = nn.Embedding(sizes.context, sizes.width)
        layer = nn.TransformerEncoderLayer(sizes.width, sizes.heads, sizes.hidden, sizes.dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, sizes.blocks, enable_nested_tensor=False)
        self.head = nn.Linear(sizes.width, sizes.vocabulary)

    def forward(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        states = self.tokens(inputs) + self.positions.weight[:length]
        return self.head(self.encoder(states, mask=mask, is_causal=True))


def train_epoch(
    model: nn.Module, optimiser: torch.optim.Optimizer, inputs: Tensor, targets: Tensor, batch: int
) -> float:
    """One pass over the training sequences, in a new order."""
    model.train()
    total = 0.0
    for picked in torch.randperm(len(inputs)).split(batch):
        logits = model(inputs[picked])
        loss = functional.cross_entropy(logits.flatten(0, 1), targets[picked].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(picked)
    return total / len(inputs)


def gramian_core(states: Tensor, sensitivities: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Sigma and basis from both formed Gramians, by the symmetric route: eigh of C, eigh of C^(1/2) O C^(1/2)."""
    reach, observe = _gramians(states, sensitivities)
    values, vectors = np.linalg.eigh(reach)
    root = (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T
    squared, turned = np.linalg.eigh(root @ observe @ root)
    basis, _ = np.linalg.qr(root @ turned[:, ::-1][:, :rank])
    return torch.from_numpy(np.sqrt(squared[::-1].clip(min=0.0))), torch.from_numpy(basis)


def product_core(states: Tensor, sensitivities: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Sigma and basis from the eigenvectors of the product C O, as the method is written down."""
    reach, observe = _gramians(states, sensitivities)
    values, vectors = np.linalg.eig(reach @ observe)
    order = np.argsort(-values.real)
    basis, _ = np.linalg.qr(vectors[:, order[:rank]].real)
    return torch.from_numpy(np.sqrt(values.real[order].clip(min=0.0))), torch.from_numpy(basis)


def _gramians(states: Tensor, sensitivities: Tensor) -> tuple[Array, Array]:
    centred = (states - states.mean(dim=0)).double().numpy()
    rows = sensitivities.double().numpy()
    return centred.T @ centred / (len(centred) - 1), rows.T @ rows / len(rows)


def rank_scan_by_evaluation(
    model: SmallTransformer, inputs: Tensor, targets: Tensor, site: Site, core: Core
) -> tuple[list[float], list[float]]:
    """Accuracy of keep and of remove at every rank: one evaluation of the model for each."""
    found: dict[str, list[float]] = {"keep": [], "remove": []}
    for rank in range(1, core.dimension + 1):
        for mode, accuracies in found.items():
            with torch.no_grad(), intervening(model, site, Intervention(core.truncated(rank), mode)):
                hits = model(inputs)[:, -1].argmax(dim=-1) == targets
            accuracies.append(float(hits.double().mean()))
    return found["keep"], found["remove"]


def train_separately(recipe: Recipe, inputs: Tensor, targets: Tensor) -> None:
    """One epoch of every model of a recipe, one after another."""
    for seed in range(recipe.models):
        torch.manual_seed(seed)
        model = TorchTransformer(recipe)
        optimiser = torch.optim.AdamW(model.parameters(), recipe.optimiser.learning_rate, weight_decay=0.0)
        train_epoch(model, optimiser, inputs, targets, recipe.schedule.batch)
