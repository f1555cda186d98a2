"""The text that language models train on: stories of the fragment, packed into sequences of one length."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from ace.tasks.fragment.story import story
from ace.tasks.fragment.words import vocabulary
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.tokenizer import word_tokenizer

STORIES = 32  # drawn and encoded together


class Corpus:
    """Stories of the fragment, each after an end-of-text token, packed into sequences of full length."""

    def __init__(self, recipe: LanguageRecipe, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self._tokenizer = word_tokenizer(vocabulary(), sys.maxsize)  # stories are cut after encoding

    def batch(self, step: int, sequences: int) -> Tensor:
        """(sequences, positions) token ids of one step; the same step gives the same text."""
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(step,)))
        wanted = sequences * self._recipe.positions
        fewest, most = self._recipe.sentences
        ids: list[int] = []
        while len(ids) < wanted:
            texts = [story(rng, int(rng.integers(fewest, most + 1))) for _ in range(STORIES)]
            ids += [token for encoded in self._tokenizer(texts)["input_ids"] for token in encoded]
        return torch.tensor(ids[:wanted]).view(sequences, self._recipe.positions)
