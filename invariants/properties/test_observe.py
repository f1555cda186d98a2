"""Properties of observation: states are what the network computes, sensitivities what autograd says row by row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ace.model.observe import sensitivities_at, states_at, stream_states
from ace.model.sites import head_of, hooked
from invariants.properties.strategies import Language, batches, distance, gaussian, languages, rounding

chunks = st.integers(1, 7)


def contrast(weights: Tensor) -> Callable[[Tensor], Tensor]:
    """Output reading a combination of the last position's logits."""
    return lambda logits: logits[:, -1] @ weights


def nonlinear(logits: Tensor) -> Tensor:
    """A scalar a sequence that mixes positions and classes nonlinearly."""
    return (logits.log_softmax(dim=-1)[..., 0] * torch.arange(1, logits.shape[1] + 1)).sum(dim=1)


@given(language=languages, chunk=chunks, data=st.data())
def test_streamed_states_equal_one_pass(language: Language, chunk: int, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    whole = states_at(language.model, language.inputs, site, chunk=len(language.inputs))
    parts = list(stream_states(language.model, language.inputs, site, chunk=chunk))
    assert [len(part) for part in parts[:-1]] == [chunk] * (len(parts) - 1)
    assert distance(torch.cat(parts), whole) <= language.tolerance
    assert whole.shape == (*language.inputs.shape, 8)


@given(language=languages)
def test_head_of_the_last_state_gives_the_logits(language: Language) -> None:
    # Holds at site L only if it lies before whatever follows the blocks, where `output_hidden_states` does not.
    state = states_at(language.model, language.inputs, language.anatomy.site(-1))
    assert distance(head_of(language.model)(state), language.model(language.inputs)) <= language.tolerance


@given(language=batches, data=st.data())
def test_states_of_a_row_do_not_depend_on_its_batch(language: Language, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    row = data.draw(st.integers(0, language.sequences - 1))
    whole = states_at(language.model, language.inputs, site)
    alone = states_at(language.model, language.inputs[row : row + 1], site)
    assert distance(alone[0], whole[row]) <= language.tolerance


@given(language=batches, data=st.data())
def test_padding_on_the_right_changes_no_earlier_state_or_sensitivity(language: Language, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    length = data.draw(st.integers(1, language.length - 1))
    short = language.inputs[:, :length]
    padded = torch.cat([short, torch.zeros_like(language.inputs[:, length:])], dim=1)
    weights = gaussian(language.seed, 5)
    whole = states_at(language.model, padded, site)
    assert distance(whole[:, :length], states_at(language.model, short, site)) <= language.tolerance

    def at(inputs: Tensor) -> Tensor:
        found = sensitivities_at(
            language.model, inputs, [site], lambda logits: logits[:, length - 1] @ weights, position=length - 1
        )
        return found[site.index]

    assert distance(at(padded), at(short)) <= language.tolerance


@given(language=languages, chunk=chunks, trainable=st.booleans(), data=st.data())
def test_sensitivities_at_all_sites_equal_jacobian_rows_taken_one_by_one(
    language: Language, chunk: int, trainable: bool, data: st.DataObject
) -> None:
    model, anatomy = language.model.requires_grad_(trainable), language.anatomy
    position = data.draw(st.integers(-language.length, language.length - 1))
    found = sensitivities_at(model, language.inputs, anatomy.sites, nonlinear, position=position, chunk=chunk)
    assert set(found) == {site.index for site in anatomy.sites}
    for site in anatomy.sites:
        for row, tokens in enumerate(language.inputs):
            state = states_at(model, tokens[None], site)[0]

            def tail(vector: Tensor, state: Tensor = state, index: int = site.index) -> Tensor:
                place = position % len(state)
                states = torch.cat([state[:place], vector[None], state[place + 1 :]])[None]
                for block in model.blocks[index:]:
                    states = block(states)
                return nonlinear(model.head(states))[0]

            wanted = torch.autograd.functional.jacobian(tail, state[position])
            assert distance(found[site.index][row], wanted) <= language.tolerance * 10


@given(language=languages, chunk=chunks)
def test_below_a_linear_head_every_sensitivity_is_the_weight_combination(language: Language, chunk: int) -> None:
    weights = gaussian(language.seed, 5)
    site = language.anatomy.site(-1)
    rows = sensitivities_at(language.model, language.inputs, [site], contrast(weights), chunk=chunk)[site.index]
    wanted = weights @ head_of(language.model).weight
    assert distance(rows, wanted.expand_as(rows)) <= rounding(5)


@given(language=languages, first=st.floats(-3, 3), second=st.floats(-3, 3))
def test_sensitivities_are_linear_in_the_output(language: Language, first: float, second: float) -> None:
    one, two = gaussian(language.seed, 5), gaussian(language.seed + 1, 5)

    def at(weights: Tensor) -> dict[int, Tensor]:
        return sensitivities_at(language.model, language.inputs, language.anatomy.sites, contrast(weights))

    mixed, ours, theirs = at(first * one + second * two), at(one), at(two)
    for index, rows in mixed.items():
        assert distance(rows, first * ours[index] + second * theirs[index]) <= language.tolerance * 10


@given(language=languages)
def test_a_shift_of_all_logits_has_no_sensitivity_through_a_softmax(language: Language) -> None:
    def shifted(logits: Tensor) -> Tensor:
        return nonlinear(logits + logits[..., :1].sin() * 5)

    plain = sensitivities_at(language.model, language.inputs, language.anatomy.sites, nonlinear)
    moved = sensitivities_at(language.model, language.inputs, language.anatomy.sites, shifted)
    for index, rows in plain.items():
        assert distance(moved[index], rows) <= language.tolerance * 100


@given(language=batches)
def test_positions_after_the_scored_output_have_no_sensitivity(language: Language) -> None:
    # Causality, in gradients: an output of position 0 does not read the last position's state.
    weights = gaussian(language.seed, 5)
    found = sensitivities_at(
        language.model, language.inputs, language.anatomy.sites, lambda logits: logits[:, 0] @ weights
    )
    for rows in found.values():
        assert not bool(rows.any())


@given(language=batches, data=st.data())
def test_a_sensitivity_predicts_the_change_of_the_output(language: Language, data: st.DataObject) -> None:
    # Central differences through the hook itself: reading, writing and differentiating happen at the same place.
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    row = sensitivities_at(language.model, language.inputs, [site], nonlinear)[site.index]
    direction = gaussian(language.seed, *row.shape)
    direction /= direction.norm(dim=1, keepdim=True)

    def moved(step: float) -> Tensor:
        def edit(state: Tensor) -> Tensor:
            state = state.clone()
            state[:, -1] += step * direction
            return state

        with hooked(language.model, site, edit):
            found: Tensor = nonlinear(language.model(language.inputs))
        return found

    step = 1e-5
    slope = (moved(step) - moved(-step)) / (2 * step)
    # Error: the third derivative times the step's square, and rounding over the step. Kinks of the ReLU are rare, and
    # one within the step moves a slope by a share of it only, so most rows must agree, not all.
    wanted = (row * direction).sum(dim=1)
    close = (slope - wanted).abs() <= 1e-4 * (1 + wanted.abs())
    assert float(close.double().mean()) >= 0.5


@given(language=languages, chunk=chunks)
def test_observing_trains_nothing_and_leaves_no_gradients(language: Language, chunk: int) -> None:
    model = language.model.requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = states_at(model, language.inputs, language.anatomy.site(0), chunk=chunk)
    rows = sensitivities_at(model, language.inputs, language.anatomy.sites, nonlinear, chunk=chunk)
    assert not states.requires_grad
    assert not any(row.requires_grad for row in rows.values())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@given(language=languages, outside=st.integers(0, 5))
def test_a_position_outside_the_sequence_is_refused(language: Language, outside: int) -> None:
    for position in (language.length + outside, -language.length - 1 - outside):
        with pytest.raises(ValueError, match="position"):
            sensitivities_at(language.model, language.inputs, language.anatomy.sites, nonlinear, position=position)
