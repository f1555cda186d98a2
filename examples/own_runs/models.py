"""Three kinds of models that have nothing in common but the width of what their last layer reads."""

from __future__ import annotations

import torch
from task import DEPTHS, LENGTH, TOKENS
from torch import Tensor, nn

WIDTH = 32


class Recurrent(nn.Module):
    """Two GRUs, the second on top of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, WIDTH)
        self.lower = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.upper = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.readout = nn.Linear(WIDTH, DEPTHS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (n, t, 4) of tokens (n, t)."""
        states, _ = self.lower(self.tokens(tokens))
        states, _ = self.upper(states)
        return self.readout(states)


class Attentive(nn.Module):
    """PyTorch's own transformer, with a mask so that no position sees a later one."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.readout = nn.Linear(WIDTH, DEPTHS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (n, t, 4) of tokens (n, t)."""
        length = tokens.shape[1]
        states = self.tokens(tokens) + self.places.weight[:length]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        return self.readout(self.encoder(states, mask=mask))


class Mixer(nn.Module):
    """An MLP-mixer: layers over positions, lower triangular so that no position sees a later one, and over features."""

    class Block(nn.Module):
        """One layer over positions and one over features."""

        def __init__(self) -> None:
            super().__init__()
            self.over_places = nn.Parameter(torch.randn(LENGTH, LENGTH) / LENGTH)
            self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
            self.over_features = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, states: Tensor) -> Tensor:
            """States (n, t, 32) to states."""
            states = states + self.over_places.tril() @ self.norms[0](states)
            return states + self.over_features(self.norms[1](states))

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.Sequential(Mixer.Block(), Mixer.Block())
        self.norm = nn.LayerNorm(WIDTH)
        self.readout = nn.Linear(WIDTH, DEPTHS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (n, 16, 4) of tokens (n, 16)."""
        return self.readout(self.norm(self.blocks(self.tokens(tokens))))


KINDS = (Recurrent, Attentive, Mixer, Recurrent)
INNER = {Recurrent: "upper", Attentive: "encoder.layers.1", Mixer: "blocks.1"}  # a site halfway up


def fresh(index: int) -> nn.Module:
    """Model `index` before its training; each has a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(index)
        return KINDS[index]()
