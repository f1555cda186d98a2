"""The rest: what its subspaces are, what its rank test says of a core that is one of them, and when drawing ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import ace
from ace.arrays import Array
from ace.errors import Inapplicable
from ace.linalg import weighted_frames
from ace.study.rest import DRAWS, Rest, allowed, jackknife, rank_test
from ace.study.subspaces import rest_subspaces

WIDTH, RANK = 7, 2


def system(seed: int, width: int = WIDTH, samples: int = 60) -> tuple[Tensor, Tensor]:
    """States (n, d) of uneven spread, and sensitivities (m, d)."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(samples, width, generator=generator, dtype=torch.float64) * torch.logspace(0.5, -1, width)
    return states, torch.randn(3, width, generator=generator, dtype=torch.float64)


def core_of(seed: int, rank: int = RANK) -> tuple[ace.Core, Tensor, Tensor]:
    states, read = system(seed)
    return ace.extract_core(states, read, rank=ace.Fixed(rank)), states, read


# --- the subspaces ----------------------------------------------------------------------------------------------------
@given(seed=st.integers(0, 50))
def test_the_rest_is_orthogonal_to_the_core(seed: int) -> None:
    core, states, _ = core_of(seed)
    drawn = rest_subspaces(core, states, 20, seed=seed)
    assert float((core.basis.T @ drawn.directions).abs().max()) < 1e-10
    assert torch.equal(drawn.readers, drawn.directions.mT)
    assert torch.allclose(drawn.readers @ drawn.directions, torch.eye(RANK, dtype=torch.float64).expand(20, -1, -1))


@given(seed=st.integers(0, 50))
def test_the_core_does_not_read_the_oblique_rest_whose_readers_leave_what_is_uncorrelated(seed: int) -> None:
    core, states, _ = core_of(seed)
    drawn = rest_subspaces(core, states, 20, seed=seed, projector="oblique")
    assert float((core.readers @ drawn.directions).abs().max()) < 1e-8 * float(drawn.directions.abs().max())
    eye = torch.eye(RANK, dtype=torch.float64).expand(20, -1, -1)
    assert torch.allclose(drawn.readers @ drawn.directions, eye, atol=1e-8)
    centred = states - core.mean
    inside = centred @ drawn.readers.mT @ drawn.directions.mT  # (draws, n, d)
    across = inside.mT @ (centred - inside)
    assert float(across.abs().max()) < 1e-8 * float(centred.square().sum())


@given(seed=st.integers(0, 30))
def test_the_oblique_rest_knows_no_coordinates(seed: int) -> None:
    states, read = system(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    change = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64) + 3 * torch.eye(WIDTH)
    plain = ace.extract_core(states, read, rank=ace.Fixed(RANK))
    moved = ace.extract_core(states @ change.T, read @ torch.linalg.inv(change), rank=ace.Fixed(RANK))
    outputs = []
    for core, here in ((plain, states), (moved, states @ change.T)):
        drawn = rest_subspaces(core, here, 400, seed=0, projector="oblique")
        inside = (here - core.mean) @ drawn.readers.mT @ drawn.directions.mT
        back = inside if core is plain else inside @ torch.linalg.inv(change).T
        outputs.append(back.square().mean(dim=(0, 1)))  # how much each direction is moved on average
    assert torch.allclose(outputs[0], outputs[1], rtol=0.25)


@pytest.mark.parametrize("projector", ["orthogonal", "oblique"])
@pytest.mark.parametrize("mode", ["keep", "remove", "flip", 0.3])
def test_edits_of_many_subspaces_are_those_of_each(projector: str, mode: str | float) -> None:
    core, states, _ = core_of(0)
    drawn = rest_subspaces(core, states, 3, seed=0, projector=projector)
    edited = drawn.edited(states, core.mean, mode)
    for place in range(3):
        component = (states - core.mean) @ (drawn.directions[place] @ drawn.readers[place]).T
        gain = {"remove": 0.0, "flip": -1.0}.get(str(mode), mode)
        wanted = core.mean + component if mode == "keep" else states + (float(gain) - 1) * component
        assert torch.allclose(edited[place], wanted)


def test_covariance_draws_contain_a_core_that_varies_most_and_the_rest_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(200, 8, generator=generator, dtype=torch.float64)
    states[:, 0] *= 30
    core = ace.extract_core(states, torch.eye(8, dtype=torch.float64)[:1], rank=ace.Fixed(1))
    drawn = weighted_frames(states - core.mean, 1, 100, torch.Generator().manual_seed(0))
    assert float((core.basis.T @ drawn).abs().max()) > 0.99
    rest = rest_subspaces(core, states, 100, seed=0)
    assert float((core.basis.T @ rest.directions).abs().max()) < 1e-10


@pytest.mark.parametrize("projector", ["orthogonal", "oblique"])
def test_there_is_no_rest_where_states_vary_in_the_core_alone(projector: str) -> None:
    states, read = system(0)
    states[:, 2:] = 0.0
    core = ace.extract_core(states, read, rank=ace.Fixed(2))
    with pytest.raises(Inapplicable, match="the core takes 2 of 7 dimensions and states vary in 0 others"):
        rest_subspaces(core, states, 5, seed=0, projector=projector)


# --- what the rest can do ---------------------------------------------------------------------------------------------
LABELS = np.tile([0, 0, 1, 1], 20)
SIGNS = np.where(LABELS == 1, 1.0, -1.0)


def share_as_good(mode: str, read: object, wanted: float) -> float:
    """Share of the rest that does to two axes' readout what a core of the first axis does.

    States vary in two directions. `read` gives contrasts (draws, n) of states (draws, n, 2).
    """
    assert callable(read)
    second = np.tile([1.0, -1.0], len(LABELS) // 2)
    states = torch.from_numpy(np.stack([SIGNS * second if read is product else SIGNS, second], axis=1))
    if read is redundant:
        states[:, 1] = states[:, 0]
        states = states + 0.01 * torch.randn(states.shape, generator=torch.Generator().manual_seed(0)).double()
    core = ace.Core.from_basis(torch.eye(2, dtype=torch.float64)[:, :1], states.mean(dim=0))
    drawn = rest_subspaces(core, states, 50, seed=0)
    contrasts = read(drawn.edited(states, core.mean, mode)).numpy()
    apart = (contrasts * SIGNS).mean(axis=1) / float((read(states[None]).numpy() * SIGNS).mean())
    return float((np.abs(apart - wanted) < 0.1).mean())


def product(states: Tensor) -> Tensor:
    return states[..., 0] * states[..., 1]


def redundant(states: Tensor) -> Tensor:
    return torch.sign(states[..., 0] + states[..., 1])


@pytest.mark.parametrize(
    ("mode", "read", "wanted"),
    [("remove", product, 0.0), ("flip", product, -1.0), ("keep", redundant, 1.0)],
)
def test_the_rest_does_what_the_core_does_where_another_axis_carries_it_too(
    mode: str, read: object, wanted: float
) -> None:
    assert share_as_good(mode, read, wanted) == 1.0


# --- the rank test ----------------------------------------------------------------------------------------------------
def of(values: Array) -> Rest:
    """Draws with these values; where they end they begin again."""
    return Rest("0", ("0",), lambda numbers: values[np.asarray(numbers) % len(values)][:, None])


def test_a_core_that_is_a_draw_like_the_others_beats_them_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    beaten = 0
    for _ in range(4000):
        core, *rest = rng.normal(size=DRAWS + 1)
        # No bound: each draw is held against the core alone, as where the core is outside its bound.
        test = rank_test(of(np.array(rest)), lambda value: value, [core])
        beaten += test.beaten
    assert abs(beaten / 4000 - 0.01) < 4 * np.sqrt(0.01 * 0.99 / 4000)


@given(st.lists(st.floats(-1, 1), min_size=DRAWS, max_size=DRAWS), st.floats(-1, 1))
def test_drawing_on_never_changes_what_was_settled(values: list[float], core: float) -> None:
    test = rank_test(of(np.array(values)), lambda value: value, [core])
    every = int((np.array(values) >= core).sum())
    assert test.beaten == ((1 + every) / (DRAWS + 1) <= 0.01)
    assert test.settled
    assert (test.p_value <= 0.01) == test.beaten


def test_a_draw_that_misses_by_far_on_few_rows_is_not_tried_on_all() -> None:
    tried: list[int] = []

    def on_all(numbers: Sequence[int]) -> Array:
        tried.extend(numbers)
        return np.zeros((len(numbers), 1))

    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        places = np.asarray(numbers)
        return np.where(places[:, None] == 7, -0.4, -1.0), np.full((len(places), 1), 0.1)

    rest = Rest("0", ("0",), on_all, on_few)
    test = rank_test(rest, lambda value: value, [0.0])
    assert tried == [7]  # the one that five standard errors might bring to the goal
    assert (test.as_good, test.draws, test.dismissed) == (1, DRAWS, DRAWS - 1)


def test_where_draws_are_too_few_for_the_level_nothing_is_drawn() -> None:
    assert allowed(98, 0.01) == -1
    assert [allowed(draws, 0.01) for draws in (99, 198, 199, 999)] == [0, 0, 1, 9]


@given(seed=st.integers(0, 20))
def test_the_jackknife_error_of_a_mean_is_its_standard_error(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=30)
    value, error = jackknife(lambda rows: values[rows].mean(), 30, 30)
    assert value == values.mean()
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(30))


@given(seed=st.integers(0, 20))
def test_the_jackknife_leaves_every_kth_row_out_together(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=30)
    means = [np.mean([x for row, x in enumerate(values) if row % 6 != k]) for k in range(6)]
    error = jackknife(lambda rows: values[rows].mean(), 30, 6)[1]
    assert error == pytest.approx(np.std(means) * np.sqrt(5))
