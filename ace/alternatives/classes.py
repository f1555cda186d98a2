"""Methods that tell labelled classes apart by their means; c classes give at most c - 1 dimensions.

All three take the leading right singular vectors of the class offsets M, after a map that says which directions count
how much: none (mean difference), the inverse root of the covariance of all states (LEACE), or of that within a class
(LDA).
"""

from __future__ import annotations

import torch

from ace.alternatives.evidence import Evidence, leading_rows
from ace.check import as_finite
from ace.core import Core
from ace.errors import InputError
from ace.linalg import whitener


def mean_difference(evidence: Evidence, rank: int) -> Core:
    """The span of the class means, leading directions by between-class variance; each is its own reader.

    For two classes the difference of their means: "difference in means", "mass-mean probe" (Marks and Tegmark 2023,
    arXiv 2310.06824).

    Raises:
        InputError: a rank that is no count, or classes with equal means.
    """
    return evidence.core_of_directions(
        leading_rows(evidence.class_offsets, evidence.separable(rank))[1].T, "mean difference"
    )


def least_squares_erasure(evidence: Evidence, rank: int) -> Core:
    """LEACE: the subspace whose removal moves states least and leaves no linear trace of the classes.

    h - W^+ P W (h - mean) with W = C^(-1/2) and P the orthogonal projector onto the range of W Sigma_xz, Sigma_xz the
    covariance of states with one-hot labels (Belrose et al. 2023, arXiv 2306.03819, theorem 4.3). Its oblique projector
    is W^+ P W: directions span the class means, readers are whitened. Nothing is shrunk: with fewer states than
    dimensions W is that of the states' span, and readers fit the labels of these very states.

    Raises:
        InputError: a rank that is no count, or classes with equal means.
    """
    sizes, axes = leading_rows(evidence.spread, evidence.states.shape[1])  # (k), (k, d): C = axes^T sizes^2 axes
    _, frame = leading_rows(evidence.class_offsets @ (axes.T / sizes), evidence.separable(rank))  # (r, k), whitened
    return evidence.core_of_both(axes.T @ (sizes[:, None] * frame.T), (frame / sizes) @ axes, "LEACE")


def linear_discriminants(evidence: Evidence, rank: int, *, shrinkage: float | None = None) -> Core:
    """LDA: readers with the most variance between classes for that within, as in Fisher's discriminant analysis.

    The pooled covariance within classes is shrunk towards a multiple of the identity, as far as Ledoit and Wolf (2004)
    find best, by scikit-learn. Its LinearDiscriminantAnalysis shrinks every class by itself, which few states of a
    class do not bear; without shrinkage the two find the same.

    Args:
        shrinkage: share of the identity in the covariance within classes, 0 to 1; None for Ledoit and Wolf's.

    Raises:
        InputError: a rank that is no count, a share outside 0..1, classes with equal means, or states that do not vary
            within them.
    """
    if shrinkage is None:
        from sklearn.covariance import ledoit_wolf_shrinkage

        share = float(ledoit_wolf_shrinkage(evidence.within.numpy(), assume_centered=True))
    else:
        share = float(as_finite("shrinkage", shrinkage))
        if not 0 <= share <= 1:
            raise InputError(f"shrinkage: expected a share in 0..1, got {shrinkage!r}")
    covariance = evidence.within.T @ evidence.within / len(evidence.states)
    identity = torch.eye(len(covariance), dtype=torch.float64) * covariance.diagonal().mean()
    white = whitener((1 - share) * covariance + share * identity)  # (k, d)
    _, frame = leading_rows(evidence.class_offsets @ white.T, evidence.separable(rank))
    return evidence.core_of_readers(frame @ white, "LDA")
