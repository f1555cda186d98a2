"""What lies above a site is found by running, and each fast path through it equals the model's own run with a hook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ace.arrays import Array
from ace.compare import overlap
from ace.errors import AceError, Inapplicable, InputError, InterventionError, SiteError
from ace.extract import extract_core, head_sensitivities
from ace.families.core.transplant import transplants
from ace.families.markov.likeness import divergence
from ace.families.modular_addition.scans import held_out, scan_ranks
from ace.model import tail as tails
from ace.model.intervene import Intervention
from ace.model.sites import module_site
from ace.model.tail import Tail, find_tail
from ace.rank import Energy, Fixed
from ace.study.token_rest import rest_at, rest_performance
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks import ModularAddition, Split, circulant_chain
from ace.tasks.base import HELD_OUT, Batch, Task
from ace.training.transformer import Architecture, KeyValues, SmallTransformer
from ace.verify import Status, verify_claim
from invariants.contracts.builders import gaussian, untrained

CLASSES, WIDTH, LENGTH = 5, 6, 4
SIZES = dict.fromkeys(HELD_OUT, 80)
MODES = ("keep", "remove", "flip")


class Classes(Task):
    """Token ids whose class is the first of them; `scored` answers are asked for, at the last positions."""

    name, vocabulary = "classes", CLASSES

    def __init__(self, scored: int = LENGTH) -> None:
        self.scored = scored

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        inputs = self.stream(split, seed).integers(0, CLASSES, (sequences, LENGTH))
        return Batch(inputs, np.repeat(inputs[:, :1], self.scored, axis=1), None, split)


class Model(nn.Module):
    """States that depend on all tokens so far, and whatever is put above them."""

    def __init__(self, above: nn.Module, ending: Callable[[Tensor], Any] = lambda outputs: outputs) -> None:
        super().__init__()
        self.tokens = nn.Embedding(CLASSES, WIDTH)
        self.above, self.ending = above, ending
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.eval().requires_grad_(False)

    def state(self, inputs: Tensor) -> Tensor:
        states = self.tokens(inputs)
        return states + 0.5 * states.cumsum(dim=1) / torch.arange(1, inputs.shape[1] + 1)[:, None]

    def forward(self, inputs: Tensor) -> Any:
        return self.ending(self.above(self.state(inputs)))


class Pooled(Model):
    """One state (n, d) a sequence and one output (n, v)."""

    def state(self, inputs: Tensor) -> Tensor:
        return super().state(inputs).mean(dim=1)


class Mixed(nn.Module):
    """Positions read each other above the site."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, CLASSES)

    def forward(self, states: Tensor) -> Tensor:
        weights = (states @ states.mT / WIDTH).softmax(dim=-1)
        return self.out(torch.tanh(self.inner(weights @ states)))


class Last(Mixed):
    """One output (n, v) from states at many positions."""

    def forward(self, states: Tensor) -> Tensor:
        return super().forward(states)[:, -1]


class InPlace(nn.Module):
    """Changes the state where it lies in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(WIDTH, CLASSES)

    def forward(self, states: Tensor) -> Tensor:
        states.relu_()
        return self.out(states)


class Bent(nn.Linear):
    """A linear map by its class that is none."""

    def forward(self, states: Tensor) -> Tensor:
        return super().forward(states / states.norm(dim=-1, keepdim=True))


def linear(bias: bool = True, classes: int = CLASSES) -> nn.Linear:
    return nn.Linear(WIDTH, classes, bias=bias)


def normed(classes: int = CLASSES) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(WIDTH), linear(classes=classes))


def small(model: Model) -> Model:
    """The same with logits so small that a soft cap hardly bends them."""
    with torch.no_grad():
        for parameter in model.above.parameters():
            parameter.mul_(1e-4)
    return model


def capped(outputs: Tensor) -> Tensor:
    return 30 * torch.tanh(outputs / 30)


def hooked_head() -> Model:
    """A head whose outputs a hook changes: what some libraries do."""
    model = Model(linear())
    model.above.register_forward_hook(lambda module, arguments, outputs: outputs * 0.5)
    return model


LINEAR: dict[str, Callable[[], Model]] = {
    "a linear head": lambda: Model(linear()),
    "without a bias": lambda: Model(linear(bias=False)),
    "in an object with logits": lambda: Model(linear(), lambda outputs: SimpleNamespace(logits=outputs)),
    "small logits": lambda: small(Model(linear())),
    "double precision": lambda: Model(linear()).double(),
}
BENT: dict[str, Callable[[], Model]] = {
    "a norm below the head": lambda: Model(normed()),
    "a perceptron": lambda: Model(nn.Sequential(nn.Linear(WIDTH, 9), nn.Tanh(), nn.Linear(9, CLASSES))),
    "a soft cap": lambda: Model(linear(), capped),
    "a soft cap on small logits": lambda: small(Model(linear(), capped)),
    "logits that are scaled": lambda: Model(linear(), lambda outputs: 0.25 * outputs),
    "probabilities": lambda: Model(linear(), lambda outputs: outputs.softmax(dim=-1)),
    "a linear map by class alone": lambda: Model(Bent(WIDTH, CLASSES)),
    "a hook on the head": hooked_head,
    "positions that read each other": lambda: Model(Mixed()),
    "changes in place": lambda: Model(InPlace()),
}
POOLED: dict[str, Callable[[], Model]] = {
    "a pooled state and a linear head": lambda: Pooled(linear()),
    "a pooled state and a norm": lambda: Pooled(normed()),
    "one output of all positions": lambda: Model(Last()),
}
EVERY = {**LINEAR, **BENT, **POOLED}


def study_of(*models: nn.Module, scored: int = LENGTH, rank: Any = None) -> TokenStudy:
    return TokenStudy(models, Classes(scored), sites="above", sizes=SIZES, rank=rank or Fixed(2))


def scored_by(name: str) -> int:
    return 1 if name in POOLED else LENGTH


@torch.no_grad()
def plainly(study: TokenStudy, edit: Callable[[Tensor], Tensor] | None, kept: int) -> tuple[Array, Array]:
    """The slow twin: hits and cross-entropy (n, s) of the model itself, with a hook that edits the last positions."""
    model, batch = study.models[0], study.batch(Split.EVALUATION)

    def before(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if edit is None:
            return None
        state = arguments[0].clone()
        if state.ndim == 2:
            return (edit(state),)
        state[:, -kept:] = edit(state[:, -kept:])
        return (state,)

    handle = model.get_submodule("above").register_forward_pre_hook(before)
    came = model(torch.from_numpy(batch.inputs))
    handle.remove()
    outputs = getattr(came, "logits", came).double()
    outputs = (outputs[:, None] if outputs.ndim == 2 else outputs)[:, -batch.scored :]
    targets = torch.from_numpy(batch.targets)
    loss = nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return (outputs.argmax(dim=-1) == targets).double().numpy(), loss.numpy()


# --- performance ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize("name", EVERY)
def test_performance_is_that_of_the_model_itself_with_a_hook(name: str, mode: str | None) -> None:
    study = study_of(EVERY[name](), scored=scored_by(name))
    edit = None if mode is None else Intervention(study.core(0), mode).apply
    wanted = plainly(study, edit, kept=LENGTH)
    came = study.performance(0, edit)
    np.testing.assert_array_equal(came[0], wanted[0])
    np.testing.assert_allclose(came[1], wanted[1], rtol=0, atol=1e-5)
    assert study.scores(0, edit) == pytest.approx(wanted[0].mean(axis=1), abs=1e-12)
    if mode is not None:  # otherwise the lines above could not fail
        assert np.abs(wanted[1] - plainly(study, None, LENGTH)[1]).max() > 100 * np.abs(came[1] - wanted[1]).max()


@pytest.mark.parametrize("name", [*LINEAR, *BENT])
def test_where_the_last_positions_are_scored_theirs_are_the_states_that_are_edited(name: str) -> None:
    study = study_of(EVERY[name](), scored=2)
    # Where positions read each other, what is taken from the last alone would still be read at the others.
    kept = LENGTH if name == "positions that read each other" else 2
    assert study.states(0, Split.EVALUATION).shape == (80, kept, WIDTH)
    edit = Intervention(study.core(0), "flip").apply
    for came, wanted in zip(study.performance(0, edit), plainly(study, edit, kept), strict=True):
        np.testing.assert_allclose(came, wanted, rtol=0, atol=1e-5)


def test_a_norm_between_the_last_block_and_the_head_is_part_of_the_model() -> None:
    study = normed_study()
    model, batch = study.models[0], study.batch(Split.EVALUATION)
    with torch.no_grad():
        logits = model(torch.from_numpy(batch.inputs)).double()
    targets = torch.from_numpy(batch.targets)
    own = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert str(study.sites[0]) == "site 2 (input of norm)"
    assert study.performance(0)[1].mean() == pytest.approx(float(own), abs=1e-6)
    unnormed = study.states(0, Split.EVALUATION).double() @ model.head.weight.double().T  # type: ignore[operator, union-attr]
    reported = nn.functional.cross_entropy(unnormed.flatten(0, 1), targets.flatten())
    assert abs(float(reported - own)) > 0.01  # what came of feeding the head the states before the norm


@pytest.mark.parametrize("name", EVERY)
def test_a_head_is_taken_for_linear_exactly_where_it_is_all_there_is(name: str) -> None:
    tail = study_of(EVERY[name](), scored=scored_by(name)).tail(0)
    assert (tail.head is not None) == (name in LINEAR or name == "a pooled state and a linear head")


def test_a_state_that_the_model_changes_in_place_is_read_before_it_does() -> None:
    model = EVERY["changes in place"]()
    study = study_of(model)
    with torch.no_grad():
        wanted = model.state(torch.from_numpy(study.batch(Split.EVALUATION).inputs))
    assert torch.equal(study.states(0, Split.EVALUATION), wanted)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_controls_of_a_model_in_any_precision_are_what_each_subspace_does_by_itself(dtype: torch.dtype) -> None:
    study = study_of(Model(linear()).to(dtype))
    tolerance = 0.05 if dtype is torch.bfloat16 else 1e-5  # nats; logits of the twin are rounded to the model's
    found = rest_performance(study, 0, "remove", tuple(range(5)))[:, 1]
    for basis, loss in zip(rest_at(study, 0).directions[:5], found, strict=True):
        edit = Intervention(study.core(0).with_basis(basis), "remove").apply
        assert study.performance(0, edit)[1].mean() == pytest.approx(loss, abs=tolerance)


# --- sensitivities ----------------------------------------------------------------------------------------------------
def read_by(rows: Tensor) -> Tensor:
    """(d, d) observability J^T J / m of rows (m, d)."""
    return rows.double().T @ rows.double() / len(rows)


def jacobians(model: Model, states: Tensor, centred: bool = True) -> Tensor:
    """(m, d) by brute force: the Jacobian of a tail that treats each position alike, one position at a time."""

    def outputs(state: Tensor) -> Tensor:
        made = model.ending(model.above(state))
        return made - made.mean() if centred else made

    return torch.cat([torch.func.jacrev(outputs)(state) for state in states.flatten(0, 1)])


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("name", ["a norm below the head", "a perceptron", "a soft cap", "probabilities"])
def test_sensitivities_of_a_nonlinear_tail_are_those_of_brute_force_jacobians(name: str, centred: bool) -> None:
    model = BENT[name]()
    study = study_of(model)
    inputs = torch.from_numpy(study.batch(Split.EXTRACTION).inputs)
    rows = study.tail(0).sensitivities(inputs, LENGTH, centred=centred)
    states = study.states(0, Split.EXTRACTION)
    brute = jacobians(model, states, centred)
    assert rows.dtype == torch.float64
    torch.testing.assert_close(read_by(rows), read_by(brute), rtol=1e-4, atol=1e-6)
    ours, theirs = (extract_core(states.flatten(0, 1), part, rank=Fixed(2)) for part in (rows, brute))
    assert overlap(ours.basis, theirs.basis) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(ours.sigma[:2], theirs.sigma[:2], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", LINEAR)
def test_sensitivities_of_a_linear_tail_are_its_weight_exactly(name: str) -> None:
    model = LINEAR[name]()
    study = study_of(model)
    weight = model.get_parameter("above.weight")
    assert torch.equal(study.sensitivities(0), head_sensitivities(weight))
    uncentred = study.tail(0).sensitivities(torch.zeros(0), LENGTH, centred=False)
    assert torch.equal(uncentred, weight.double())


@pytest.mark.parametrize("name", ["a pooled state and a norm", "one output of all positions"])
def test_sensitivities_of_one_output_are_its_gradients_at_every_position(name: str) -> None:
    model = POOLED[name]()
    study = study_of(model, scored=1)
    states = study.states(0, Split.EXTRACTION)
    flat = states[:, 0] if isinstance(model, Pooled) else states

    def centred(state: Tensor) -> Tensor:
        outputs = model.above(state[None])[0]
        return outputs - outputs.mean()

    brute = torch.stack([torch.func.jacrev(centred)(state) for state in flat]).flatten(0, -2)
    torch.testing.assert_close(read_by(study.sensitivities(0)), read_by(brute), rtol=1e-4, atol=1e-6)


def test_where_positions_read_each_other_sensitivities_are_right_on_average() -> None:
    model = BENT["positions that read each other"]()
    study = study_of(model)
    inputs = torch.from_numpy(study.batch(Split.EXTRACTION).inputs)
    drawn = [read_by(study.tail(0).sensitivities(inputs, LENGTH, centred=True, seed=seed)) for seed in range(40)]

    def centred(state: Tensor) -> Tensor:
        outputs = model.above(state[None])[0]
        return outputs - outputs.mean(dim=-1, keepdim=True)

    states = study.states(0, Split.EXTRACTION)
    brute = torch.stack([torch.func.jacrev(centred)(state) for state in states])  # (n, s, v, s, d)
    # A row is the gradient of all positions' outputs with respect to one position: the sum over what is read from it.
    wanted = torch.einsum("nqvpd,nqvpe->de", brute.double(), brute.double()) / (brute.shape[0] * CLASSES * LENGTH)
    assert float((torch.stack(drawn).mean(dim=0) - wanted).norm() / wanted.norm()) < 0.03


def test_of_many_outputs_those_drawn_read_what_all_of_them_read() -> None:
    classes = 3 * tails.MOST_OUTPUTS
    model = Model(normed(classes))
    study = study_of(model)
    rows = study.tail(0).sensitivities(torch.from_numpy(study.batch(Split.EXTRACTION).inputs), LENGTH, centred=True)
    wanted = read_by(jacobians(model, study.states(0, Split.EXTRACTION)))
    assert len(rows) == tails.MOST_OUTPUTS * 80 * LENGTH
    assert float((read_by(rows) - wanted).norm() / wanted.norm()) < 0.03
    # Each position draws its own, so that no more directions are missed than the tail leaves out.
    every = [float(torch.linalg.matrix_rank(part, rtol=1e-6)) for part in (read_by(rows), wanted)]
    assert every[0] == every[1]


# --- what is no site, no output, no number ----------------------------------------------------------------------------
class Twice(nn.Module):
    """A module that runs two times a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.above = nn.Embedding(CLASSES, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.above(self.above(self.tokens(inputs)))


class Never(Twice):
    """A module that does not run."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.tokens(inputs)


class BatchSecond(Twice):
    """States (t, n, d), as some of torch's own layers have them."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.above(self.tokens(inputs).transpose(0, 1)).transpose(0, 1)


class Blocked(Twice):
    """A part without gradients above the site."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.tokens(inputs) + self.above(self.tokens(inputs)).detach().round()


def broken(where: str) -> Model:
    """A model with NaN in its states, or in its outputs alone."""
    model = Model(normed())
    with torch.no_grad():
        (model.tokens.weight[2] if where == "states" else model.above[1].weight[1]).fill_(torch.nan)  # type: ignore[index]
    return model


def training(*above: nn.Module) -> Model:
    model = Model(nn.Sequential(*above))
    return model.train()


def batch_normed() -> Model:
    """A model that is still in training mode, whose outputs depend on all sequences of a pass."""

    class Normed(nn.BatchNorm1d):
        def forward(self, states: Tensor) -> Tensor:
            return super().forward(states.mT).mT

    return training(Normed(WIDTH, momentum=0.0), linear())


WRONG: dict[str, tuple[Callable[[], nn.Module], type[AceError], str]] = {
    "runs twice": (Twice, SiteError, r"one state \(4, t, d\) or \(4, d\) a pass, got \[\(4, 4, 6\), \(4, 4, 6\)\]"),
    "never runs": (Never, InterventionError, r"input of above\).*never fired"),
    "states lie batch second": (BatchSecond, SiteError, r"one state \(3, t, d\).*got \[\(4, 3, 6\)\]"),
    "NaN in states": (lambda: broken("states"), InputError, r"finite.*NaN.*torch\.float32"),
    "NaN in outputs": (lambda: broken("outputs"), InputError, r"model: expected finite outputs.*NaN.*torch\.float32"),
    "dropout": (lambda: training(nn.Dropout(0.5), linear()), SiteError, "same outputs of 4 .*training mode"),
    "batch statistics": (batch_normed, SiteError, "same outputs of 3 .*depend on others"),
    "a tuple": (lambda: Model(linear(), lambda outputs: (outputs,)), InputError, r"outputs \(n, s, v\).*got tuple"),
    "four axes": (lambda: Model(linear(), lambda x: x[..., None]), InputError, r"outputs \(n, s, v\).*\(4, 4, 5, 1\)"),
    "too few outputs": (lambda: Model(Last()), InputError, "outputs at the 4 scored positions, got 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_or_replaced_is_a_named_error(name: str) -> None:
    make, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        study_of(make()).performance(0)


def test_outputs_without_gradients_are_a_named_error() -> None:
    with pytest.raises(SiteError, match=r"input of above\): expected outputs with gradients"):
        study_of(Blocked()).core(0)
    frozen = Model(normed(), torch.no_grad()(lambda outputs: outputs.detach()))
    with pytest.raises(SiteError, match="expected outputs with gradients"):
        study_of(frozen).core(0)


# --- what needs a linear head says so ---------------------------------------------------------------------------------
class Normed(SmallTransformer):
    """A final norm between the last block and the head."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__(sizes)
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, inputs: Tensor, past: Sequence[KeyValues] | None = None) -> Tensor:
        begin = past[0].length if past else 0
        states = self.tokens(inputs) + self.positions.weight[begin : begin + inputs.shape[1]]
        for index, block in enumerate(self.blocks):
            states = block(states, past[index] if past else None)
        # Gains that are not 1: the blocks end in a norm of their own, and twice the same would change little.
        return self.head(self.norm(states) * 3)


def transformers(kind: type[SmallTransformer], vocabulary: int, context: int, count: int = 2) -> list[SmallTransformer]:
    return untrained(Architecture(vocabulary, context, 2, width=12, heads=2, hidden=24), count, kind)


def normed_study() -> TokenStudy:
    return TokenStudy(transformers(Normed, 4, 8), circulant_chain(4, length=8), sizes=SIZES, rank=Energy(0.9))


NAMED = r"model \d: more than a linear head follows site 2 \(input of norm\)"


@pytest.mark.parametrize(
    "ask",
    [
        lambda study: study.head(1),
        lambda study: rest_performance(study, 0, "keep", (0,)),
        lambda study: transplants(study, study),
    ],
    ids=["head", "the rest", "transplants"],
)
def test_what_needs_a_linear_head_is_inapplicable_elsewhere(ask: Callable[[TokenStudy], object]) -> None:
    with pytest.raises(Inapplicable, match=NAMED):
        ask(normed_study())


def test_scans_of_every_rank_are_inapplicable_to_models_with_a_final_norm() -> None:
    task = ModularAddition(7, 0.4)
    plain, normed_model = (transformers(kind, 7, 2, 1)[0] for kind in (SmallTransformer, Normed))
    assert scan_ranks(held_out(TokenStudy([plain], task), 0)).count == 7 * 7 - task.size(Split.TRAINING)
    with pytest.raises(Inapplicable, match=NAMED):
        held_out(TokenStudy([normed_model], task), 0)


def test_a_claim_that_needs_a_linear_head_is_inapplicable_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    study = normed_study()
    monkeypatch.setattr(study, "require_behaviour", lambda name: None)  # untrained, and asked for all the same
    verdict = verify_claim("markov.sufficiency", TokenSubject("normed", "markov", study, study))
    assert verdict.status is Status.INAPPLICABLE
    assert "more than a linear head follows" in verdict.reason


def test_cores_of_the_same_model_from_other_data_need_no_linear_head() -> None:
    study = normed_study()
    measured = divergence(TokenSubject("normed", "markov", study, study))
    states = study.states(0, Split.SELECTION).flatten(0, 1)
    wanted = overlap(study.core(0).basis, extract_core(states, study.sensitivities(0), rank=study.rank).basis)
    assert measured.controls["same model"][0].value == pytest.approx(wanted)


def test_a_tail_is_told_by_its_model_and_not_by_what_a_site_says() -> None:
    model = Model(linear(), capped)
    site = module_site(model, "above")
    inputs = torch.from_numpy(Classes().draw(Split.EXTRACTION, 8).inputs)
    found: Tail = find_tail(model, site, inputs)
    assert found.head is None
    assert (found.places, found.output_places) == (LENGTH, LENGTH)
    logits = torch.cat(list(found.outputs(inputs, found.states(inputs, LENGTH), LENGTH)))
    torch.testing.assert_close(logits, model(inputs))


def test_states_of_another_place_in_the_states_place_are_run_through_the_same_tail() -> None:
    study = study_of(*(BENT["a norm below the head"]() for _ in range(2)))
    given = gaussian(0, 80, LENGTH, WIDTH)
    with torch.no_grad():
        wanted = study.models[0].above(given.float()).argmax(dim=-1).numpy() == study.batch(Split.EVALUATION).targets  # type: ignore[operator]
    assert study.scores(0, states=given) == pytest.approx(wanted.mean(axis=1))
