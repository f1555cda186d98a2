"""How well scores tell two classes apart: AUC and accuracy, with a bootstrap over clusters that is a matrix product.

AUC is a mean over pairs of prompts, so with prompts drawn cluster by cluster it is a quadratic form in how often each
cluster was drawn: all replicates together cost two matrix products. `sklearn.metrics.roc_auc_score`, weighted by the
same counts, agrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ace.arrays import Array, Bools, Ints
from ace.check import check_count
from ace.errors import InputError
from ace.stats import RESAMPLES, Estimate


@dataclass(frozen=True)
class Discrimination:
    """AUC and accuracy of several sets of scores on the same prompts, with replicates drawn alike for all.

    Attributes:
        auc: (m) area under the ROC curve, ties half.
        accuracy: (m) share of prompts whose score has the sign of their class.
        auc_replicates, accuracy_replicates: (m, b).
    """

    auc: Array
    accuracy: Array
    auc_replicates: Array
    accuracy_replicates: Array


def discriminate(
    scores: Array, labels: Ints, clusters: Ints, *, seed: int = 0, resamples: int = RESAMPLES
) -> Discrimination:
    """AUC and accuracy of scores (m, n) for labels (n), 0 or 1, bootstrapped over clusters (n) of prompts.

    Resamples that draw no prompt of a class, which few clusters can, are drawn again.

    Raises:
        InputError: shapes that do not fit, NaN or infinity, one class only, or fewer than two clusters.
    """
    values = np.asarray(scores, dtype=np.float64)
    check_count("resamples", resamples)
    if values.ndim != 2 or values.shape[1:] != labels.shape or labels.shape != clusters.shape:
        shapes = (values.shape, labels.shape, clusters.shape)
        raise InputError(f"scores: expected (m, n) with labels and clusters (n), got {shapes}")
    if not np.isfinite(values).all():
        raise InputError("scores: expected finite values, got NaN or infinity")
    names, places = np.unique(clusters, return_inverse=True)
    positive, negative = labels == 1, labels == 0
    if not positive.any() or not negative.any() or len(names) < 2:
        raise InputError("labels: expected both classes and at least two clusters")
    member = np.eye(len(names))[places]  # (n, k)
    counts = _counts(member, positive, negative, resamples, np.random.default_rng(seed))
    aucs, auc_draws, accuracies, accuracy_draws = [], [], [], []
    drawn = {True: counts @ member[positive].sum(axis=0), False: counts @ member[negative].sum(axis=0)}
    for row in values:
        difference = row[positive][:, None] - row[negative][None, :]
        wins = (difference > 0) + 0.5 * (difference == 0)
        between = member[positive].T @ wins @ member[negative]  # (k, k) wins of one cluster's plural over another's
        aucs.append(wins.mean())
        auc_draws.append(
            np.einsum("bk,kl,bl->b", counts, between, counts, optimize=True) / (drawn[True] * drawn[False])
        )
        right = np.where(positive, row > 0, row < 0).astype(np.float64)
        accuracies.append(right.mean())
        accuracy_draws.append((counts @ (member.T @ right)) / (counts @ member.sum(axis=0)))
    return Discrimination(*(np.array(part) for part in (aucs, accuracies, auc_draws, accuracy_draws)))


def _counts(member: Array, positive: Bools, negative: Bools, resamples: int, rng: np.random.Generator) -> Array:
    """(b, k) how often each cluster is drawn."""
    k = member.shape[1]
    counts = rng.multinomial(k, np.full(k, 1 / k), resamples).astype(np.float64)
    for _ in range(100):
        empty = ((counts @ member[positive].sum(axis=0)) == 0) | ((counts @ member[negative].sum(axis=0)) == 0)
        if not empty.any():
            return counts
        counts[empty] = rng.multinomial(k, np.full(k, 1 / k), int(empty.sum()))
    raise InputError("clusters: expected both classes in most resamples; each class lies in a single cluster")


def cluster_sums(values: Array, clusters: Ints) -> Array:
    """(k, ...) sums of values (n, ...) over the k clusters (n) of prompts: what `stats.bootstrap` draws from."""
    names, places = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, places, values)
    return sums


def simple_auc(scores: Array, labels: Ints) -> Array:
    """(m) AUC of scores (m, n) without replicates, ties half."""
    difference = scores[:, labels == 1][:, :, None] - scores[:, labels == 0][:, None, :]
    return np.asarray(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(1, 2)), dtype=np.float64)


def chance_halfwidth(labels: Ints, z: float = 1.959964) -> float:
    """Half the 95 % interval of the AUC of scores that tell nothing (normal approximation of Mann and Whitney's U)."""
    ones, zeros = int((labels == 1).sum()), int((labels == 0).sum())
    return float(z * np.sqrt((ones + zeros + 1) / (12 * ones * zeros)))


def estimate(label: str, value: float, replicates: Array, count: int) -> Estimate:
    """A value with its replicates, as an `Estimate`.

    Raises:
        InputError: NaN or infinity.
    """
    if not (np.isfinite(value) and np.isfinite(replicates).all()):
        raise InputError(f"{label}: expected finite values, got NaN or infinity")
    return Estimate(label, float(value), replicates=replicates, count=count)
