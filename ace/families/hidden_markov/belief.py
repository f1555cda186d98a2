"""What is measured for the claims about hidden Markov processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ace.arrays import Array
from ace.families.core.alignment import aligned, aligned_pairs, coordinates
from ace.families.core.likeness import View, outputs
from ace.families.hidden_markov.outside import less_token_means, output_parts
from ace.families.trained import share_that_may_fail
from ace.moments import explained_beside, moments, pooled, regression
from ace.stats import Estimate, bootstrap, exact, quantile
from ace.study.controls import DRAWS, LEVEL
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.tasks.hidden_markov import HiddenMarkov

Directions = tuple[Array, Array]
ROWS = 100  # sequences whose products with all others are formed at a time


@measures("current token", "untrained", "outputs")
def belief(subject: TokenSubject) -> Measurement:
    """R2 of the belief from the core minus R2 from the whole state; regressions fitted on the selection split."""
    trained, process = subject.trained, subject.trained.expect_task(HiddenMarkov)
    beliefs = {split: process.beliefs(trained.batch(split).inputs) for split in (Split.SELECTION, Split.EVALUATION)}
    tokens = {split: np.eye(process.vocabulary)[trained.batch(split).inputs][..., :-1] for split in beliefs}

    def left_by(source: Callable[[Split], Array]) -> Array:
        """(n, t, k) what the best affine map of a source leaves of the beliefs."""
        fitted = pooled(source(Split.SELECTION), beliefs[Split.SELECTION])
        slope, offset = regression(fitted.total, *fitted.views)
        return beliefs[Split.EVALUATION] - (source(Split.EVALUATION) @ slope.T + offset)

    def state(index: int, split: Split) -> Array:
        return trained.states(index, split).double().numpy() - trained.core(index).mean.numpy()

    left_by_state = [left_by(partial(state, k)) for k in trained.members]

    def shortfall(index: int, left: Array) -> tuple[Estimate, float, float]:
        """R2 of what leaves so much (n, t, k) minus R2 from the whole state, and both."""
        tested = moments(beliefs[Split.EVALUATION], left, left_by_state[index])
        target, part, whole = tested.views

        def difference(moment: Array) -> Array:
            return explained_beside(moment, part, target) - explained_beside(moment, whole, target)

        estimate = bootstrap(str(index), tested.clusters, difference, vectorized=True)
        ours, best = (float(explained_beside(tested.total, view, target)) for view in (part, whole))
        return estimate, ours, best

    members = trained.members
    left_by_token = left_by(tokens.__getitem__)  # the same for every model
    cores = [shortfall(k, left_by(partial(trained.coordinates, k))) for k in members]
    controls = {
        "current token": [shortfall(k, left_by_token) for k in members],
        "untrained": [shortfall(k, left_by(partial(subject.twins().coordinates, k))) for k in members],
        "outputs": [shortfall(k, left_by(partial(probabilities, trained, k))) for k in members],
    }
    return Measurement(
        tuple(fit[0] for fit in cores),
        {name: tuple(fit[0] for fit in group) for name, group in controls.items()},
        details={
            "R2 of the core": [fit[1] for fit in cores],
            "R2 of the whole state": [fit[2] for fit in cores],
            **{f"R2, {name}": [fit[1] for fit in group] for name, group in controls.items()},
            **share_that_may_fail(trained),
        },
    )


def probabilities(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, s, v - 1) next-token probabilities of one model; the last is given by the others."""
    return output_parts(study, index, split)[1]


def _residual(view: View, study: TokenStudy, index: int, split: Split) -> Array:
    """A view (n, t, k) less what token and position tell."""
    return less_token_means(view(study, index, split), study.batch(split).inputs, study.task.vocabulary)


@measures("outputs")
def alignment(subject: TokenSubject) -> Measurement:
    """Smallest canonical correlation of residual core coordinates of each pair; directions from the selection split.

    Permuted sequences and untrained models give the bound, so neither can be a control: no value is above its own
    quantile.
    """
    trained, directions, tests = _residual_alignment(subject.trained)
    untrained, *_ = _residual_alignment(subject.twins())
    null = _permuted(subject.trained, directions, tests)
    shown, _ = aligned(subject.trained, partial(_residual, outputs))
    ceiling = max(estimate.interval(0.95)[1] for estimate in untrained)
    level = quantile(null, LEVEL)
    return Measurement(
        trained,
        {"outputs": shown},
        {"larger of null and untrained": max(level, ceiling)},
        {
            "99.9% of permuted sequences": level,
            "upper end of untrained": ceiling,
            **share_that_may_fail(subject.trained),
        },
        beside={
            "permuted sequences": (exact("all", float(np.median(null)), count=len(null)),),
            "untrained": untrained,
        },
    )


def _residual_alignment(study: TokenStudy) -> tuple[tuple[Estimate, ...], Sequence[Directions], Sequence[Array]]:
    """Estimates and directions of all pairs, and the residuals (n, t, r) of every model that they are of."""
    values = {
        split: [_residual(coordinates, study, k, split) for k in study.members]
        for split in (Split.SELECTION, Split.EVALUATION)
    }
    chosen, tested = (moments(*values[split]) for split in (Split.SELECTION, Split.EVALUATION))
    estimates, _, directions = aligned_pairs(study, chosen, tested)
    return estimates, directions, values[Split.EVALUATION]


def _permuted(study: TokenStudy, directions: Sequence[Directions], tests: Sequence[Array]) -> Array:
    """The null: 1,000 permutations of one seed's sequences, over all pairs."""
    nulls = [
        permuted_correlations(tests[i] @ ours.T, tests[j] @ theirs.T, draws=DRAWS, seed=i * len(study) + j)
        for (i, j), (ours, theirs) in zip(study.pairs, directions, strict=True)
    ]
    return np.concatenate(nulls)


def permuted_correlations(first: Array, second: Array, *, draws: int, seed: int) -> Array:
    """(draws) smallest correlation over variates (n, t, r), paired column by column, after sequences are permuted."""
    rng = np.random.default_rng(seed)
    count = len(first)
    one = first - first.mean(axis=(0, 1))
    two = second - second.mean(axis=(0, 1))
    size = np.sqrt((one**2).sum(axis=(0, 1)) * (two**2).sum(axis=(0, 1)))
    orders = np.stack([rng.permutation(count) for _ in range(draws)], axis=1)  # (n, draws)
    sums = np.zeros((one.shape[2], draws))
    # Some rows at a time, and of those row by row: what is looked up stays in the processor's cache.
    for start in range(0, count, ROWS):
        rows = slice(start, start + ROWS)
        for column, total in enumerate(sums):
            products = one[rows, :, column] @ two[:, :, column].T  # (rows, n): each sequence against every other
            total += np.take_along_axis(products, orders[rows], axis=1).sum(axis=0)
    return np.asarray((sums / size[:, None]).min(axis=0))
