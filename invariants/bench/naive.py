"""The straightforward twins of the fast paths: plain, readable, and as good as the plain way gets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ace.training.recipe import Recipe


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
