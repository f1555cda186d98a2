"""Properties of tasks: oracles that are optimal, splits that share nothing, chains that are what they claim."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ace.arrays import Array
from ace.dynamics import match_spectra
from ace.errors import InputError, SplitError
from ace.tasks import (
    HiddenMarkov,
    MarkovChain,
    Split,
    Task,
    build_task,
    circulant_chain,
    hidden_permutation,
    low_rank_chain,
    mess3,
)
from ace.tasks.base import check_transition, require_disjoint, sample_chain, stationary
from invariants.properties.strategies import distance, hoeffding, predicted, rounding, seeds

TASKS: dict[str, Task] = {
    "circulant": circulant_chain(length=6),
    "low_rank": low_rank_chain(length=6),
    "mess3": mess3(length=6),
    "hidden_permutation": hidden_permutation(length=6),
}
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
probabilities = st.floats(0.05, 0.95)
DRAWS = 2000
MANY = 10_000  # an oracle that is surer than it should be, .9 where .75 is right, is told from these


def random_chain(seed: int, states: int) -> Array:
    """Row-stochastic matrix with entries bounded away from 0, hence irreducible and well-conditioned."""
    raw = np.random.default_rng(seed).random((states, states)) + 0.1
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def random_process(seed: int, states: int, symbols: int, length: int) -> HiddenMarkov:
    """A generic hidden Markov process."""
    raw = np.random.default_rng(seed + 1).random((states, symbols)) + 0.1
    return HiddenMarkov("random", random_chain(seed, states), raw / raw.sum(axis=1, keepdims=True), length)


# --- Splits and batches -----------------------------------------------------------------------------------------------


@every_task
@given(seed=seeds, sequences=st.integers(1, 20))
def test_a_split_is_fixed_by_its_seed(task: Task, seed: int, sequences: int) -> None:
    for split in Split:
        first, second = task.draw(split, sequences, seed), task.draw(split, sequences, seed)
        assert np.array_equal(first.inputs, second.inputs)
        assert np.array_equal(first.targets, second.targets)
        assert first.split is split


@every_task
@given(seed=seeds)
def test_splits_and_seeds_are_different_streams(task: Task, seed: int) -> None:
    draws = [task.draw(split, 30, number).inputs for split in Split for number in (seed, seed + 1)]
    assert not any(np.array_equal(one, two) for one, two in combinations(draws, 2))


@every_task
@given(seed=seeds)
def test_streams_of_different_splits_are_uncorrelated(task: Task, seed: int) -> None:
    # Values of independent uniform streams: the product of two centred ones has mean 0 and lies within 1/4.
    streams = [task.stream(split, seed).random(DRAWS) - 0.5 for split in Split]
    for one, two in combinations(streams, 2):
        assert abs(float((one * two).mean())) <= hoeffding(DRAWS, spread=0.5)


@every_task
@given(seed=seeds, sequences=st.integers(1, 20))
def test_targets_are_the_inputs_one_step_on(task: Task, seed: int, sequences: int) -> None:
    batch = task.draw(Split.EVALUATION, sequences, seed)
    assert batch.inputs.shape == batch.targets.shape == (sequences, 5)
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    for tokens in (batch.inputs, batch.targets):
        assert bool(((tokens >= 0) & (tokens < task.vocabulary)).all())


@every_task
@given(seed=seeds, sequences=st.integers(1, 20))
def test_predictive_rows_are_distributions(task: Task, seed: int, sequences: int) -> None:
    predictive = predicted(task.draw(Split.EVALUATION, sequences, seed))
    assert predictive.shape == (sequences, 5, task.vocabulary)
    assert bool((predictive >= 0).all())
    assert distance(predictive.sum(axis=-1), 1.0) <= rounding(task.vocabulary * 6)


@every_task
@given(seed=seeds, tilt=st.floats(0.05, 0.5), kind=st.sampled_from(["flatter", "sharper"]))
def test_no_calibrated_change_of_the_oracle_lowers_its_expected_loss(
    task: Task, seed: int, tilt: float, kind: str
) -> None:
    # Gibbs: under the oracle's own distribution, any other assigns the outcome a lower log-probability on average.
    truth = predicted(task.draw(Split.EVALUATION, 50, seed))
    power = 1 - tilt if kind == "flatter" else 1 + tilt
    other = np.where(truth > 0, truth, 0.0) ** power
    other /= other.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = -np.nansum(truth * np.log(truth), axis=-1)
        worse = -np.nansum(np.where(truth > 0, truth * np.log(other), 0.0), axis=-1)
    assert bool((worse >= loss - rounding(10)).all())
    assert worse.mean() > loss.mean()


@every_task
@given(seed=seeds)
def test_oracle_scores_have_their_own_expectations(task: Task, seed: int) -> None:
    # The oracle is calibrated: the targets it is scored on are draws from what it predicts.
    batch = task.draw(Split.EVALUATION, MANY, seed)
    predictive = predicted(batch)[:, -1]  # one position a sequence, so that all are independent
    hits, expected = batch.oracle_hits[:, -1], predictive.max(axis=-1)
    assert float((hits - expected).mean()) == pytest.approx(0.0, abs=hoeffding(MANY, spread=2.0))
    losses = batch.oracle_loss[:, -1]
    entropy = -(predictive * np.log(np.where(predictive > 0, predictive, 1.0))).sum(axis=-1)
    # -log p of a drawn outcome is not bounded by 1, but neither exceeds -log of the smallest probability drawn.
    largest = float(-np.log(predictive[predictive > 0].min()))
    assert float((losses - entropy).mean()) == pytest.approx(0.0, abs=hoeffding(MANY, spread=2 * largest))


@every_task
@given(seed=seeds, used=st.sampled_from(list(Split)), wanted=st.sampled_from(list(Split)))
def test_a_split_that_was_used_is_refused_and_no_other(task: Task, seed: int, used: Split, wanted: Split) -> None:
    batch = task.draw(wanted, 1, seed)
    if used is wanted:
        with pytest.raises(SplitError, match="different"):
            require_disjoint(used.value, batch)
    else:
        require_disjoint(used.value, batch)


# --- Markov chains ----------------------------------------------------------------------------------------------------


@given(seed=seeds, states=st.integers(2, 7))
def test_the_stationary_distribution_is_stationary_and_the_limit(seed: int, states: int) -> None:
    transition = random_chain(seed, states)
    found = stationary(transition)
    assert found.sum() == pytest.approx(1.0)
    assert bool((found > 0).all())
    assert distance(found @ transition, found) <= rounding(states)
    # Entries of at least 0.1 / (1.1 states) mix by a factor of 10/11 a step: (10/11)^512 is below eps.
    assert distance(np.linalg.matrix_power(transition, 512), np.tile(found, (states, 1))) <= rounding(512)


@given(seed=seeds, states=st.integers(2, 7))
def test_relabelling_the_states_relabels_everything(seed: int, states: int) -> None:
    transition = random_chain(seed, states)
    order = np.random.default_rng(seed).permutation(states)
    moved = transition[np.ix_(order, order)]
    assert distance(stationary(moved), stationary(transition)[order]) <= rounding(states)
    chain, other = MarkovChain("a", transition, 4), MarkovChain("b", moved, 4)
    assert match_spectra(chain.eigenvalues, other.eigenvalues).largest <= 1e-6  # generic, but may be ill-conditioned
    assert chain.distinct_rows == other.distinct_rows


@given(states=st.integers(2, 9), stay=probabilities)
def test_circulant_eigenvalues_follow_their_formula(states: int, stay: float) -> None:
    chain = circulant_chain(states, stay)
    wanted = stay + (1 - stay) * np.exp(2j * np.pi * np.arange(1, states) / states)
    assert match_spectra(chain.eigenvalues, wanted).largest <= rounding(states)
    # Eigenvalues do not tell a ring from its reversal; it steps to the next state.
    assert distance(chain.transition[np.arange(states), (np.arange(states) + 1) % states], 1 - stay) <= rounding(1)
    assert bool((np.diff(np.abs(chain.eigenvalues)) <= rounding(states)).all())
    assert distance(stationary(chain.transition), 1 / states) <= rounding(states)
    if states > 2:  # two states that stay and step alike are one
        assert chain.distinct_rows == chain.vocabulary == states


@given(rows=st.integers(2, 5), copies=st.integers(1, 4), peak=st.floats(0.05, 1.0))
def test_a_low_rank_chain_is_stochastic_with_exactly_the_distinct_rows_asked_for(
    rows: int, copies: int, peak: float
) -> None:
    chain = low_rank_chain(rows, copies, peak)
    assert chain.transition.shape == (rows * copies, rows * copies)
    assert distance(chain.transition.sum(axis=1), 1.0) <= rounding(rows * copies)
    assert chain.distinct_rows == rows
    # Predictions less their mean span one dimension fewer than there are of them.
    centred = chain.transition - chain.transition.mean(axis=0)
    assert np.linalg.matrix_rank(centred, tol=1e-9) == rows - 1
    assert np.count_nonzero(np.abs(chain.eigenvalues) > 1e-9) == rows - 1


@given(seed=seeds, states=st.integers(2, 4))
def test_transition_counts_agree_with_the_matrix(seed: int, states: int) -> None:
    transition = random_chain(seed, states)
    path = sample_chain(transition, stationary(transition), DRAWS, 3, np.random.default_rng(seed))
    # One transition a sequence, the last, so that all are independent; given the state each row is a proportion.
    for state in range(states):
        after = path[path[:, 1] == state, 2]
        shares = np.bincount(after, minlength=states) / len(after)
        assert distance(shares, transition[state]) <= hoeffding(len(after))


@given(seed=seeds, states=st.integers(2, 5))
def test_every_position_of_a_sequence_is_stationary(seed: int, states: int) -> None:
    transition = random_chain(seed, states)
    path = sample_chain(transition, stationary(transition), DRAWS, 4, np.random.default_rng(seed))
    for position in range(4):
        shares = np.bincount(path[:, position], minlength=states) / DRAWS
        assert distance(shares, stationary(transition)) <= hoeffding(DRAWS)


@given(seed=seeds, states=st.integers(2, 6), fault=st.sampled_from(["sum", "sign", "nan", "reach", "shape"]))
def test_matrices_that_are_no_irreducible_chain_are_refused(seed: int, states: int, fault: str) -> None:
    transition = random_chain(seed, states)
    assert np.array_equal(check_transition(transition), transition)
    match fault:
        case "sum":
            transition[0] *= 1.01
        case "sign":
            transition[0, :2] = transition[0, 0] + 2, transition[0, 1] - 2
        case "nan":
            transition[0, 0] = np.nan
        case "reach":
            transition[:] = np.eye(states)
        case _:
            transition = transition[1:]
    with pytest.raises(InputError, match="transition"):
        check_transition(transition)


# --- Hidden Markov processes ------------------------------------------------------------------------------------------


def by_enumeration(process: HiddenMarkov, symbols: tuple[int, ...]) -> Array:
    """(s) posterior of the last hidden state: the joint probability summed over every hidden path. The slow twin."""
    start, states = stationary(process.transition), range(len(process.transition))
    weight = np.zeros(len(process.transition))
    for path in product(states, repeat=len(symbols)):
        joint = start[path[0]] * process.emission[path[0], symbols[0]]
        for before, after, symbol in zip(path, path[1:], symbols[1:], strict=False):
            joint *= process.transition[before, after] * process.emission[after, symbol]
        weight[path[-1]] += joint
    return np.asarray(weight / weight.sum())


@given(stay=probabilities, own=probabilities, symbols=st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_the_mess3_filter_equals_enumeration_of_hidden_paths(stay: float, own: float, symbols: list[int]) -> None:
    process = mess3(stay, own, len(symbols) + 1)
    found = process.beliefs(np.array([symbols]))[0]
    for end in range(1, len(symbols) + 1):
        assert distance(found[end - 1], by_enumeration(process, tuple(symbols[:end]))) <= rounding(100)


@given(seed=seeds, states=st.integers(2, 4), symbols=st.integers(2, 4), length=st.integers(2, 5))
def test_any_filter_equals_enumeration_and_predicts_by_it(seed: int, states: int, symbols: int, length: int) -> None:
    process = random_process(seed, states, symbols, length)
    batch = process.draw(Split.EVALUATION, 3, seed)
    for tokens, predictive in zip(batch.inputs, predicted(batch), strict=True):
        belief = by_enumeration(process, tuple(tokens.tolist()))
        assert distance(predictive[-1], belief @ process.transition @ process.emission) <= rounding(200)


@given(seed=seeds, symbols=st.integers(2, 4), length=st.integers(2, 5))
def test_predictive_probabilities_multiply_to_the_probability_of_the_sequence(
    seed: int, symbols: int, length: int
) -> None:
    # Summed over all sequences of a length they give 1: the predictor is that of one process, at every position.
    process = random_process(seed, 3, symbols, length)
    everything = np.array(list(product(range(symbols), repeat=length)))
    beliefs = process.beliefs(everything[:, :-1])
    predictive = beliefs @ process.transition @ process.emission
    chosen = np.take_along_axis(predictive, everything[:, 1:, None], axis=-1)[..., 0]
    first = (stationary(process.transition) @ process.emission)[everything[:, 0]]
    assert float((first * chosen.prod(axis=1)).sum()) == pytest.approx(1.0)


@given(seed=seeds, states=st.integers(2, 5))
def test_a_process_that_shows_its_state_is_a_markov_chain(seed: int, states: int) -> None:
    transition = random_chain(seed, states)
    process = HiddenMarkov("open", transition, np.eye(states), 6)
    batch = process.draw(Split.EVALUATION, 10, seed)
    assert distance(process.beliefs(batch.inputs), np.eye(states)[batch.inputs]) <= rounding(states)
    assert distance(predicted(batch), transition[batch.inputs]) <= rounding(states)


@given(stay=probabilities, own=probabilities, seed=seeds)
def test_mess3_is_symmetric_under_relabelling(stay: float, own: float, seed: int) -> None:
    process = mess3(stay, own, 6)
    symbols = np.random.default_rng(seed).integers(3, size=(4, 5))
    order = np.random.default_rng(seed + 1).permutation(3)
    # Renaming symbols renames hidden states in the same way: belief in state s becomes belief in order[s].
    assert distance(process.beliefs(order[symbols])[..., order], process.beliefs(symbols)) <= rounding(100)


@given(stay=probabilities, hit=probabilities, symbols=st.lists(st.integers(0, 2), min_size=1, max_size=3))
def test_the_belief_over_permutations_equals_enumeration_of_them(stay: float, hit: float, symbols: list[int]) -> None:
    # By the definition alone: every path of rules, each step led by its rule with `hit`, else by any other symbol.
    rules = list(permutations(range(3)))
    weight = dict.fromkeys(rules, 0.0)
    for path in product(rules, repeat=len(symbols)):
        joint = 1.0
        for old, new, before, after in zip(path, path[1:], symbols, symbols[1:], strict=False):
            joint *= stay if old == new else (1 - stay) / 5
            joint *= hit if new[before] == after else (1 - hit) / 2
        weight[path[-1]] += joint
    expected = np.array([weight[rule] for rule in rules]) / sum(weight.values())
    latent = hidden_permutation(3, stay, hit, len(symbols) + 1).latent(np.array([symbols]))
    assert distance(latent[0, -1], expected) <= rounding(1000)


@given(stay=probabilities, hit=probabilities, seed=seeds)
def test_one_symbol_says_nothing_of_a_hidden_permutation(stay: float, hit: float, seed: int) -> None:
    process = hidden_permutation(3, stay, hit, 5)
    inputs = process.draw(Split.EVALUATION, 4, seed).inputs
    assert distance(process.latent(inputs)[:, 0], np.full((4, 6), 1 / 6)) <= rounding(100)


@given(stay=probabilities, states=st.integers(2, 5), length=st.integers(2, 9))
def test_a_recipe_s_entries_build_the_task_that_the_builder_builds(stay: float, states: int, length: int) -> None:
    built = build_task({"kind": "circulant", "stay": stay, "states": states, "length": length})
    assert isinstance(built, MarkovChain)
    assert np.array_equal(built.transition, circulant_chain(states, stay, length).transition)
    assert built.length == length
