"""A hidden permutation: each symbol follows from the one before it by a rule that no symbol shows and that may change.

A distribution over the next of v symbols has v - 1 free numbers, the belief over the v! rules has v! - 1: outputs
cannot show what a predictor has to keep. Nor does a symbol by itself speak for any rule: only pairs of neighbours do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ace.arrays import Array, Ints
from ace.check import check_count, check_fraction
from ace.tasks.hidden_markov import HiddenMarkov


@dataclass(frozen=True, eq=False)
class HiddenPermutation(HiddenMarkov):
    """A hidden Markov process whose state is a rule and the symbol it led to: state = rule * symbols + symbol."""

    def latent(self, inputs: Ints) -> Array:
        """(n, t, v!) the Bayes filter's distribution over the rules, which no symbol shows, after each of `inputs`.

        Raises:
            InputError: as `beliefs`.
        """
        beliefs = self.beliefs(inputs)
        return np.asarray(beliefs.reshape(*inputs.shape, -1, self.vocabulary).sum(axis=-1))


def hidden_permutation(symbols: int = 3, stay: float = 0.97, hit: float = 0.9, length: int = 32) -> HiddenPermutation:
    """A rule, one of the permutations of the symbols, stays with `stay` at every step, else any other takes its place.

    The next symbol is then, with `hit`, the image of the one before it under the rule; else any other symbol.
    """
    check_count("symbols", symbols, smallest=2)
    check_fraction("stay", stay)
    check_fraction("hit", hit)
    rules = np.array(list(permutations(range(symbols))))  # rules[m, x]: where rule m takes symbol x
    kept = _peaked(len(rules), stay)  # (rules, rules)
    led = _peaked(symbols, hit)[rules]  # (rules, symbols, symbols): the next symbol under a rule, after a symbol
    transition = np.einsum("mn,nxy->mxny", kept, led).reshape(led.shape[0] * symbols, -1)
    emission = np.tile(np.eye(symbols), (len(rules), 1))
    return HiddenPermutation("hidden_permutation", transition, emission, length)


def _peaked(size: int, peak: float) -> Array:
    """(size, size) rows with `peak` on the diagonal and the rest shared out alike."""
    identity = np.eye(size)
    return np.asarray(peak * identity + (1 - peak) / (size - 1) * (1 - identity))
