"""What is known of a state from outside the model, and what that leaves of anything inside it.

Below a linear head a core is nearly the outputs. Inside a deeper model the question is what a site holds beyond them:
so whatever is measured there is first regressed on what an observer of inputs and outputs has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ace.arrays import EPS, Array, Ints
from ace.study.memory import remembered
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

View = Callable[[Split], Array]
Both = Mapping[Split, Array]  # of the selection and the evaluation split

SPLITS = (Split.SELECTION, Split.EVALUATION)


@dataclass(frozen=True)
class Reduced:
    """A view whose means by token and position are taken out already."""

    rows: View


def less_token_means(values: Array, inputs: Ints, vocabulary: int) -> Array:
    """Values (n, t, k) less their mean over all sequences with the same token of inputs (n, t) at the same position.

    The mean over positions alone is the same for all seeds and would count as agreement, so it is subtracted too.
    """
    shown = np.eye(vocabulary)[inputs]  # (n, t, v)
    sums = shown.transpose(1, 2, 0) @ values.transpose(1, 0, 2)  # (t, v, k)
    means = sums / np.maximum(shown.sum(axis=0), 1)[..., None]
    return np.asarray(values - means[np.arange(inputs.shape[1]), inputs])


def output_parts(study: TokenStudy, index: int, split: Split) -> tuple[Array, Array]:
    """(n, t, v - 1) each: centred logits and probabilities of one model; the last class is given by the others."""
    parts = study.tail(index).outputs(study.inputs(split), study.states(index, split), study.batch(split).scored)
    logits = torch.cat([part.double() for part in parts])
    centred, chances = logits - logits.mean(dim=-1, keepdim=True), logits.softmax(dim=-1)
    return centred[..., :-1].numpy(), chances[..., :-1].numpy()


@remembered
def output_features(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, t, k) one model's outputs, for each current token apart.

    Centred logits and probabilities, with the squares and products of either.
    """
    batch, free = study.batch(split), output_parts(study, index, split)
    first, second = np.triu_indices(free[0].shape[-1])
    columns = np.concatenate([*free, *(part[..., first] * part[..., second] for part in free)], axis=-1)
    apart = columns[..., None] * np.eye(study.task.vocabulary)[batch.inputs][..., None, :]
    return np.asarray(apart.reshape(*batch.inputs.shape, -1))


def symbol_features(study: TokenStudy, split: Split) -> Array:
    """(n, t, k) indicators of the symbols so far, the current one and those before it, back to the first."""
    inputs = study.batch(split).inputs
    shown = np.eye(study.task.vocabulary)[inputs][..., :-1]
    length = inputs.shape[1]
    lags = [np.pad(shown[:, : length - lag], ((0, 0), (lag, 0), (0, 0))) for lag in range(length)]
    return np.concatenate(lags, axis=-1)


@remembered
def outputs_beyond_tokens(study: TokenStudy, index: int, split: Split) -> Array:
    """(n, t, k) `output_features` less their means by token and position: hosts and donors take the same ones."""
    values = output_features(study, index, split)
    return less_token_means(values, study.batch(split).inputs, study.task.vocabulary)


@remembered
def symbols_beyond_tokens(study: TokenStudy, split: Split) -> Array:
    """(n, t, k) `symbol_features` less their means by token and position."""
    return less_token_means(symbol_features(study, split), study.batch(split).inputs, study.task.vocabulary)


def beyond(study: TokenStudy, index: int, *, symbols: bool) -> Callable[[View | Reduced], Both]:
    """What a view (n, t, k) has beyond what is known outside one model: its outputs, token and position.

    Token and position are taken out as means, the rest by one regression fitted on the selection split.

    Args:
        symbols: all earlier symbols are known too, as far as regression makes something of them.
    """

    def prepared(view: View | Reduced, split: Split) -> Array:
        if isinstance(view, Reduced):
            left = view.rows(split)
        else:
            left = less_token_means(view(split), study.batch(split).inputs, study.task.vocabulary)
        return left.reshape(-1, left.shape[-1])

    def known(split: Split) -> Array:
        outputs = outputs_beyond_tokens(study, index, split)
        columns = [outputs, *([symbols_beyond_tokens(study, split)] if symbols else [])]
        return np.concatenate(columns, axis=-1).reshape(-1, sum(part.shape[-1] for part in columns))

    outside = {split: known(split) for split in SPLITS}
    frame, triangle = (part.numpy() for part in torch.linalg.qr(torch.from_numpy(outside[Split.SELECTION])))
    rounding = len(frame) * EPS

    def left_of(view: View | Reduced) -> Both:
        rows = {split: prepared(view, split) for split in SPLITS}
        slope, *_ = np.linalg.lstsq(triangle, frame.T @ rows[Split.SELECTION], rcond=rounding)
        return {
            split: (values - outside[split] @ slope).reshape(*study.batch(split).inputs.shape, -1)
            for split, values in rows.items()
        }

    return left_of
