"""Hooks leave nothing behind, touch only what they are told to, and cached generation is uncached generation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ace.core import Core
from ace.errors import InputError, InterventionError, SiteError
from ace.model.generate import sample_tokens
from ace.model.intervene import MODES, Intervention, intervening
from ace.model.observe import sensitivities_at, states_at
from ace.model.sites import Site, find_sites, hooked
from ace.training.transformer import SmallTransformer
from invariants.contracts import builders

SITES = (0, 1, 2)  # below the first block, between two, below the head
LENGTH = 5


class Stop(Exception):
    """Raised inside the body of a hook."""


def hooks(model: nn.Module) -> int:
    """How many hooks of any kind the model's modules carry."""
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def intervention(mode: str = "keep", **options: Any) -> Intervention:
    return Intervention(builders.core(), mode, strength=2.5 if mode == "scale" else None, **options)


def edited_state(model: nn.Module, site: Site, inputs: Tensor, **address: Any) -> Tensor:
    """The state that the module at the site gets after the edit: a second hook there runs after the first."""
    found: list[Tensor] = []
    with intervening(model, site, intervention(), **address), hooked(model, site, lambda state: found.append(state)):
        model(inputs)
    return found[-1]


# --- nothing stays behind ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("index", SITES)
def test_no_hook_stays_after_a_normal_exit(index: int) -> None:
    model = builders.model()
    with intervening(model, builders.site(index), intervention()):
        assert hooks(model) == 1  # otherwise the count below could not fail
        model(builders.tokens())
    assert hooks(model) == 0


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, SystemExit])
def test_no_hook_stays_after_an_exception_in_the_body(error: type[BaseException]) -> None:
    model = builders.model()
    with pytest.raises(error), intervening(model, builders.site(), intervention()):
        raise error
    assert hooks(model) == 0


def test_no_hook_stays_after_an_exception_in_the_edit() -> None:
    def broken(state: Tensor) -> Tensor:
        raise Stop

    model = builders.model()
    with pytest.raises(Stop), hooked(model, builders.site(), broken):
        model(builders.tokens())
    assert hooks(model) == 0


def test_no_hook_stays_after_a_position_outside_the_sequence() -> None:
    model = builders.model()
    with pytest.raises(InputError), intervening(model, builders.site(0), intervention(), position=LENGTH):
        model(builders.tokens())
    assert hooks(model) == 0


def test_nested_hooks_go_one_by_one_and_all_of_them() -> None:
    model = builders.model()
    with intervening(model, builders.site(0), intervention()):
        with intervening(model, builders.site(0), intervention("flip")):
            with hooked(model, builders.site(2), lambda state: None):
                model(builders.tokens())
                assert hooks(model) == 3
            assert hooks(model) == 2
        assert hooks(model) == 1
    assert hooks(model) == 0


def test_nested_hooks_all_go_when_the_innermost_fails() -> None:
    model = builders.model()
    with (
        pytest.raises(Stop),
        hooked(model, builders.site(0), lambda state: None),
        hooked(model, builders.site(2), lambda state: None),
    ):
        raise Stop
    assert hooks(model) == 0


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda m: states_at(m, builders.tokens(), builders.site()), id="states"),
        pytest.param(
            lambda m: sensitivities_at(m, builders.tokens(), [builders.site(i) for i in SITES], lambda x: x[:, -1, 0]),
            id="sensitivities",
        ),
        pytest.param(
            lambda m: sample_tokens(
                m, builders.tokens(3, 1), 3, torch.Generator(), builders.site(), intervention().apply
            ),
            id="generation",
        ),
    ],
)
def test_no_hook_stays_after_reading_or_generating(use: Callable[[nn.Module], object]) -> None:
    model = builders.model()
    use(model)
    assert hooks(model) == 0


def test_no_hook_stays_after_sensitivities_of_a_bad_output() -> None:
    model = builders.model()
    with pytest.raises(InputError):
        sensitivities_at(model, builders.tokens(), [builders.site(i) for i in SITES], lambda logits: logits)
    assert hooks(model) == 0


def test_no_hook_stays_when_only_the_second_of_two_sites_is_missing() -> None:
    model = builders.model()
    missing = Site(7, 1.0, "blocks.7", linear_tail=False)
    with pytest.raises(SiteError):
        sensitivities_at(model, builders.tokens(), [builders.site(0), missing], lambda logits: logits[:, -1, 0])
    assert hooks(model) == 0


def test_the_model_answers_as_before_once_the_intervention_is_over() -> None:
    model, inputs = builders.model(), builders.tokens()
    before = model(inputs)
    with intervening(model, builders.site(0), intervention("remove")):
        assert not torch.equal(model(inputs), before)
    assert torch.equal(model(inputs), before)


# --- a hook that never fires ------------------------------------------------------------------------------------------
def test_an_intervention_whose_hook_never_fires_is_an_error() -> None:
    model = builders.model()
    with (
        pytest.raises(InterventionError, match=r"site 2 .*never fired"),
        intervening(model, builders.site(), intervention()),
    ):
        builders.model()(builders.tokens())  # another model
    assert hooks(model) == 0


def test_of_two_nested_interventions_the_one_that_never_fires_is_named() -> None:
    model, other = builders.model(), builders.model()
    with (
        pytest.raises(InterventionError, match="site 1 "),
        intervening(model, builders.site(0), intervention()),
        intervening(other, builders.site(1), intervention()),
    ):
        model(builders.tokens())


def test_an_exception_in_the_body_is_not_hidden_by_the_hook_that_never_fired() -> None:
    with pytest.raises(Stop), intervening(builders.model(), builders.site(), intervention()):
        raise Stop


# --- nothing but the addressed part changes ---------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reference", ["mean", "zero", "resample"])
@pytest.mark.parametrize("projector", ["orthogonal", "oblique"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_an_edit_changes_neither_its_input_nor_the_core(
    mode: str, reference: str, projector: str, dtype: torch.dtype
) -> None:
    states = builders.gaussian(5, 4, LENGTH, builders.WIDTH).to(dtype)
    made = intervention(mode, reference=reference, projector=projector)
    tensors = [states, *(getattr(made.core, f.name) for f in fields(Core) if f.type == "Tensor")]
    copies = [tensor.clone() for tensor in tensors]
    edited = made.apply(states)
    assert not torch.equal(edited, states)
    assert edited.data_ptr() != states.data_ptr()
    assert edited.dtype == dtype
    assert all(torch.equal(now, before) for now, before in zip(tensors, copies, strict=True))


@pytest.mark.parametrize("index", SITES)
def test_an_intervention_changes_neither_token_ids_nor_weights(index: int) -> None:
    model, inputs = builders.model(), builders.tokens()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    ids = inputs.clone()
    with intervening(model, builders.site(index), intervention(), position=1, rows=torch.tensor([0, 2])):
        model(inputs)
    assert torch.equal(inputs, ids)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("position", [None, 1])
@pytest.mark.parametrize("rows", [None, [0, 2]])
def test_the_state_that_came_to_the_site_is_not_mutated(position: int | None, rows: list[int] | None) -> None:
    model, inputs, site = builders.model(), builders.tokens(), builders.site(1)
    chosen = None if rows is None else torch.tensor(rows)
    came: list[Tensor] = []
    with (
        hooked(model, site, lambda state: came.append(state)),  # the tensor itself, before the edit gets it
        intervening(model, site, intervention(), position=position, rows=chosen),
    ):
        model(inputs)
    assert torch.equal(came[0], states_at(model, inputs, site))


@pytest.mark.parametrize("index", SITES)
@pytest.mark.parametrize("position", [None, 0, 3, -1])
@pytest.mark.parametrize("rows", [None, [1], [0, 3]])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_states_not_addressed_are_bit_identical(
    index: int, position: int | None, rows: list[int] | None, dtype: torch.dtype
) -> None:
    model, inputs, site = builders.model(dtype=dtype), builders.tokens(), builders.site(index)
    clean = states_at(model, inputs, site)
    chosen = None if rows is None else torch.tensor(rows)
    edited = edited_state(model, site, inputs, position=position, rows=chosen)
    addressed = torch.zeros(inputs.shape, dtype=torch.bool)
    touched = slice(None) if position is None else position
    addressed[slice(None) if rows is None else rows, touched] = True
    assert torch.equal(edited[~addressed], clean[~addressed])
    assert (edited[addressed] != clean[addressed]).any(dim=-1).all()  # and every addressed state did change


@pytest.mark.parametrize("index", SITES)
def test_logits_before_the_addressed_position_and_of_other_rows_are_bit_identical(index: int) -> None:
    model, inputs, site = builders.model(), builders.tokens(), builders.site(index)
    clean = model(inputs)
    with intervening(model, site, intervention(), position=3, rows=torch.tensor([2])):
        edited = model(inputs)
    assert torch.equal(edited[[0, 1, 3]], clean[[0, 1, 3]])
    assert torch.equal(edited[2, :3], clean[2, :3])
    assert not torch.equal(edited[2, 3], clean[2, 3])


@pytest.mark.parametrize("index", SITES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_idle_hook_changes_no_bit_of_the_logits(index: int, dtype: torch.dtype) -> None:
    model, inputs = builders.model(dtype=dtype), builders.tokens()
    clean = model(inputs)
    with hooked(model, builders.site(index), lambda state: None):
        assert torch.equal(model(inputs), clean)


def test_reading_states_and_sensitivities_changes_no_bit_of_the_logits_and_no_gradient_flag() -> None:
    model, inputs = builders.model(), builders.tokens()
    clean = model(inputs)
    states_at(model, inputs, builders.site(1))
    sensitivities_at(model, inputs, [builders.site(0)], lambda logits: logits[:, -1, 0])
    assert torch.equal(model(inputs), clean)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())


def test_the_site_is_written_where_it_is_read() -> None:
    model, inputs = builders.model(), builders.tokens()
    for index in SITES:
        site = builders.site(index)
        stored = states_at(model, inputs, site)

        def as_stored(state: Tensor, stored: Tensor = stored) -> Tensor:
            return stored

        with hooked(model, site, as_stored):
            assert torch.equal(model(inputs), builders.model()(inputs))


# --- cached and uncached generation -----------------------------------------------------------------------------------
def uncached(
    model: SmallTransformer,
    start: Tensor,
    steps: int,
    generator: torch.Generator,
    site: Site | None = None,
    edit: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The naive way: every step runs the whole sequence; each position was current once, so each one is edited."""
    tokens = start
    for _ in range(steps):
        with torch.no_grad():
            if site is not None and edit is not None:
                with hooked(model, site, edit):
                    logits = model(tokens)[:, -1]
            else:
                logits = model(tokens)[:, -1]
        tokens = torch.cat([tokens, torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)], dim=1)
    return tokens


@pytest.mark.parametrize("index", [None, *SITES])
@pytest.mark.parametrize("mode", ["keep", "remove", "scale"])
def test_cached_generation_agrees_token_for_token_with_uncached(index: int | None, mode: str) -> None:
    model, start = builders.model(), builders.tokens(200, 1)
    chosen = () if index is None else (find_sites(model).site(index), intervention(mode).apply)
    fast = sample_tokens(model, start, 5, torch.Generator().manual_seed(3), *chosen)
    slow = uncached(model, start, 5, torch.Generator().manual_seed(3), *chosen)
    assert fast.shape == (200, 6)
    assert torch.equal(fast, slow)
    if index is not None:  # the edit is heard, so the agreement is not that of two clean runs
        assert not torch.equal(fast, sample_tokens(model, start, 5, torch.Generator().manual_seed(3)))


def test_cached_logits_equal_uncached_logits_at_every_position() -> None:
    model, inputs = builders.model(), builders.tokens(4, 6)
    past = model.new_cache()
    steps = [model(inputs[:, [position]], past)[:, 0] for position in range(inputs.shape[1])]
    assert (torch.stack(steps, dim=1) - model(inputs)).abs().max() < 1e-12
