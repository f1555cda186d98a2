"""What is measured at a site inside a deeper model of a hidden Markov process, beyond what its outputs show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ace.arrays import Array
from ace.families.core.ablation import edited, relative
from ace.families.core.alignment import coordinates, oblique
from ace.families.core.size import require_cores, require_several
from ace.families.core.transplant import transplanted
from ace.families.hidden_markov.outside import (
    Both,
    Reduced,
    View,
    beyond,
    output_features,
    outputs_beyond_tokens,
    symbols_beyond_tokens,
)
from ace.families.trained import share_that_may_fail
from ace.moments import Moments, pooled, regression
from ace.stats import Estimate, bootstrap
from ace.study.controls import principal_core
from ace.study.measurement import Measurement, measures
from ace.study.rest import Rest
from ace.study.token_rest import rest_at
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.tasks.hidden_markov import HiddenMarkov


@measures("untrained", "outputs", "symbols", "other sequences", "the rest")
def belief(subject: TokenSubject) -> Measurement:
    """Share of what outputs, token and position leave of the belief that the core explains, held out.

    Regressions are fitted on the selection split. The controls stand in the core's place: the core of the untrained
    twin, the outputs of another model, all symbols so far, the core of other sequences.
    """
    study, twins = require_cores(subject.trained), require_cores(subject.twins(), "untrained model")
    process = study.expect_task(HiddenMarkov)
    shares: dict[str, list[Estimate]] = {}
    rest, shown = [], []
    for k in study.members:
        other = (k + 1) % len(study)
        axes = principal_core(study, k).basis.numpy()
        known: dict[str, View | Reduced] = {
            "belief": lambda split: process.latent(study.batch(split).inputs),
            "core": partial(study.coordinates, k),
            "untrained": partial(twins.coordinates, k),
            "outputs": Reduced(partial(outputs_beyond_tokens, study, other)),
            "symbols": Reduced(partial(symbols_beyond_tokens, study)),
            "state": partial(states_of, study, k),
        }
        left_of = beyond(study, k, symbols=False)
        left = {name: left_of(view) for name, view in known.items()}
        target, state = left["belief"], left["state"]
        views = {name: left[name] for name in ("core", "untrained", "outputs", "symbols")} | {
            "other sequences": {split: np.roll(values, 1, axis=0) for split, values in left["core"].items()},
            "whole state": state,
            "PCA": {split: values @ axes for split, values in state.items()},
        }
        for name, view in views.items():
            shares.setdefault(name, []).append(share(str(k), target, view))
        rest.append(_of_the_rest(study, k, target, state))
        shown.append(_unexplained(process.latent(study.batch(Split.EVALUATION).inputs), target[Split.EVALUATION]))
    return Measurement(
        tuple(shares["core"]),
        {name: tuple(shares[name]) for name in ("untrained", "outputs", "symbols", "other sequences")},
        details={
            "dimensions": [study.core(k).dimension for k in study.members],
            "of the belief, left by outputs": shown,
            **share_that_may_fail(study),
        },
        rest=tuple(rest),
        beside={name: tuple(shares[name]) for name in ("whole state", "PCA")},
    )


def states_of(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, t, d) whole states of one model, float64."""
    return np.asarray(study.states(index, split).double().numpy())


def share(label: str, target: Both, view: Both) -> Estimate:
    """Share of a target (n, t, k) that a view (n, t, l) explains: fitted on selection, measured on evaluation."""
    fitted = pooled(view[Split.SELECTION], target[Split.SELECTION])
    slope, offset = regression(fitted.total, *fitted.views)
    wanted = target[Split.EVALUATION]
    left = wanted - (view[Split.EVALUATION] @ slope.T + offset)
    columns = np.stack([(part**2).sum(axis=(1, 2)) for part in (left, wanted)], axis=1)
    return bootstrap(label, columns, lambda means: 1.0 - means[:, 0] / means[:, 1], vectorized=True)


def _unexplained(belief: Array, left: Array) -> float:
    """Share of the belief's variance that is left."""
    return float((left**2).sum() / ((belief - belief.mean(axis=(0, 1))) ** 2).sum())


def _of_the_rest(study: TokenStudy, index: int, target: Both, state: Both) -> Rest:
    """Random subspaces of the rest in one core's place: what they explain, from the moments of the whole state."""
    drawn = rest_at(study, index)
    fitted, tested = (pooled(state[split], target[split]) for split in (Split.SELECTION, Split.EVALUATION))

    def values(numbers: Sequence[int]) -> Array:
        return np.array([[explained_by(drawn.readers[number].numpy(), fitted, tested)] for number in numbers])

    return Rest(str(index), (str(index),), values)


def explained_by(readers: NDArray[np.float64], fitted: Moments, tested: Moments) -> float:
    """`share` of the coordinates that readers (r, d) give of a state (d), from moments of state and target."""
    state, target = fitted.views
    lift = np.zeros((1 + len(readers) + target.stop - target.start, target.stop))
    lift[0, 0] = 1.0
    lift[1 : 1 + len(readers), state] = readers
    lift[1 + len(readers) :, target] = np.eye(target.stop - target.start)
    read, wanted = slice(1, 1 + len(readers)), slice(1 + len(readers), len(lift))
    slope, offset = regression(lift @ fitted.total @ lift.T, read, wanted)
    moment = lift @ tested.total @ lift.T
    error = np.zeros((len(slope), len(lift)))
    error[:, wanted], error[:, read], error[:, 0] = np.eye(len(slope)), -slope, -offset
    return float(1.0 - np.trace(error @ moment @ error.T) / np.trace(moment[wanted, wanted]))


@measures("untrained", "outputs", "other sequences")
def alignment(subject: TokenSubject) -> Measurement:
    """Share of what outputs and symbols leave of one model's core that another's core explains, held out.

    Canonical correlations would not do: they know no size, and what smooth functions of the outputs leave of each other
    is small but as correlated as the outputs are. All symbols so far are regressed out too: cores of this process hold
    them, and would agree by that alone.
    """
    study, twins = require_cores(require_several(subject)), require_cores(subject.twins(), "untrained model")
    kinds: dict[str, Callable[[int], View | Reduced]] = {
        "core": lambda k: partial(study.coordinates, k),
        "untrained": lambda k: partial(twins.coordinates, k),
        "outputs": lambda k: Reduced(partial(outputs_beyond_tokens, study, k)),
    }
    shares: dict[str, list[Estimate]] = {}
    left_over = []
    for host in study.members:
        donors = [k for k in study.members if k != host]
        left_of = beyond(study, host, symbols=True)
        own = left_of(partial(study.coordinates, host))
        left_over.append(_unexplained(study.coordinates(host, Split.EVALUATION), own[Split.EVALUATION]))
        for k in donors:
            label = f"{k}>{host}"
            for kind, view in kinds.items():
                left = left_of(view(k))
                shares.setdefault(kind, []).append(share(label, own, left))
                if kind == "core":
                    turned = {split: np.roll(values, 1, axis=0) for split, values in left.items()}
                    shares.setdefault("other sequences", []).append(share(label, own, turned))
    return Measurement(
        tuple(shares["core"]),
        {name: tuple(shares[name]) for name in ("untrained", "outputs", "other sequences")},
        details={"of the core, left by outputs and symbols": left_over, **share_that_may_fail(study)},
    )


@measures("shuffled map", "untrained donor", "outputs")
def transplant(subject: TokenSubject) -> Measurement:
    """What each host loses when it is run from the site on with another model's core coordinates, mapped affinely.

    In units of what it scores above chance. Outputs in the coordinates' place come with their squares and products, for
    each current token apart.
    """
    study, twins = require_cores(require_several(subject)), require_cores(subject.twins(), "untrained model")

    def kept(index: int) -> Estimate:
        """What the host loses with its own core alone: no donor can be expected to do better."""
        return relative(str(index), study, index, edited(study, index, "keep", "orthogonal"), study.base_scores(index))

    return Measurement(
        transplanted(study, study, coordinates),
        {
            "shuffled map": transplanted(study, study, coordinates, shuffled=True, reach=1),
            "untrained donor": transplanted(twins, study, coordinates, reach=1),
            "outputs": transplanted(study, study, output_features, reach=1),
        },
        details=share_that_may_fail(study),
        beside={
            "oblique": transplanted(study, study, oblique, projector="oblique"),
            "own core kept": tuple(kept(k) for k in study.members),
        },
    )
