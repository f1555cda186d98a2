"""A task in one file: how deep are we in nested brackets, after each token of a stream?

A stream has three tokens: "(", ")" and a word. A bracket opens or closes with probability .35 each, a word comes
otherwise; at depth 0 nothing closes and at depth 3 nothing opens, there a word comes instead. So depth is a Markov
chain whose transition matrix is known, and with it the eigenvalues that a core which tracks depth should have.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

import ace

OPEN, CLOSE, WORD = 0, 1, 2
TOKENS, DEPTHS = 3, 4
LENGTH, SCORED = 16, 8  # tokens of a stream, and the last of them whose depth is asked for
CHANCE_OF_BRACKET = 0.35


def transition() -> np.ndarray:
    """(4, 4) probability of each depth after the next token."""
    steps = CHANCE_OF_BRACKET * (np.eye(DEPTHS, k=1) + np.eye(DEPTHS, k=-1))
    return steps + np.diag(1 - steps.sum(axis=1))


class BracketDepth(ace.Task):
    """Tokens (n, 16) in, depth (n, 8) after each of the last 8 out."""

    name = "bracket-depth"

    @property
    def eigenvalues(self) -> np.ndarray:
        """Of the chain of depths, other than the 1 that belongs to its stationary distribution."""
        return np.sort(np.linalg.eigvals(transition()))[:-1]

    def draw(self, split: ace.Split, sequences: int, seed: int = 0) -> ace.Batch:
        """Streams from depth 0 on; `stream` gives each split random numbers of its own."""
        rng = self.stream(split, seed)
        drawn = rng.random((sequences, LENGTH))
        tokens = np.empty((sequences, LENGTH), dtype=np.int64)
        depths = np.zeros((sequences, LENGTH + 1), dtype=np.int64)
        for place in range(LENGTH):
            before = depths[:, place]
            opens = (drawn[:, place] < CHANCE_OF_BRACKET) & (before < DEPTHS - 1)
            closes = (drawn[:, place] >= 1 - CHANCE_OF_BRACKET) & (before > 0)
            tokens[:, place] = np.select([opens, closes], [OPEN, CLOSE], WORD)
            depths[:, place + 1] = before + opens - closes
        return ace.Batch(tokens, depths[:, -SCORED:], None, split)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(n) share of the scored depths that the largest output (n, 8, 4) is right about."""
        return (outputs.argmax(dim=-1) == targets).double().mean(dim=1)

    def chance(self, batch: ace.Batch) -> np.ndarray:
        """(n) the same share for who always says the depth that is most frequent at that place."""
        best = [np.bincount(column).argmax() for column in batch.targets.T]
        return (batch.targets == best).mean(axis=1)
