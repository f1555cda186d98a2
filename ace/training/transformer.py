"""The small transformer of the paper: learned positions, post-norm ReLU blocks under a causal mask, linear head.

This is the readable definition, one model at a time; `ace.training.ensemble` trains many at once and must equal it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ace.check import check_count
from ace.errors import InputError, RecipeError


@dataclass(frozen=True)
class Architecture:
    """Sizes of a small transformer.

    Attributes:
        vocabulary: tokens in and classes out.
        context: longest sequence, size of the position table.
        blocks, width, heads, hidden: depth, state width d, attention heads, feed-forward width.
        dropout: probability, at attention weights, feed-forward activations and both residual branches.
    """

    vocabulary: int
    context: int
    blocks: int
    width: int
    heads: int
    hidden: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context", "blocks", "width", "heads", "hidden"):
            try:
                check_count(f"model.{name}", getattr(self, name))
            except InputError as error:
                raise RecipeError(str(error)) from error
        if self.width % self.heads:
            raise RecipeError(f"model.heads: expected a divisor of width {self.width}, got {self.heads}")
        if not 0.0 <= self.dropout < 1.0:
            raise RecipeError(f"model.dropout: expected 0 <= p < 1, got {self.dropout}")


class KeyValues:
    """Keys and values of the positions one block has seen, each (n, heads, t, d / heads), for at most `room` of them.

    They lie in one buffer, positions first, so that a step writes one piece of memory and copies no earlier position.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._buffer: Tensor | None = None  # (2, room, n, heads, d / heads)
        self.length = 0

    def taken(self, rows: Tensor) -> KeyValues:
        """The stored keys and values of some sequences (m), in their order; one may come several times."""
        kept = KeyValues(self._room)
        if self._buffer is not None:
            kept._buffer, kept.length = self._buffer[:, :, rows], self.length
        return kept

    def attended(self, query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
        """Add one position, and what its query reads of all: each (n, heads, 1, d / heads).

        One position's keys at a time, which stay in the processor's cache: of a single query that takes less time than
        torch's attention, which is made for many.
        """
        keys, values = self._extended(key, value)
        single = query[:, :, 0] * query.shape[-1] ** -0.5
        weights = torch.stack([(earlier * single).sum(dim=-1) for earlier in keys]).softmax(dim=0)[..., None]
        if dropout:
            weights = functional.dropout(weights, dropout)
        mixed = values[0] * weights[0]
        for earlier, weight in zip(values[1:], weights[1:], strict=True):
            mixed.addcmul_(earlier, weight)
        return mixed[:, :, None]

    def _extended(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (t, n, heads, d / heads) with one position more."""
        if self._buffer is None:
            sequences, heads, _, width = key.shape
            self._buffer = key.new_empty(2, self._room, sequences, heads, width)
        self._buffer[0, self.length], self._buffer[1, self.length] = key[:, :, 0], value[:, :, 0]
        self.length += 1
        return self._buffer[0, : self.length], self._buffer[1, : self.length]


class Attention(nn.Module):
    """Causal multi-head self-attention with one input projection (d -> 3 d) and one output projection."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.project_in = nn.Linear(sizes.width, 3 * sizes.width)
        self.project_out = nn.Linear(sizes.width, sizes.width)

    def forward(self, states: Tensor, past: KeyValues | None = None) -> Tensor:
        """(n, t, d) -> (n, t, d). With `past`, t is 1 and the earlier positions' keys and values come from there."""
        sequences, length, width = states.shape
        split = self.project_in(states).view(sequences, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (n, heads, t, d / heads)
        dropout = self.dropout if self.training else 0.0
        if past is None:
            mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        else:
            mixed = past.attended(query, key, value, dropout)
        joined: Tensor = self.project_out(mixed.transpose(1, 2).reshape(sequences, length, width))
        return joined


class Block(nn.Module):
    """Post-norm encoder block: x = norm1(x + attention(x)), x = norm2(x + feed-forward(x))."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.attention = Attention(sizes)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.expand = nn.Linear(sizes.width, sizes.hidden)
        self.contract = nn.Linear(sizes.hidden, sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, states: Tensor, past: KeyValues | None = None) -> Tensor:
        """(n, t, d) -> (n, t, d)."""
        states = self.norm1(states + self.dropout(self.attention(states, past)))
        inner = self.contract(self.dropout(functional.relu(self.expand(states))))
        out: Tensor = self.norm2(states + self.dropout(inner))
        return out


class SmallTransformer(nn.Module):
    """Token and position embedding, `blocks`, linear `head` with bias; no final norm, as published."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.sizes = sizes
        self.tokens = nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = nn.Embedding(sizes.context, sizes.width)
        self.blocks = nn.ModuleList([Block(sizes) for _ in range(sizes.blocks)])
        self.head = nn.Linear(sizes.width, sizes.vocabulary)

    def forward(self, inputs: Tensor, past: Sequence[KeyValues] | None = None) -> Tensor:
        """Logits (n, t, vocabulary) of token ids (n, t), t <= context.

        With `past`, one `KeyValues` a block, `inputs` (n, 1) is the next position and only it is computed.

        Raises:
            InputError: a sequence longer than the position table, or more than one position with `past`.
        """
        begin = past[0].length if past else 0
        end = begin + inputs.shape[1]
        if end > self.sizes.context:
            raise InputError(f"inputs: expected at most {self.sizes.context} positions, got {end}")
        if past and inputs.shape[1] != 1:
            raise InputError(f"inputs: expected one position with stored keys and values, got {inputs.shape[1]}")
        states = self.tokens(inputs) + self.positions.weight[begin:end]
        for index, block in enumerate(self.blocks):
            states = block(states, past[index] if past else None)
        logits: Tensor = self.head(states)
        return logits

    def new_cache(self) -> list[KeyValues]:
        """Empty stored keys and values, one entry a block, for `forward` position by position."""
        return [KeyValues(self.sizes.context) for _ in self.blocks]


def without_weights(sizes: Architecture) -> SmallTransformer:
    """A model whose weights are still to be put in; the global random generator is left as it is.

    On the CPU: the first model that torch makes on its device without memory takes a second.
    """
    with torch.random.fork_rng(devices=[]):
        return SmallTransformer(sizes)


def initialise(model: SmallTransformer, generator: torch.Generator) -> None:
    """Fill the weights as the published code's modules do by default, all from `generator`.

    Embeddings N(0, 1); attention input projection Xavier uniform, its bias and the output bias 0; other linear maps
    uniform in +-1/sqrt(fan-in), weights and biases; norms 1 and 0.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            owner = model.get_submodule(name.rpartition(".")[0])
            if isinstance(owner, nn.Embedding):
                parameter.normal_(generator=generator)
            elif isinstance(owner, nn.LayerNorm):
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif isinstance(owner, nn.Linear):
                in_attention = ".attention." in name
                if in_attention and name.endswith("bias"):
                    parameter.zero_()
                elif name.endswith("project_in.weight"):
                    nn.init.xavier_uniform_(parameter, generator=generator)
                else:
                    limit = owner.in_features**-0.5
                    parameter.uniform_(-limit, limit, generator=generator)
