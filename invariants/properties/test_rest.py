"""The rest: what its subspaces are, what its rank test says of a core that is one of them, and when drawing ends."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import ace
from ace.arrays import Array
from ace.errors import Inapplicable, InputError
from ace.linalg import weighted_frames
from ace.progress import shown
from ace.study.rest import DRAWS, Rest, allowed, jackknife, rank_test
from ace.study.subspaces import rest_subspaces, under_readers

WIDTH, RANK = 7, 2


def system(seed: int, width: int = WIDTH, samples: int = 60) -> tuple[Tensor, Tensor]:
    """States (n, d) of uneven spread, and sensitivities (m, d)."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(samples, width, generator=generator, dtype=torch.float64) * torch.logspace(0.5, -1, width)
    return states, torch.randn(3, width, generator=generator, dtype=torch.float64)


def core_of(seed: int, rank: int = RANK) -> tuple[ace.Core, Tensor, Tensor]:
    states, read = system(seed)
    return ace.extract_core(states, read, rank=ace.Fixed(rank)), states, read


both = pytest.mark.parametrize("projector", ["orthogonal", "oblique"])


# --- the subspaces ----------------------------------------------------------------------------------------------------
@given(seed=st.integers(0, 50))
def test_the_rest_is_orthogonal_to_the_core(seed: int) -> None:
    core, states, _ = core_of(seed)
    drawn = rest_subspaces(core, states, 20, seed=seed)
    assert float((core.basis.T @ drawn.directions).abs().max()) < 1e-10
    assert torch.equal(drawn.readers, drawn.directions.mT)
    assert torch.allclose(drawn.readers @ drawn.directions, torch.eye(RANK, dtype=torch.float64).expand(20, -1, -1))


@given(seed=st.integers(0, 50))
def test_directions_under_the_cores_readers_are_read_as_its_own_are_and_lie_elsewhere(seed: int) -> None:
    core, states, _ = core_of(seed)
    drawn = under_readers(core, states, 20, seed=seed)
    size = float(drawn.directions.abs().max())
    eye = torch.eye(RANK, dtype=torch.float64)
    assert torch.allclose(core.readers @ drawn.directions, eye.expand(20, -1, -1), atol=1e-8 * size)
    assert torch.equal(drawn.readers, core.readers.expand(20, -1, -1))
    apart = drawn.directions - core.directions
    assert float(apart.square().sum(dim=(1, 2)).min()) > 1e-4 * float(core.directions.square().sum())
    # Whatever a map behind it reads in the readers alone, a flip along any of them turns.
    flipped = drawn.edited(states, core.mean, "flip") - core.mean
    assert torch.allclose(
        flipped @ core.readers.T, -((states - core.mean) @ core.readers.T).expand(20, -1, -1), atol=1e-7 * size
    )


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


@both
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


@both
@pytest.mark.parametrize("others", [0, 1, 2])
def test_there_is_a_rest_where_states_vary_in_as_many_other_directions_as_the_core_has(
    projector: str, others: int
) -> None:
    states, read = system(0)
    states[:, RANK + others :] = 0.0
    core = ace.extract_core(states, read, rank=ace.Fixed(RANK))
    if others == RANK:
        assert len(rest_subspaces(core, states, 5, seed=0, projector=projector)) == 5
        return
    message = (
        f"the core takes 2 of 7 dimensions and states vary in {others} others, too few for random subspaces of its size"
    )
    with pytest.raises(Inapplicable, match=f"^{message}$"):
        rest_subspaces(core, states, 5, seed=0, projector=projector)


@both
@pytest.mark.parametrize("rows", [0, 5])
def test_states_that_are_none_or_all_alike_have_no_rest(projector: str, rows: int) -> None:
    core, _, _ = core_of(0)
    with pytest.raises(Inapplicable, match="states vary in 0 others"):
        rest_subspaces(core, core.mean.expand(rows, -1), 5, seed=0, projector=projector)


@both
def test_a_direction_below_a_millionth_of_the_largest_is_none_that_states_vary_in(projector: str) -> None:
    # Whatever lies between them: next to the second direction the last two are not small.
    spread = torch.tensor([1.0, 1e-4, 1e-8, 1e-8], dtype=torch.float64)
    states = torch.linalg.qr(system(0, width=4)[0]).Q * spread
    core = ace.Core.from_basis(torch.eye(4, dtype=torch.float64)[:, :2], torch.zeros(4, dtype=torch.float64))
    with pytest.raises(Inapplicable, match="states vary in 0 others"):
        rest_subspaces(core, states, 5, seed=0, projector=projector)


@both
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_rest_is_the_same_in_any_unit(projector: str, unit: float) -> None:
    states, read = system(0)
    plain, scaled = (
        rest_subspaces(
            ace.extract_core(states * by, read / by, rank=ace.Fixed(RANK)), states * by, 5, seed=0, projector=projector
        )
        for by in (1.0, unit)
    )
    for one, other in ((plain, scaled), (scaled, plain)):
        assert torch.allclose(one.directions @ one.readers @ other.directions, other.directions, rtol=1e-6)


@both
def test_the_rest_follows_the_seed(projector: str) -> None:
    core, states, _ = core_of(0)
    first, again, other = (rest_subspaces(core, states, 5, seed=seed, projector=projector) for seed in (3, 3, 4))
    assert torch.equal(first.directions, again.directions)
    assert torch.equal(first.readers, again.readers)
    assert not torch.equal(first.directions, other.directions)


def test_directions_under_the_cores_readers_follow_the_seed_and_nothing_else() -> None:
    core, states, _ = core_of(0)
    drawn = []
    for seed, elsewhere in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(elsewhere)  # whoever else draws numbers changes nothing
        drawn.append(under_readers(core, states, 5, seed=seed).directions)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("states", "draws", "message"),
    [
        (torch.ones(5, 6), 5, "states: expected shape (n, 7), got (5, 6)"),
        (torch.ones(5, 7), 0, "draws: expected an integer of at least 1, got 0"),
    ],
)
def test_what_no_directions_can_be_drawn_from_is_named(states: Tensor, draws: int, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        under_readers(core_of(0)[0], states, draws, seed=0)


def test_what_is_taken_of_the_rest_are_its_draws_in_the_order_asked() -> None:
    core, states, _ = core_of(0)
    drawn = rest_subspaces(core, states, 5, seed=0, projector="oblique")
    taken = drawn.take(torch.tensor([3, 1]))
    assert torch.equal(taken.directions, torch.stack([drawn.directions[3], drawn.directions[1]]))
    assert torch.equal(taken.readers, torch.stack([drawn.readers[3], drawn.readers[1]]))


@both
def test_edits_of_narrow_floats_are_narrow(projector: str) -> None:
    core, states, _ = core_of(0)
    drawn = rest_subspaces(core, states, 3, seed=0, projector=projector)
    edited = drawn.edited(states.float(), core.mean, "keep")
    assert edited.dtype == torch.float32
    assert torch.allclose(edited.double(), drawn.edited(states, core.mean, "keep"), atol=1e-4)


@pytest.mark.parametrize(
    ("states", "more", "message"),
    [
        (torch.ones(5, 6), {}, "states: expected shape (n, 7), got (5, 6)"),
        (torch.ones(7), {}, "states: expected shape (n, 7), got (7,)"),
        (torch.ones(5, 7, 7), {}, "states: expected shape (n, 7), got (5, 7, 7)"),
        (torch.ones(5, 7), {"draws": 0}, "draws: expected an integer of at least 1, got 0"),
        (torch.ones(5, 7), {"projector": "other"}, "projector: expected one of orthogonal, oblique, got 'other'"),
    ],
)
def test_what_the_rest_cannot_be_drawn_from_is_named(states: Tensor, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        rest_subspaces(core_of(0)[0], states, **{"draws": 5, "seed": 0, **more})


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


@given(seed=st.integers(0, 200), goal=st.floats(-1.0, 3.0))
def test_draws_asked_for_ahead_on_few_rows_are_judged_as_batch_by_batch(seed: int, goal: float) -> None:
    rng = np.random.default_rng(seed)
    every = rng.normal(size=(DRAWS, 1))
    rough, errors = every + 0.1 * rng.normal(size=(DRAWS, 1)), np.full((DRAWS, 1), 0.1)
    asked: list[int] = []

    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        asked.append(len(numbers))
        return rough[numbers], errors[numbers]

    test = rank_test(Rest("0", ("0",), lambda numbers: every[numbers], on_few), lambda value: value, [goal])
    # Slow twin: each draw by itself, and after every 25 it is asked whether more would change anything.
    seen: list[float] = []
    count = dismissed = 0
    for number in range(DRAWS):
        tried = rough[number, 0] + 5 * errors[number, 0] >= goal
        seen.append(float((every if tried else rough)[number, 0]))
        dismissed += not tried
        count += bool(tried and every[number, 0] >= goal)
        if (number + 1) % 25 == 0 and count > 1:
            break
    assert (test.as_good, test.draws, test.dismissed) == (count, len(seen), dismissed)
    assert (test.nearest, test.median) == ((max(seen),), (float(np.median(seen)),))
    assert asked == [25, 50, 124][: len(asked)]
    assert sum(asked) <= max(25, 3 * len(seen))  # no more is wasted than was of use


@pytest.mark.parametrize(("best", "blocks"), [(-1.0, [0, 1, 1, 2, 2, 2, 2, 2]), (1.0, [0])])
def test_the_line_on_the_terminal_counts_blocks_of_draws(best: float, blocks: list[int]) -> None:
    """Of 25, 50 and 124 draws, in batches of 25 at most; what is settled early is told no more."""
    seen: list[tuple[str, int, int] | None] = []

    def on_all(numbers: Sequence[int]) -> Array:
        seen.append(line.within)
        return np.full((len(numbers), 1), best)

    with shown("claim", opened=io.StringIO) as line:
        rank_test(Rest("0", ("0",), on_all), lambda value: value, [0.0])
        assert line.within is None
    assert seen == [("blocks of draws of the rest", block, 3) for block in blocks]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_five_standard_errors_count_on_either_side_and_to_the_last(sign: float) -> None:
    # Of a bound on either side: the draw that just reaches the goal is tried, and the one that just does not is not.
    tried: list[int] = []

    def on_all(numbers: Sequence[int]) -> Array:
        tried.extend(numbers)
        return np.full((len(numbers), 1), -sign)

    rest = Rest("0", ("0",), on_all, lambda numbers: (on_few[numbers], np.full((len(numbers), 1), 0.125)))
    on_few = sign * np.full((DRAWS, 1), -1.0)
    on_few[[7, 30, 99]] = sign * np.array([[-0.625], [-0.6251], [0.0]])
    assert rank_test(rest, lambda value: sign * value, [0.0]).as_good == 0
    assert tried == [7, 99]


def test_a_draw_inside_a_narrow_bound_is_not_dismissed_however_uncertain_it_is() -> None:
    rest = Rest("0", ("0",), lambda numbers: np.ones((len(numbers), 1)), lambda numbers: (zero[numbers], one[numbers]))
    zero, one = np.zeros((DRAWS, 1)), np.ones((DRAWS, 1))
    assert rank_test(rest, lambda value: 0.01 - abs(value), [0.0]).dismissed == 0


def test_values_on_few_rows_may_be_whole_numbers_and_so_may_margins() -> None:
    whole = Rest(
        "0",
        ("0",),
        lambda numbers: np.where(np.asarray(numbers)[:, None] % 2, 0.5, 2.0),
        lambda numbers: (np.zeros((len(numbers), 1), dtype=int), np.ones((len(numbers), 1), dtype=int)),
    )
    # Were the halves cut to whole numbers, every other draw would miss the goal.
    test = rank_test(whole, lambda value: 1 if value > 1 else value, [0.25])
    assert (test.as_good, test.nearest) == (25, (2.0,))


def test_draws_that_are_shown_alone_are_those_on_few_rows() -> None:
    def values(numbers: Sequence[int]) -> Array:
        raise AssertionError(f"all rows of {list(numbers)} were run")

    rest = Rest("0", ("0",), values, lambda numbers: (np.array(numbers)[:, None] / 10.0, np.ones((len(numbers), 1))))
    test = rank_test(rest, lambda value: value, [2.0], shown=True)
    assert (test.draws, test.dismissed, test.as_good) == (25, 25, 5)
    assert test.nearest == (2.4,)
    assert test.median == (1.2,)


@pytest.mark.parametrize(
    ("good", "shown", "draws", "p_value"),
    [
        (0, False, 199, 1 / 200),
        (1, False, 199, 2 / 200),
        (2, False, 25, 2 / 25),  # two are more than the level lets through, however many are still to come
        (20, False, 25, 20 / 25),
        (0, True, 25, 1 / 25),  # none is no reason to call it less than one
        (1, True, 25, 1 / 25),
    ],
)
def test_the_p_value_counts_the_core_among_all_draws_and_not_where_drawing_ended_early(
    good: int, shown: bool, draws: int, p_value: float
) -> None:
    values = np.array([1.0] * good + [-1.0] * (DRAWS - good))
    test = rank_test(of(values), lambda value: value, [0.0], shown=shown)
    assert (test.as_good, test.draws, test.p_value) == (good, draws, p_value)
    assert test.settled == (draws == DRAWS or good > 1)
    assert test.beaten == (draws == DRAWS)


@given(seed=st.integers(0, 50))
def test_the_draw_that_speaks_most_and_the_median_one_are_those_of_a_loop(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(25, 3))
    rest = Rest("3", ("a", "b", "c"), lambda numbers: values[np.asarray(numbers)], control="a crowd")
    goals = [0.5, 2.5, 1.0]
    test = rank_test(rest, lambda value: value, goals, shown=True)
    worst = [min(value - goal for value, goal in zip(row, goals, strict=True)) for row in values]
    assert test.nearest == tuple(values[worst.index(max(worst))])
    assert test.median == tuple(sorted(column)[12] for column in values.T)
    assert test.as_good == sum(short >= 0 for short in worst)
    assert (test.label, test.control, test.draws, test.of, test.level) == ("3", "a crowd", 25, DRAWS, 0.01)


@pytest.mark.parametrize(("level", "fewest"), [(0.01, 99), (0.05, 19), (0.3, 3)])
def test_draws_that_cannot_reach_the_level_are_refused(level: float, fewest: int) -> None:
    test = rank_test(of(np.array([-1.0])), lambda value: value, [0.0], draws=fewest, level=level)
    assert test.beaten
    assert (test.draws, test.p_value) == (fewest, 1 / (fewest + 1))
    with pytest.raises(InputError, match=rf"^draws: expected at least {fewest} for p <= {level}, got {fewest - 1}$"):
        rank_test(of(np.array([-1.0])), lambda value: value, [0.0], draws=fewest - 1, level=level)


@pytest.mark.parametrize("bad", [np.full((25, 1), np.nan), np.zeros(25)])
@pytest.mark.parametrize("where", ["values", "few", "errors"])
def test_draws_without_values_are_an_error_that_names_the_seed(bad: Array, where: str) -> None:
    good = np.zeros((25, 1))
    given = {name: bad if name == where else good for name in ("values", "few", "errors")}
    rest = Rest("seed 3", ("0",), lambda _: given["values"], lambda _: (given["few"], given["errors"]))
    message = re.escape(f"seed 3: expected finite values (draws, parts) of the rest, got shape {bad.shape}")
    with pytest.raises(InputError, match=f"^{message}$"):
        rank_test(rest, lambda value: value, [0.0])


def test_where_draws_are_too_few_for_the_level_none_may_be_as_good() -> None:
    assert allowed(98, 0.01) == -1
    assert [allowed(draws, 0.01) for draws in (99, 198, 199, 999)] == [0, 0, 1, 9]


@given(seed=st.integers(0, 20))
def test_the_jackknife_error_of_a_mean_is_its_standard_error(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=30)
    value, error = jackknife(lambda rows: values[rows].mean(), 30, 30)
    assert value == values.mean()
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(30))


def test_the_jackknife_takes_every_entry_of_a_statistic_by_itself() -> None:
    values = np.random.default_rng(0).normal(size=(12, 2, 3))
    value, error = jackknife(lambda rows: values[rows].mean(axis=0), 12, 12)
    np.testing.assert_array_equal(value, values.mean(axis=0))
    np.testing.assert_allclose(error, values.std(axis=0, ddof=1) / np.sqrt(12))


@given(seed=st.integers(0, 20))
def test_the_jackknife_leaves_every_kth_row_out_together(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=30)
    means = [np.mean([x for row, x in enumerate(values) if row % 6 != k]) for k in range(6)]
    error = jackknife(lambda rows: values[rows].mean(), 30, 6)[1]
    assert error == pytest.approx(np.std(means) * np.sqrt(5))
