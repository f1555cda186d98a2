"""What is known outside a model is taken out of what is asked of its inside; shares are those of plain regressions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from torch import nn

from ace.arrays import Array
from ace.families.core.alignment import coordinates
from ace.families.core.transplant import transplanted
from ace.families.hidden_markov import inner
from ace.families.hidden_markov.belief import permuted_correlations
from ace.families.hidden_markov.outside import (
    SPLITS,
    Both,
    Reduced,
    View,
    beyond,
    less_token_means,
    output_features,
    outputs_beyond_tokens,
    symbol_features,
    symbols_beyond_tokens,
)
from ace.moments import moments
from ace.study.tokens import TokenStudy
from ace.tasks import HiddenPermutation, Split, hidden_permutation
from ace.training.transformer import Architecture
from invariants.contracts import builders

SMALL = {Split.EXTRACTION: 60, Split.SELECTION: 200, Split.EVALUATION: 120}


@pytest.fixture(scope="module")
def study() -> TokenStudy:
    """Two untrained models of three blocks, read at the input of the last."""
    models = builders.untrained(Architecture(3, 8, 3, width=12, heads=2, hidden=16))
    return TokenStudy(models, hidden_permutation(length=7), sites="blocks.2", sizes=SMALL)


def without_chance(*models: nn.Module) -> TokenStudy:
    """A study in which chance scores nothing: untrained models score no more than the true chance."""
    study = TokenStudy(models, hidden_permutation(length=7), sites="blocks.2", sizes=SMALL)
    study.memory.put(("chance", study), np.zeros(SMALL[Split.EVALUATION]))
    return study


def all_beyond(study: TokenStudy, views: Mapping[str, View], *, symbols: bool = False) -> dict[str, Both]:
    left_of = beyond(study, 0, symbols=symbols)
    return {name: left_of(view) for name, view in views.items()}


def belief(study: TokenStudy, split: Split) -> Array:
    return study.expect_task(HiddenPermutation).latent(study.batch(split).inputs)


def test_a_view_less_its_token_means_has_none(study: TokenStudy) -> None:
    inputs = study.batch(Split.SELECTION).inputs
    left = less_token_means(study.coordinates(0, Split.SELECTION), inputs, 3)
    for token in range(3):
        for place in range(inputs.shape[1]):
            assert np.abs(left[inputs[:, place] == token, place].mean(axis=0)).max() <= 1e-12


def test_of_the_outputs_nothing_is_left_and_of_something_else_all(study: TokenStudy) -> None:
    # What regression takes out of a view of the outputs is all of it, on rows that it was not fitted on too.
    noise = {split: np.random.default_rng(k).normal(size=(SMALL[split], 6, 2)) for k, split in enumerate(SPLITS)}
    views: dict[str, View] = {"outputs": partial(output_features, study, 0), "noise": noise.__getitem__}
    left = all_beyond(study, views)
    size = float(np.abs(output_features(study, 0, Split.EVALUATION)).max())
    assert np.abs(left["outputs"][Split.EVALUATION]).max() <= 1e-6 * size
    assert (left["noise"][Split.EVALUATION] ** 2).mean() >= 0.8


@pytest.mark.parametrize("symbols", [False, True])
def test_views_reduced_once_leave_what_they_leave_when_given_whole(study: TokenStudy, symbols: bool) -> None:
    left_of = beyond(study, 0, symbols=symbols)
    pairs: dict[View, View] = {
        partial(output_features, study, 1): partial(outputs_beyond_tokens, study, 1),
        partial(symbol_features, study): partial(symbols_beyond_tokens, study),
    }
    for whole, reduced in pairs.items():
        slow, fast = left_of(whole), left_of(Reduced(reduced))
        assert all(np.array_equal(slow[split], fast[split]) for split in SPLITS)


@pytest.mark.parametrize("count", [7, 230])
def test_permuted_correlations_are_those_of_sequences_put_in_another_order(count: int) -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(2, count, 4, 3))
    second += 0.5 * first + 2
    found = permuted_correlations(first, second, draws=6, seed=9)
    orders = np.random.default_rng(9)
    for value in found:
        turned = second[orders.permutation(count)]
        pairs = zip(first.reshape(-1, 3).T, turned.reshape(-1, 3).T, strict=True)
        assert value == pytest.approx(min(np.corrcoef(*pair)[0, 1] for pair in pairs), abs=1e-12)


def test_symbols_are_taken_out_where_that_is_asked(study: TokenStudy) -> None:
    views = {"symbols": partial(symbol_features, study)}
    kept, gone = (all_beyond(study, views, symbols=known)["symbols"][Split.EVALUATION] for known in (False, True))
    assert np.abs(gone).max() <= 1e-6
    assert (kept**2).mean() >= 0.05


def test_symbols_so_far_are_those_of_the_past(study: TokenStudy) -> None:
    inputs, shown = study.batch(Split.SELECTION).inputs, symbol_features(study, Split.SELECTION)
    lags = shown.reshape(*inputs.shape, inputs.shape[1], 2)
    for place in range(inputs.shape[1]):
        for lag in range(inputs.shape[1]):
            expected = np.eye(3)[inputs[:, place - lag], :2] if lag <= place else np.zeros((len(inputs), 2))
            assert np.array_equal(lags[:, place, lag], expected)


def test_a_share_is_that_of_an_ordinary_regression(study: TokenStudy) -> None:
    views = {"belief": partial(belief, study), "core": partial(study.coordinates, 0)}
    left = all_beyond(study, views)
    rows = {split: [part[split].reshape(-1, part[split].shape[-1]) for part in left.values()] for split in SPLITS}
    wanted, given = rows[Split.EVALUATION]
    fitted = LinearRegression().fit(rows[Split.SELECTION][1], rows[Split.SELECTION][0])
    expected = 1 - ((wanted - fitted.predict(given)) ** 2).sum() / (wanted**2).sum()
    assert inner.share("0", left["belief"], left["core"]).value == pytest.approx(expected, abs=1e-9)


def test_what_a_draw_explains_is_the_share_of_its_coordinates(study: TokenStudy) -> None:
    views = {"belief": partial(belief, study), "state": partial(inner.states_of, study, 0)}
    left = all_beyond(study, views)
    readers = np.random.default_rng(0).normal(size=(4, 12))
    fitted, tested = (moments(left["state"][split], left["belief"][split]) for split in SPLITS)
    slow = inner.share("0", left["belief"], {split: left["state"][split] @ readers.T for split in SPLITS}).value
    assert inner.explained_by(readers, fitted, tested) == pytest.approx(slow, abs=1e-7)


def test_other_sequences_explain_nothing(study: TokenStudy) -> None:
    views = {"belief": partial(belief, study), "core": partial(study.coordinates, 0)}
    left = all_beyond(study, views)
    turned = {split: np.roll(left["core"][split], 1, axis=0) for split in SPLITS}
    assert inner.share("0", left["belief"], turned).value <= 0.05


@pytest.mark.parametrize("projector", ["orthogonal", "oblique"])
def test_a_model_run_on_its_own_coordinates_loses_what_keeping_its_core_loses(
    study: TokenStudy, projector: str
) -> None:
    # Two copies of one model: the map from one's coordinates to the other's is the identity.
    twice = without_chance(study.models[0], study.models[0])
    core = twice.core(0)
    states = twice.states(0, Split.EVALUATION)
    kept = core.mean + (states.double() - core.mean) @ core.projector(projector).T
    lost = twice.scores(0, states=kept.to(states)).mean() - twice.base_scores(0).mean()

    def view(of: TokenStudy, index: int, split: Split) -> Array:
        return of.core(index).coordinates(of.states(index, split), projector).numpy()

    own = twice.base_scores(0).mean()
    answer = 1 / twice.batch(Split.EVALUATION).targets.size / own  # near ties of logits may fall either way
    for estimate in transplanted(twice, twice, view, projector=projector):
        assert estimate.value == pytest.approx(lost / own, abs=3 * answer)
    for estimate in transplanted(twice, twice, view, projector=projector, shuffled=True):
        assert abs(estimate.value - lost / own) > 3 * answer


def test_each_host_has_as_many_donors_as_asked(study: TokenStudy) -> None:
    three = without_chance(*study.models, study.models[0])
    labels = [estimate.label for estimate in transplanted(three, three, coordinates)]
    assert labels == ["1>0", "2>0", "0>1", "2>1", "0>2", "1>2"]
    labels = [estimate.label for estimate in transplanted(three, three, coordinates, reach=1)]
    assert labels == ["1>0", "2>1", "0>2"]
