"""The chain's dynamics in core coordinates, and in chains that the core generates."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Complex, Ints
from ace.core import PROJECTORS
from ace.families.core.alignment import coordinates
from ace.families.core.likeness import View, outputs
from ace.families.core.operator import fitted_spectrum, spectrum_error, steps
from ace.families.trained import share_that_may_fail
from ace.intervals import binomial_limits
from ace.model.generate import sample_tokens
from ace.model.intervene import Intervention
from ace.moments import explained, regression
from ace.stats import Estimate, bootstrap, exact, quantile
from ace.study.measurement import Measurement, measures
from ace.study.rest import DRAWS, LEVEL
from ace.study.token_rest import rest_at
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.tasks.markov import MarkovChain
from ace.training.transformer import SmallTransformer

CHAINS = 3000
CONTROL_CHAINS = 30


@measures("untrained", "outputs")
def operator_spectrum(subject: TokenSubject) -> Measurement:
    """Matching distance of the operator's eigenvalues to the chain's, other than 1."""
    wanted = subject.trained.expect_task(MarkovChain).eigenvalues

    def distances(study: TokenStudy, view: View = coordinates) -> tuple[Estimate, ...]:
        return tuple(spectrum_error(str(k), view(study, k, Split.EVALUATION), wanted) for k in study.members)

    oracle = spectrum_error("oracle", _one_hot(subject.trained, Split.EVALUATION), wanted)
    return Measurement(
        distances(subject.trained),
        {"untrained": distances(subject.twins()), "outputs": distances(subject.trained, outputs)},
        {"sampling term": oracle.interval(0.9)[1]},
        {
            "true": [[value.real, value.imag] for value in wanted],
            "fitted": _plane(subject.trained),
            "fitted, untrained": _plane(subject.twins()),
            **share_that_may_fail(subject.trained),
        },
    )


@measures("untrained", "outputs")
def oracle_r2(subject: TokenSubject) -> Measurement:
    """R2 of the core's operator over R2 of the operator on the chain's own states; fitted on the selection split."""

    def ratios(study: TokenStudy, view: View = coordinates) -> tuple[Estimate, ...]:
        estimates = []
        for index in study.members:
            values = {split: view(study, index, split) for split in (Split.SELECTION, Split.EVALUATION)}
            fit, test = (steps(shown, _one_hot(study, split)) for split, shown in values.items())
            widths = (values[Split.EVALUATION].shape[-1], study.task.vocabulary - 1)
            estimates.append(bootstrap(str(index), test, _ratio_of_r2(fit.mean(axis=0), widths), vectorized=True))
        return tuple(estimates)

    return Measurement(
        ratios(subject.trained),
        {"untrained": ratios(subject.twins()), "outputs": ratios(subject.trained, outputs)},
        details=share_that_may_fail(subject.trained),
    )


@measures("chains along the rest")
def generation(subject: TokenSubject) -> Measurement:
    """Largest difference between an entry of the chain's matrix and of that of chains generated with the core kept."""
    study = subject.trained
    chain = study.expect_task(MarkovChain)

    def generated(index: int, edit: Callable[[Tensor], Tensor] | None) -> Estimate:
        start = torch.from_numpy(study.batch(Split.EVALUATION).inputs[:CHAINS, :1])
        generator = torch.Generator().manual_seed(index)
        model = study.expect_model(index, SmallTransformer)
        site = study.sites[index] if edit else None
        paths = sample_tokens(model, start, chain.length - 1, generator, site, edit)
        return _deviation(str(index), transition_counts(paths.numpy(), chain.vocabulary), chain)

    def random(index: int) -> list[float]:
        """The draws share the seeds among them: each model takes its part."""
        share = -(-DRAWS // len(study))
        bases = rest_at(study, index).directions[:share].float()
        mean = study.core(index).mean.float()
        rows = bases.repeat_interleave(CONTROL_CHAINS, dim=0)

        def edit(states: Tensor) -> Tensor:
            inner = torch.einsum("ntd,ndr->ntr", states - mean, rows)
            return mean + torch.einsum("ntr,ndr->ntd", inner, rows)

        inputs = study.batch(Split.EVALUATION).inputs[:, :1]
        start = torch.from_numpy(np.resize(inputs, (len(rows), 1)))
        generator = torch.Generator().manual_seed(1000 + index)
        paths = sample_tokens(
            study.expect_model(index, SmallTransformer), start, chain.length - 1, generator, study.sites[index], edit
        )
        counts = transition_counts(paths.numpy(), chain.vocabulary)
        return [_least_deviation(part.sum(axis=0), chain) for part in np.split(counts, share)]

    kept, obliquely = (
        [generated(k, Intervention(study.core(k), "keep", projector=kind).apply) for k in study.members]
        for kind in PROJECTORS
    )
    drawn = np.array([value for k in range(len(study)) for value in random(k)])
    return Measurement(
        tuple(kept),
        {"chains along the rest": (exact("all", quantile(drawn, LEVEL), count=len(drawn)),)},
        beside={
            "whole model": tuple(generated(k, None) for k in range(len(study))),
            "oblique": tuple(obliquely),
        },
        details=share_that_may_fail(study),
    )


def _deviation(label: str, counts: Ints, chain: MarkovChain) -> Estimate:
    """The largest difference of an entry, from the transition counts (n, s, s) of chains, bootstrapped over chains."""

    def largest(means: Array) -> Array:
        shares = means / np.maximum(means.sum(axis=2, keepdims=True), np.finfo(np.float64).tiny)
        return np.asarray(np.abs(shares - chain.transition).max(axis=(1, 2)))

    return bootstrap(label, counts.astype(np.float64), largest, vectorized=True, possible=(0.0, 1.0))


def _least_deviation(counts: Ints, chain: MarkovChain) -> float:
    """The least that it may be, from the counts (s, s) of a few chains: what exact intervals of all entries allow.

    Few chains scatter by more than the bound, so that a draw speaks for the claim if the chain's own matrix is among
    those that it may have come from.
    """
    confidence = 1 - 0.05 / counts.size
    least = 0.0
    for row, chances in zip(counts.tolist(), chain.transition.tolist(), strict=True):
        for count, chance in zip(row, chances, strict=True):
            low, high = binomial_limits(count, sum(row), confidence) if sum(row) else (0.0, 1.0)
            least = max(least, low - chance, chance - high)
    return least


def fitted_eigenvalues(study: TokenStudy, index: int) -> Complex:
    """(r) eigenvalues of the operator fitted to one model's core coordinates on the evaluation split."""
    return fitted_spectrum(steps(study.coordinates(index, Split.EVALUATION)).mean(axis=0))


def transition_counts(paths: Ints, states: int) -> Ints:
    """(n, s, s) int64 counts of the transitions in each of the state paths (n, t)."""
    chains = np.arange(len(paths))[:, None] * states
    pairs = (chains + paths[:, :-1]) * states + paths[:, 1:]
    counts = np.bincount(pairs.ravel(), minlength=len(paths) * states * states)
    return counts.reshape(len(paths), states, states).astype(np.int64)


def _one_hot(study: TokenStudy, split: Split) -> Array:
    """(n, t, s - 1) indicator coordinates of the chain's own states; the last is given by the others."""
    return np.eye(study.task.vocabulary)[study.batch(split).inputs][..., :-1]


def _plane(study: TokenStudy) -> list[list[list[float]]]:
    """Fitted eigenvalues of every model as [real, imaginary]."""
    return [[[value.real, value.imag] for value in fitted_eigenvalues(study, k)] for k in range(len(study))]


def _ratio_of_r2(fitted: Array, widths: tuple[int, int]) -> Callable[[Array], Array]:
    edges = np.cumsum([1, widths[0], widths[0], widths[1], widths[1]])
    views = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    core, oracle = (views[0], views[1]), (views[2], views[3])
    own, chains = regression(fitted, *core), regression(fitted, *oracle)

    def ratio(moment: Array) -> Array:
        return explained(moment, *core, *own) / explained(moment, *oracle, *chains)

    return ratio
