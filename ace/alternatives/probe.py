"""A logistic probe: the linear classifier that predicts the classes best."""

from __future__ import annotations

import warnings

import torch

from ace.alternatives.evidence import Evidence, leading_rows
from ace.check import as_finite
from ace.core import Core
from ace.errors import InputError

STEPS = 1000  # of the probe's fit; where the classes can be separated it only creeps on


def logistic_probe(evidence: Evidence, rank: int, *, strength: float = 1.0) -> Core:
    """The readers of a multinomial logistic regression, by scikit-learn, leading ones by the logits' variance.

    States are centred and divided by one number, the root of their mean variance, so that the penalty means the same
    for states of any size and no coordinate is preferred. Two classes give one reader, c classes c - 1 at most.

    Args:
        strength: C of scikit-learn, the inverse of the penalty.

    Raises:
        InputError: a rank that is no count, a strength that is not positive, or states that do not vary.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not float(as_finite("strength", strength)) > 0:
        raise InputError(f"strength: expected a positive number, got {strength!r}")
    centred = evidence.states - evidence.states.mean(dim=0)
    size = float(centred.square().mean().sqrt()) or 1.0
    fitted = LogisticRegression(C=strength, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit((centred / size).numpy(), evidence.classes)
    weights = torch.from_numpy(fitted.coef_)
    weights = weights - weights.mean(dim=0) if len(weights) > 1 else weights
    _, mixing = leading_rows(evidence.spread @ weights.T, evidence.separable(rank))  # (r, c): of the logits
    return evidence.core_of_readers(mixing @ weights, "logistic probe")
