"""An alignment search among sequences finds what the model reads, and learns from what exchanges really do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

import ace
from ace.core import Core
from ace.errors import Inapplicable
from ace.study import token_interchange
from ace.study.alternatives import alternative_cores
from ace.study.tokens import TokenStudy
from invariants.contracts.exact import Bent, Exact, First, Largest
from invariants.properties.strategies import frame

SIZES = {ace.Split.EXTRACTION: 200, ace.Split.SELECTION: 50, ace.Split.EVALUATION: 150}


def study(model: nn.Module, site: str = "readout", task: ace.Task | None = None, rank: int = 2) -> TokenStudy:
    return TokenStudy([model.eval()], task or Largest(), sites=site, rank=ace.Fixed(rank), sizes=SIZES)


def answered_as_sources(one: TokenStudy, basis: Tensor) -> float:
    """Share of evaluation sequences and positions whose largest output is the source's, by the module's own hook."""
    inputs = torch.as_tensor(one.batch(ace.Split.EVALUATION).inputs).float()
    model, at = one.models[0], one.models[0].get_submodule(one.sites[0].path)
    projector = (basis @ basis.T).float()

    def exchange(module: nn.Module, given: tuple[Tensor]) -> Tensor:
        return given[0] + (given[0].roll(1, dims=0) - given[0]) @ projector

    with torch.no_grad():
        own = model(inputs).argmax(dim=-1)
        handle = at.register_forward_pre_hook(exchange)
        found = model(inputs).argmax(dim=-1)
        handle.remove()
    return float((found == own.roll(1, dims=0)).float().mean())


@pytest.mark.parametrize("seed", range(3))
def test_what_the_head_reads_is_found(seed: int) -> None:
    one = study(Exact(seed))
    found = token_interchange.searched_subspace(one, 0)
    assert found.dimension == 2
    assert torch.equal(found.directions, found.readers.T)
    assert answered_as_sources(one, found.basis) > 0.95
    assert max(answered_as_sources(one, frame(number, found.width, 2)) for number in range(20)) < 0.8
    assert token_interchange.searched_subspace(study(Exact(seed)), 0) == found  # the same from the start


def test_what_a_model_reads_through_layers_is_found() -> None:
    one = study(Bent(0), "bend", rank=2)
    assert one.tail(0).head is None
    found = token_interchange.searched_subspace(one, 0)
    assert answered_as_sources(one, found.basis) > max(
        answered_as_sources(one, frame(number, found.width, 2)) for number in range(20)
    )
    assert all(weight.grad is None for weight in one.models[0].parameters())


@pytest.mark.parametrize("kind", ["logits", "numbers"])
def test_the_loss_is_that_of_the_whole_model(kind: str) -> None:
    one = study(Exact(1)) if kind == "logits" else study(Exact(1, answers=1), task=First(), rank=1)
    pool: Any = token_interchange._pool(one, 0)
    basis, rows = frame(4, pool.states.shape[-1], 2).float(), torch.arange(10, 30)
    model, sources = one.expect_model(0, Exact), pool.sources[rows]
    states = model.lift(pool.inputs[rows].float())
    other = model.lift(pool.inputs[sources].float())
    told = model.readout(states + (other - states) @ basis @ basis.T)
    wanted = model.readout(other)
    if kind == "logits":
        answers = wanted.softmax(-1).flatten(0, 1)
        loss = cross_entropy(told.flatten(0, 1), answers) - cross_entropy(wanted.flatten(0, 1), answers)
    else:
        loss = mse_loss(told, wanted) / torch.cat([model.readout(model.lift(pool.inputs.float()))]).var()
    found = token_interchange._loss(pool, rows, sources, basis)
    assert float(found.detach()) == pytest.approx(float(loss.detach()), rel=1e-5)


@pytest.mark.parametrize(("kind", "site"), [(Exact, "readout"), (Bent, "bend")])
@pytest.mark.parametrize("seed", range(2))
def test_the_subspace_with_the_lowest_held_out_loss_is_kept(
    kind: type[Exact], site: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, seen = study(kind(seed), site), list[float]()
    pool: Any = token_interchange._pool(one, 0)
    held = pool.held.nonzero()[:, 0]
    true = token_interchange._epoch

    def watched(*arguments: Any) -> float:
        seen.append(true(*arguments))
        return seen[-1]

    monkeypatch.setattr(token_interchange, "_epoch", watched)
    basis = token_interchange.searched_subspace(one, 0).basis.float()
    with torch.no_grad():
        found = float(token_interchange._loss(pool, held, pool.sources[held], basis))
    assert found == pytest.approx(min(seen), rel=1e-3, abs=1e-6)
    waited = token_interchange.PATIENCE
    falls = [place for place in range(1, len(seen)) if seen[place] < 0.99 * min(seen[:place])]
    assert len(seen) == min(token_interchange.EPOCHS, max(falls) + 1 + waited)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_numbers_does_not_matter(scale: float) -> None:
    model = Exact(0, answers=1)
    with torch.no_grad():
        model.readout.weight.mul_(scale)
    found = token_interchange.searched_subspace(study(model, task=First(), rank=1), 0)
    plain = token_interchange.searched_subspace(study(Exact(0, answers=1), task=First(), rank=1), 0)
    assert abs(float(found.basis[:, 0] @ plain.basis[:, 0])) > 0.999


def test_diffuse_answers_do_not_end_the_search() -> None:
    model = Exact(0)
    with torch.no_grad():
        model.readout.weight.mul_(0.1)
    one = study(model)
    found, core = token_interchange.searched_subspace(one, 0), one.core(0)
    assert float(torch.linalg.svdvals(found.basis.T @ core.basis)[-1]) > 0.98


def test_without_gradients_there_is_no_search() -> None:
    with torch.inference_mode():
        assert "DAS" not in alternative_cores(study(Exact(0)), 0)
        made = Exact(0)
    assert "DAS" not in alternative_cores(study(made), 0)


def test_a_core_of_no_dimensions_has_no_alternatives() -> None:
    one = study(Exact(0))
    one.replace_core(0, Core.from_basis(one.core(0).basis[:, :0], one.core(0).mean))
    assert alternative_cores(one, 0) == {}


def test_sequences_take_from_others_of_the_same_part() -> None:
    held = torch.arange(60) < 15
    sources = token_interchange._others(held, torch.Generator().manual_seed(0))
    assert bool((sources != torch.arange(60)).all())
    assert bool((held[sources] == held).all())
    assert sorted(sources.tolist()) == list(range(60))


def test_held_out_sequences_are_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    true = token_interchange._loss

    def seen(pool: Any, bases: Tensor, sources: Tensor, basis: Tensor) -> Tensor:
        if basis.requires_grad:
            trained.extend(bases.tolist() + sources.tolist())
        return true(pool, bases, sources, basis)

    monkeypatch.setattr(token_interchange, "_loss", seen)
    one = study(Exact(2))
    held = token_interchange._pool(one, 0).held
    token_interchange.searched_subspace(one, 0)
    assert set(trained) == set(np.flatnonzero(~held.numpy()).tolist())


def test_too_few_sequences_have_no_search() -> None:
    few = TokenStudy(
        [Exact(0)], Largest(), sites="readout", rank=ace.Fixed(2), sizes={**SIZES, ace.Split.EXTRACTION: 7}
    )
    with pytest.raises(Inapplicable, match="expected 8 sequences"):
        token_interchange.searched_subspace(few, 0)
    assert "DAS" not in alternative_cores(few, 0)


def test_large_outputs_leave_fewer_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    one = study(Exact(0))
    numbers = 4 * 3  # places and classes of a sequence
    monkeypatch.setattr(token_interchange, "NUMBERS", 20 * numbers)
    assert len(token_interchange._pool(one, 0).states) == 20
    monkeypatch.setattr(token_interchange, "NUMBERS", 7 * numbers)
    with pytest.raises(Inapplicable, match="got 7 that are there and fit"):
        token_interchange.searched_subspace(one, 0)
    monkeypatch.undo()
    assert "DAS" in alternative_cores(study(Exact(0)), 0)
