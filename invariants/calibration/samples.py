"""Data like ours: contrasts of prompts that share head nouns, skewed, with a known truth. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from ace.arrays import Array, Ints

CORRELATION = 0.3  # of two prompts that share a head noun
Generator = np.random.Generator


def skewed(normal: Array, shape: float = 0.5) -> Array:
    """Standard normal values made log-normal: mean 0, variance 1, skewness 1.75 at shape .5 and 6.2 at 1."""
    grown = np.exp(shape**2)
    return np.asarray((np.exp(shape * normal) - np.sqrt(grown)) / np.sqrt((grown - 1) * grown), dtype=np.float64)


@dataclass(frozen=True)
class Prompts:
    """Prompts of two labels about head nouns.

    Attributes:
        clusters, labels: (n) head noun and label of each prompt.
    """

    clusters: Ints
    labels: Ints

    @property
    def size(self) -> int:
        """How many prompts."""
        return len(self.labels)

    def normal(self, rng: Generator) -> Array:
        """(n) standard normal; prompts of one noun correlate by .3 within a label and by .15 across."""
        nouns = int(self.clusters.max()) + 1
        both = rng.standard_normal(nouns)[self.clusters]
        own = rng.standard_normal((nouns, 2))[self.clusters, self.labels]
        rest = rng.standard_normal(self.size)
        return np.asarray(np.sqrt(CORRELATION / 2) * (both + own) + np.sqrt(1 - CORRELATION) * rest)

    def apart(self, noise: Array, distance: float) -> Array:
        """(n) noise about two means that lie so many of its standard deviations apart, 0 in the middle."""
        return noise + distance * (self.labels - 0.5)


def prompts(nouns: int, each: int, nested: bool) -> Prompts:
    """`each` prompts a noun of one label where the labels are nested in nouns, and of either label otherwise."""
    if nested:
        return Prompts(np.repeat(np.arange(nouns), each), np.repeat(np.arange(nouns) % 2, each))
    return Prompts(np.repeat(np.arange(nouns), 2 * each), np.tile(np.repeat([0, 1], each), nouns))


def distance_of_auc(auc: float) -> float:
    """How far apart two normal classes lie, in standard deviations, whose AUC this is."""
    return float(special.ndtri(auc) * np.sqrt(2))


def accuracy_of_distance(distance: float) -> float:
    """Accuracy of the middle between two normal classes."""
    return float(special.ndtr(distance / 2))


def hits(rng: Generator, clusters: int, each: int, share: float, correlation: float = CORRELATION) -> Ints:
    """(clusters) hits of `each` trials, beta-binomial: trials of a cluster correlate."""
    size = (1 - correlation) / correlation
    return rng.binomial(each, rng.beta(share * size, (1 - share) * size, clusters))
