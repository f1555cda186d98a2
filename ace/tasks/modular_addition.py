"""Modular addition: from two numbers a, b predict (a + b) mod p. A finite task: all its pairs are dealt to the splits.

The classic task of grokking (Power et al. 2022, arXiv 2201.02177; Nanda et al. 2023, arXiv 2301.05217).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ace.arrays import Ints
from ace.check import check_choice, check_count, check_fraction
from ace.errors import InputError
from ace.tasks.base import HELD_OUT, Batch, Split, Task


@dataclass(frozen=True, eq=False)
class ModularAddition(Task):
    """All p^2 pairs, a share of them for training and the rest in equal parts for the other splits.

    The training pairs are the first of one fixed permutation. Of what they leave, the pairs of each sum are dealt in
    turn to extraction, selection and evaluation, so that every split has every sum.

    Attributes:
        modulus: p.
        share: part of the pairs that models train on.
        deal_seed: chooses the permutation.
    """

    modulus: int
    share: float
    deal_seed: int = 0

    def __post_init__(self) -> None:
        check_count("modulus", self.modulus, smallest=3)
        check_fraction("share", self.share)
        check_count("deal_seed", self.deal_seed, smallest=0)
        object.__setattr__(self, "name", "modular_addition")
        for split in HELD_OUT:
            sums = len(np.unique(self._pairs[split].sum(axis=1) % self.modulus))
            if sums < self.modulus:
                raise InputError(
                    f"share: expected to leave every sum to the {split} split, got {sums} of {self.modulus} sums"
                )

    @property
    def vocabulary(self) -> int:  # type: ignore[override]
        """p numbers, one token each."""
        return self.modulus

    @cached_property
    def _pairs(self) -> dict[Split, Ints]:
        rng = np.random.default_rng(self.deal_seed)
        order = rng.permutation(self.modulus**2)
        pairs = np.stack(np.divmod(order, self.modulus), axis=1)
        count = round(self.share * len(pairs))
        held = pairs[count:]
        sums = held.sum(axis=1) % self.modulus
        # The place of a pair among those with its sum, from a start that differs by sum so that the parts are equal.
        by_sum = np.argsort(sums, kind="stable")
        turns = np.empty(len(held), dtype=np.int64)
        turns[by_sum] = np.arange(len(held)) % len(HELD_OUT)
        return {Split.TRAINING: pairs[:count], **{split: held[turns == k] for k, split in enumerate(HELD_OUT)}}

    def size(self, split: Split) -> int:
        """How many pairs a split has."""
        check_choice("split", split, tuple(Split))
        return len(self._pairs[split])

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        """`sequences` different pairs of one split; the seed chooses which, and their order.

        Raises:
            InputError: more pairs than the split has.
        """
        rng = self.stream(split, seed)
        if check_count("sequences", sequences) > self.size(split):
            raise InputError(f"sequences: expected at most the {self.size(split)} pairs of {split}, got {sequences}")
        inputs = self._pairs[split][rng.permutation(self.size(split))[:sequences]]
        targets = inputs.sum(axis=1, keepdims=True) % self.modulus
        return Batch(inputs, targets, np.eye(self.modulus)[targets], split)
