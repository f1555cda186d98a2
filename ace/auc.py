"""How well scores tell two classes apart: AUC, accuracy and separation, resampled over clusters by matrix products.

AUC is a mean over pairs of prompts, so with prompts drawn cluster by cluster it is a quadratic form in how often each
cluster was drawn: all replicates together cost two matrix products, and so do all values with one cluster left out.
`sklearn.metrics.roc_auc_score`, weighted by the same counts, agrees. Accuracy and separation are ratios of sums.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ace.arrays import Array, Ints
from ace.check import check_count
from ace.discrimination import Discrimination as Discrimination
from ace.discrimination import Quantities
from ace.errors import InputError
from ace.stats import RESAMPLES


def discriminate(
    scores: Array, labels: Ints, clusters: Ints, *, seed: int = 0, resamples: int = RESAMPLES
) -> Discrimination:
    """How well scores (m, n) tell labels (n), 0 or 1, apart, resampled over clusters (n) of prompts.

    Clusters may hold prompts of one class or of both. Resamples that draw no prompt of a class, which few clusters can,
    are drawn again.

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
    if not (labels == 1).any() or not (labels == 0).any() or len(names) < 2:
        raise InputError("labels: expected both classes and at least two clusters")
    sums = _Sums(values, labels, sparse.csr_array((np.ones(len(places)), (np.arange(len(places)), places))))
    counts = _counts(sums.sizes, resamples, np.random.default_rng(seed))
    whole = sums.quantities(np.ones((1, len(names))))
    return Discrimination(
        Quantities(whole.auc[:, 0], whole.accuracy[:, 0], whole.separation[:, 0]),
        sums.quantities(counts),
        sums.quantities(1 - np.eye(len(names))),
        count=values.shape[1],
        trials=int((sums.sizes > 0).sum(axis=1).min()),
    )


class _Sums:
    """Sums over clusters, of which every measure of any draw of clusters is made."""

    def __init__(self, values: Array, labels: Ints, member: sparse.csr_array) -> None:
        """Of scores (m, n) for labels (n), where member (n, k) is 1 where a prompt lies in a cluster."""
        ones, zeros = (labels == label for label in (1, 0))
        right = np.where(ones, values > 0, values < 0)
        self.sizes = np.stack([member[zeros].sum(axis=0), member[ones].sum(axis=0)])  # (2, k) prompts of each label
        self.right = right @ member  # (m, k)
        self.totals = np.stack([values[:, side] @ member[side] for side in (zeros, ones)])  # (2, m, k)
        # (m, k, k) by how many pairs label 1 in one cluster wins over label 0 in another.
        self.wins = np.stack([member[ones].T @ _wins(row[ones], row[zeros]) @ member[zeros] for row in values])

    def quantities(self, counts: Array) -> Quantities:
        """(m, c) where each cluster is taken so many times (c, k); NaN without a prompt of either class."""
        sizes = self.sizes @ counts.T  # (2, c)
        won = np.stack([((counts @ wins) * counts).sum(axis=1) for wins in self.wins])
        means = _ratio(self.totals @ counts.T, sizes[:, None])
        apart = means[1] - means[0]
        return Quantities(
            _ratio(won, sizes[0] * sizes[1]),
            _ratio(self.right @ counts.T, sizes.sum(axis=0)),
            _ratio(apart, apart[0]),
        )


def _wins(ones: Array, zeros: Array) -> Array:
    """(..., n1, n0) whether each score (..., n1) of label 1 exceeds each (..., n0) of label 0, ties half."""
    difference = ones[..., :, None] - zeros[..., None, :]
    return (difference > 0) + 0.5 * (difference == 0)


def _ratio(above: Array, below: Array) -> Array:
    """NaN where the denominator is 0."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def _counts(sizes: Array, resamples: int, rng: np.random.Generator) -> Array:
    """(b, k) how often each cluster is drawn, given the prompts (2, k) that it has of each label."""
    k = sizes.shape[1]
    counts = rng.multinomial(k, np.full(k, 1 / k), resamples).astype(np.float64)
    # Even of two classes that lie in one cluster each, a quarter of all draws has both.
    while (empty := (counts @ sizes.T == 0).any(axis=1)).any():
        counts[empty] = rng.multinomial(k, np.full(k, 1 / k), int(empty.sum()))
    return counts


def cluster_sums(values: Array, clusters: Ints) -> Array:
    """(k, ...) sums of values (n, ...) over the k clusters (n) of prompts: what `stats.bootstrap` draws from."""
    names, places = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, places, values)
    return sums


def simple_auc(scores: Array, labels: Ints) -> Array:
    """(m) AUC of scores (m, n) without replicates, ties half."""
    return np.asarray(_wins(scores[:, labels == 1], scores[:, labels == 0]).mean(axis=(1, 2)))


def separations(scores: Array, base: Array, labels: Ints) -> Array:
    """(m) separation of scores (m, n), over that of the scores base (n), without replicates.

    Raises:
        InputError: shapes that do not fit, one class only, or a base that separates nothing.
    """
    if scores.ndim != 2 or scores.shape[1:] != base.shape or base.shape != labels.shape:
        raise InputError(
            f"scores: expected (m, n) with base and labels (n), got {scores.shape}, {base.shape}, {labels.shape}"
        )
    ones, zeros = labels == 1, labels == 0
    if not ones.any() or not zeros.any():
        raise InputError("labels: expected both classes")
    whole = float(base[ones].mean() - base[zeros].mean())
    if whole == 0 or not np.isfinite(whole):
        raise InputError(f"base: expected a mean contrast that differs between labels, got a difference of {whole}")
    return np.asarray((scores[:, ones].mean(axis=1) - scores[:, zeros].mean(axis=1)) / whole)
