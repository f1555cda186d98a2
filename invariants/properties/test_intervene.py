"""Properties of keep, remove, flip and scale, and of the hooks that apply them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ace.core import Core
from ace.errors import InputError, InterventionError
from ace.extract import extract_core, head_sensitivities
from ace.model.intervene import Intervention, intervening, rank_scan
from ace.model.observe import states_at
from ace.model.sites import head_of, hooked
from ace.rank import Fixed
from invariants.properties.strategies import (
    Language,
    batches,
    distance,
    gaussian,
    languages,
    planted_core,
    projector,
    rounding,
    seeds,
)

MODES = ["keep", "remove", "flip"]
modes = st.sampled_from(MODES)
kinds = st.sampled_from(["orthogonal", "oblique"])
references = st.sampled_from(["mean", "zero"])
strengths = st.floats(-3.0, 3.0)
KAPPA = 64.0  # of the oblique projector of a planted core: condition 4 of its coordinates, to the third power


@st.composite
def cases(draw: st.DrawFn) -> tuple[Core, Tensor]:
    """A core of any rank and states (n, t, d) of its width."""
    width, seed = draw(st.integers(1, 6)), draw(seeds)
    core = planted_core(seed, width, draw(st.integers(1, width)))
    return core, gaussian(seed + 9, draw(st.integers(2, 4)), draw(st.integers(1, 3)), width)


def edited(core: Core, states: Tensor, mode: str, kind: str, reference: str = "mean", seed: int = 0) -> Tensor:
    """States after one intervention."""
    return Intervention(core, mode, reference=reference, projector=kind, seed=seed).apply(states)


def scaled(core: Core, states: Tensor, strength: float, kind: str, reference: str = "mean") -> Tensor:
    """States with the core component multiplied by `strength`."""
    return Intervention(core, "scale", strength, reference=reference, projector=kind).apply(states)


# --- Algebra ----------------------------------------------------------------------------------------------------------


@given(case=cases(), kind=kinds, reference=references)
def test_keep_and_remove_add_up_to_the_state_and_the_reference(
    case: tuple[Core, Tensor], kind: str, reference: str
) -> None:
    core, states = case
    middle = core.mean if reference == "mean" else torch.zeros_like(core.mean)
    total = edited(core, states, "keep", kind, reference) + edited(core, states, "remove", kind, reference)
    assert distance(total - middle, states) <= rounding(core.width, KAPPA)


@given(case=cases(), kind=kinds, reference=references)
def test_keep_and_remove_are_what_the_projector_says(case: tuple[Core, Tensor], kind: str, reference: str) -> None:
    core, states = case
    middle = core.mean if reference == "mean" else torch.zeros_like(core.mean)
    component = (states - middle) @ core.projector(kind).T
    tolerance = rounding(core.width, KAPPA)
    assert distance(edited(core, states, "keep", kind, reference), middle + component) <= tolerance
    assert distance(edited(core, states, "remove", kind, reference), states - component) <= tolerance


@given(case=cases(), kind=kinds, reference=references, mode=st.sampled_from(["keep", "remove"]))
def test_keep_and_remove_are_idempotent(case: tuple[Core, Tensor], kind: str, reference: str, mode: str) -> None:
    core, states = case
    once = edited(core, states, mode, kind, reference)
    assert distance(edited(core, once, mode, kind, reference), once) <= rounding(core.width, KAPPA**2)


@given(case=cases(), kind=kinds)
def test_keep_after_remove_leaves_the_reference_alone(case: tuple[Core, Tensor], kind: str) -> None:
    core, states = case
    nothing = edited(core, edited(core, states, "remove", kind), "keep", kind)
    assert distance(nothing, core.mean.expand_as(states)) <= rounding(core.width, KAPPA**2)


@given(case=cases(), kind=kinds, reference=references)
def test_flipping_twice_is_the_identity(case: tuple[Core, Tensor], kind: str, reference: str) -> None:
    core, states = case
    once = edited(core, states, "flip", kind, reference)
    assert distance(edited(core, once, "flip", kind, reference), states) <= rounding(core.width, KAPPA**2)


@given(case=cases())
def test_flipping_keeps_lengths_about_the_reference_only_where_the_projector_is_orthogonal(
    case: tuple[Core, Tensor],
) -> None:
    core, states = case
    lengths = (states - core.mean).norm(dim=-1)
    reflected = (edited(core, states, "flip", "orthogonal") - core.mean).norm(dim=-1)
    assert distance(reflected, lengths) <= rounding(core.width, KAPPA)
    # An oblique one stretches some state by |P| + sqrt(|P|^2 - 1), which is 1 for an orthogonal projector alone.
    size = float(torch.linalg.matrix_norm(core.projector("oblique"), 2))
    flipped = edited(core, core.mean + torch.eye(core.width, dtype=torch.float64), "flip", "oblique") - core.mean
    stretch = float(torch.linalg.matrix_norm(flipped, 2))
    # Near |P| = 1 the root turns an error into its own square root.
    slack = rounding(core.width, KAPPA**2) ** 0.5
    assert stretch == pytest.approx(size + max(size**2 - 1, 0.0) ** 0.5, abs=slack)


@given(case=cases(), kind=kinds, reference=references)
def test_remove_is_the_midpoint_of_the_state_and_its_flip(case: tuple[Core, Tensor], kind: str, reference: str) -> None:
    core, states = case
    middle = (states + edited(core, states, "flip", kind, reference)) / 2
    assert distance(edited(core, states, "remove", kind, reference), middle) <= rounding(core.width, KAPPA)


@given(case=cases(), kind=kinds, reference=references, first=strengths, second=strengths, weight=st.floats(0.0, 1.0))
def test_scaling_is_affine_in_the_strength(
    case: tuple[Core, Tensor], kind: str, reference: str, first: float, second: float, weight: float
) -> None:
    core, states = case
    between = scaled(core, states, weight * first + (1 - weight) * second, kind, reference)
    ends = [scaled(core, states, strength, kind, reference) for strength in (first, second)]
    assert distance(between, weight * ends[0] + (1 - weight) * ends[1]) <= rounding(core.width, KAPPA)


@given(case=cases(), kind=kinds, reference=references, first=strengths, second=strengths)
def test_strengths_multiply(case: tuple[Core, Tensor], kind: str, reference: str, first: float, second: float) -> None:
    core, states = case
    twice = scaled(core, scaled(core, states, first, kind, reference), second, kind, reference)
    assert distance(twice, scaled(core, states, first * second, kind, reference)) <= rounding(core.width, KAPPA**2)


@given(case=cases(), kind=kinds)
def test_strengths_one_zero_and_minus_one_have_names(case: tuple[Core, Tensor], kind: str) -> None:
    core, states = case
    assert torch.equal(scaled(core, states, 1.0, kind), states)
    assert torch.equal(scaled(core, states, 0.0, kind), edited(core, states, "remove", kind))
    assert torch.equal(scaled(core, states, -1.0, kind), edited(core, states, "flip", kind))


@given(case=cases(), kind=kinds, strength=strengths)
def test_interventions_move_states_within_the_core_only(case: tuple[Core, Tensor], kind: str, strength: float) -> None:
    core, states = case
    moved = scaled(core, states, strength, kind) - states
    outside = moved - moved @ projector(core.basis)
    assert distance(outside, torch.zeros_like(outside)) <= rounding(core.width, KAPPA)


@given(case=cases(), kind=kinds, mode=modes)
def test_a_core_of_all_dimensions_keeps_or_removes_everything(case: tuple[Core, Tensor], kind: str, mode: str) -> None:
    narrow, states = case
    core = planted_core(0, narrow.width, narrow.width)
    wanted = {"keep": states, "remove": core.mean.expand_as(states), "flip": 2 * core.mean - states}[mode]
    assert distance(edited(core, states, mode, kind), wanted) <= rounding(core.width, KAPPA)


# --- Batches, dtypes, resampling --------------------------------------------------------------------------------------


@given(case=cases(), kind=kinds, mode=modes, reference=references)
def test_each_row_is_edited_as_if_it_were_alone(
    case: tuple[Core, Tensor], kind: str, mode: str, reference: str
) -> None:
    core, states = case
    together = edited(core, states, mode, kind, reference)
    alone = torch.stack([edited(core, row, mode, kind, reference) for row in states])
    assert distance(together, alone) <= rounding(core.width, KAPPA)


@given(case=cases(), kind=kinds, mode=modes, dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_low_precision_states_keep_their_dtype_and_are_edited_to_its_precision(
    case: tuple[Core, Tensor], kind: str, mode: str, dtype: torch.dtype
) -> None:
    core, states = case
    low = states.to(dtype)
    before = low.clone()
    found = edited(core, low, mode, kind)
    assert found.dtype == dtype
    assert torch.equal(low, before)
    wanted = edited(core, low.double(), mode, kind)
    # Half precision is computed in float32, so that only the last rounding, to nearest, is coarse.
    size = float(wanted.abs().max() + low.abs().max())
    fine = 16 * core.width * torch.finfo(torch.float32).eps * size
    assert distance(found.double(), wanted) <= torch.finfo(dtype).eps / 2 * size + fine


@given(case=cases(), kind=kinds, seed=seeds)
def test_resampling_takes_another_row_s_core_and_every_row_once(
    case: tuple[Core, Tensor], kind: str, seed: int
) -> None:
    core, states = case
    donors = edited(core, states, "keep", kind, "resample", seed)
    donors = donors + edited(core, states, "remove", kind, "resample", seed) - states
    apart = (donors[:, None] - states[None]).flatten(2).abs().amax(dim=2)  # (n, n): how far each donor is from each row
    same = apart <= rounding(core.width, KAPPA)
    assert bool((same.sum(dim=0) == 1).all())
    assert bool((same.sum(dim=1) == 1).all())
    assert not bool(same.diagonal().any())


@given(case=cases(), kind=kinds, seed=seeds)
def test_resampling_keeps_the_row_s_own_core_or_its_own_complement(
    case: tuple[Core, Tensor], kind: str, seed: int
) -> None:
    core, states = case
    projection = core.projector(kind).T
    kept = edited(core, states, "keep", kind, "resample", seed) - states
    removed = edited(core, states, "remove", kind, "resample", seed) - states
    assert distance(kept @ projection, torch.zeros_like(kept)) <= rounding(core.width, KAPPA**2)
    assert distance(removed - removed @ projection, torch.zeros_like(kept)) <= rounding(core.width, KAPPA**2)


# --- Hooks ------------------------------------------------------------------------------------------------------------


def hooks_left(model: torch.nn.Module) -> int:
    """How many hooks of any kind a model carries."""
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


@given(language=batches, mode=modes, kind=kinds, data=st.data())
def test_what_is_not_addressed_stays_bit_identical(
    language: Language, mode: str, kind: str, data: st.DataObject
) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    position = data.draw(st.none() | st.integers(-language.length, language.length - 1))
    rows = data.draw(st.none() | st.sets(st.integers(0, language.sequences - 1), min_size=1).map(sorted))
    chosen = None if rows is None else torch.tensor(rows)
    intervention = Intervention(planted_core(language.seed, 8, 3), mode, projector=kind)
    clean = states_at(language.model, language.inputs, site)
    given_states: list[Tensor] = []
    seen: list[Tensor] = []
    # Hooks on one module run in order: the first sees what the intervention is given, the last what it wrote.
    reading = hooked(language.model, site, given_states.append)
    editing = intervening(language.model, site, intervention, position=position, rows=chosen)
    with reading, editing, hooked(language.model, site, seen.append):
        logits = language.model(language.inputs)
    assert torch.equal(given_states[0], clean)  # edited copies, never the network's own tensor
    addressed = torch.zeros(language.sequences, language.length, dtype=torch.bool)
    addressed[slice(None) if rows is None else rows, slice(None) if position is None else position] = True
    assert torch.equal(seen[0][~addressed], clean[~addressed])
    assert distance(seen[0][addressed], intervention.apply(clean)[addressed]) <= language.tolerance * KAPPA
    # Nothing reaches other rows, nor, under a causal mask, earlier positions.
    affected = addressed.cummax(dim=1).values
    assert torch.equal(logits[~affected], language.model(language.inputs)[~affected])


@given(language=languages, mode=modes, fails=st.booleans(), data=st.data())
def test_the_model_is_left_as_it_was_whatever_happens(
    language: Language, mode: str, fails: bool, data: st.DataObject
) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    weights = {name: value.clone() for name, value in language.model.state_dict().items()}
    clean, inputs = language.model(language.inputs), language.inputs.clone()
    expected = pytest.raises(ZeroDivisionError) if fails else nullcontext()
    intervention = Intervention(planted_core(language.seed, 8, 2), mode)
    with expected, intervening(language.model, site, intervention):
        language.model(language.inputs)
        if fails:
            raise ZeroDivisionError
    assert hooks_left(language.model) == 0
    assert weights.keys() == language.model.state_dict().keys()
    assert all(torch.equal(value, language.model.state_dict()[name]) for name, value in weights.items())
    assert torch.equal(inputs, language.inputs)
    assert torch.equal(language.model(language.inputs), clean)


@given(language=languages, outside=st.integers(1, 9), data=st.data())
def test_hooks_go_when_the_edit_itself_fails(language: Language, outside: int, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    where: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"position": language.length - 1 + outside},
                {"position": -language.length - outside},
                {"rows": torch.tensor([language.sequences - 1 + outside])},
                {"rows": torch.tensor([-outside])},
            ]
        )
    )
    intervention = Intervention(planted_core(language.seed, 8, 2), "remove")
    with pytest.raises(InputError, match=r"position|rows"), intervening(language.model, site, intervention, **where):
        language.model(language.inputs)
    assert hooks_left(language.model) == 0


@given(language=languages, mode=modes, data=st.data())
def test_an_intervention_that_never_ran_is_an_error(language: Language, mode: str, data: st.DataObject) -> None:
    site = language.anatomy.site(data.draw(st.integers(0, language.blocks)))
    intervention = Intervention(planted_core(language.seed, 8, 2), mode)
    with pytest.raises(InterventionError, match="never fired"), intervening(language.model, site, intervention):
        pass
    assert hooks_left(language.model) == 0


@given(language=languages, kind=kinds, strength=strengths)
def test_logits_of_a_linear_tail_are_affine_in_the_strength(language: Language, kind: str, strength: float) -> None:
    site, core = language.anatomy.site(-1), planted_core(language.seed, 8, 2)

    def logits(gain: float) -> Tensor:
        with intervening(language.model, site, Intervention(core, "scale", gain, projector=kind)):
            found: Tensor = language.model(language.inputs)
        return found

    wanted = strength * logits(1.0) + (1 - strength) * logits(0.0)
    assert distance(logits(strength), wanted) <= rounding(64, KAPPA)


@given(language=languages, kind=kinds)
def test_a_core_that_the_head_reads_fully_preserves_its_logits(language: Language, kind: str) -> None:
    # Keeping all that C W^T spans, obliquely, keeps every logit up to a common shift; orthogonally it need not.
    site, states = language.anatomy.site(-1), 2 * gaussian(language.seed, 30, 8) * torch.logspace(0, 1, 8)
    core = extract_core(states, head_sensitivities(head_of(language.model).weight), rank=Fixed(4))
    clean = language.model(language.inputs)
    with intervening(language.model, site, Intervention(core, "keep", projector=kind)):
        kept = language.model(language.inputs)
    off = kept - clean
    off = off - off.mean(dim=-1, keepdim=True)
    if kind == "oblique":
        assert distance(off, torch.zeros_like(off)) <= rounding(64, 1e3)
    else:
        assert float(off.abs().max()) > 1e-6


# --- All ranks from one pass ------------------------------------------------------------------------------------------


@given(language=batches, kind=kinds, reference=references, chunk=st.integers(1, 40), rank=st.integers(1, 8))
def test_a_rank_scan_equals_one_hooked_run_a_rank_and_mode(
    language: Language, kind: str, reference: str, chunk: int, rank: int
) -> None:
    site, core = language.anatomy.site(-1), planted_core(language.seed, 8, rank)
    states = states_at(language.model, language.inputs, site)
    # Every other target is the model's own guess, so that accuracies are neither 0 nor 1.
    targets = language.model(language.inputs).argmax(dim=-1)
    targets[:, ::2] = language.inputs[:, ::2]
    head = head_of(language.model)

    def naive(count: int, mode: str) -> float:
        intervention = Intervention(core.truncated(count), mode, reference=reference, projector=kind)
        with intervening(language.model, site, intervention):
            guesses = language.model(language.inputs).argmax(dim=-1)
        return float((guesses == targets).double().mean())

    scan = rank_scan(
        states.flatten(0, 1),
        targets.flatten(),
        head.weight,
        head.bias,
        core,
        reference=reference,
        projector=kind,
        chunk=chunk,
    )
    ranks = range(1, rank + 1)
    # Hits are counted, so equality is exact: a share of n predictions can differ by 1/n or not at all.
    assert scan.count == targets.numel()
    assert distance(scan.keep * scan.count, torch.tensor([naive(k, "keep") for k in ranks]) * scan.count) < 0.5
    assert distance(scan.remove * scan.count, torch.tensor([naive(k, "remove") for k in ranks]) * scan.count) < 0.5
    clean = language.model(language.inputs).argmax(dim=-1)
    assert scan.base == pytest.approx(float((clean == targets).double().mean()))


@given(seed=seeds, width=st.integers(1, 6), kind=kinds)
def test_a_rank_scan_ends_where_nothing_is_left(seed: int, width: int, kind: str) -> None:
    # With all dimensions kept, accuracy is the base's; with all removed, every prediction is that of the mean.
    core = planted_core(seed, width, width)
    states, weight, bias = gaussian(seed + 9, 20, width), gaussian(seed + 10, 4, width), gaussian(seed + 11, 4)
    targets = torch.arange(20) % 4
    scan = rank_scan(states, targets, weight, bias, core, projector=kind)
    constant = (weight @ core.mean + bias).argmax()
    assert float(scan.keep[-1]) == pytest.approx(scan.base)
    assert float(scan.remove[-1]) == pytest.approx(float((targets == constant).double().mean()))
