"""Hidden Markov processes: predict the next symbol; the optimal predictor carries a belief over hidden states.

"Mess3" and the observation that belief states lie linearly in the residual stream: Shai et al. 2024, arXiv 2405.15943.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ace.arrays import Array, Ints
from ace.check import as_finite, check_count, check_fraction
from ace.errors import InputError
from ace.tasks.base import Batch, Split, Task, check_transition, sample_chain, stationary


@dataclass(frozen=True, eq=False)
class HiddenMarkov(Task):
    """Symbols emitted on arrival by a stationary hidden chain.

    Attributes:
        name: shown in tables and provenance.
        transition: (s, s) of the hidden chain, row-stochastic, irreducible.
        emission: (s, v) probability of each symbol on arrival in each hidden state.
        length: symbols in a sequence; the model sees length - 1 and predicts length - 1.
    """

    name: str
    transition: Array
    emission: Array
    length: int

    def __post_init__(self) -> None:
        transition = check_transition(self.transition)
        emission = as_finite("emission", self.emission).numpy()
        shaped = emission.ndim == 2 and emission.shape[0] == len(transition) and emission.shape[1] >= 2
        if not shaped or (emission < 0).any() or not np.allclose(emission.sum(axis=1), 1.0, atol=1e-12):
            raise InputError(f"emission: expected {len(transition)} probability rows, got shape {emission.shape}")
        check_count("length", self.length, smallest=2)
        object.__setattr__(self, "transition", transition)
        object.__setattr__(self, "emission", emission)

    @property
    def vocabulary(self) -> int:  # type: ignore[override]
        """Number of symbols."""
        return self.emission.shape[1]

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        """Independent stationary sequences; `predictive` is the Bayes filter's next-symbol distribution."""
        rng = self.stream(split, seed)
        hidden = sample_chain(self.transition, stationary(self.transition), sequences, self.length, rng)
        edges = np.cumsum(self.emission, axis=1)[:, :-1]
        symbols = (rng.random(hidden.shape)[..., None] >= edges[hidden]).sum(axis=-1)
        inputs = symbols[:, :-1]
        predictive = self.beliefs(inputs) @ self.transition @ self.emission
        return Batch(inputs, symbols[:, 1:], predictive, split)

    def latent(self, inputs: Ints) -> Array:
        """(n, t, k) the part of the belief that no symbol shows: here all of it."""
        return self.beliefs(inputs)

    def beliefs(self, inputs: Ints) -> Array:
        """(n, t, s) the Bayes filter: distribution over the hidden state after each symbol of `inputs` (n, t).

        Raises:
            InputError: no symbols (n, t) of this process, or a sequence that it cannot emit.
        """
        if inputs.ndim != 2 or inputs.min(initial=0) < 0 or inputs.max(initial=0) >= self.vocabulary:
            raise InputError(f"inputs: expected symbols 0..{self.vocabulary - 1} (n, t), got shape {inputs.shape}")
        belief = np.tile(stationary(self.transition), (len(inputs), 1))
        beliefs = np.empty((*inputs.shape, len(self.transition)))
        for step in range(inputs.shape[1]):
            arrived = belief if step == 0 else belief @ self.transition
            weighed = arrived * self.emission[:, inputs[:, step]].T
            chance = weighed.sum(axis=1, keepdims=True)
            if (chance == 0).any():
                raise InputError(
                    f"inputs: expected sequences that the process emits, got an impossible symbol at {step}"
                )
            belief = weighed / chance
            beliefs[:, step] = belief
        return beliefs


def mess3(stay: float = 0.9, own: float = 0.85, length: int = 32) -> HiddenMarkov:
    """Mess3: three hidden states, three symbols; stay with `stay`, emit the own symbol with `own`, others alike."""
    check_fraction("stay", stay)
    check_fraction("own", own)
    identity = np.eye(3)
    return HiddenMarkov(
        "hidden_markov",
        stay * identity + (1 - stay) / 2 * (1 - identity),
        own * identity + (1 - own) / 2 * (1 - identity),
        length,
    )
