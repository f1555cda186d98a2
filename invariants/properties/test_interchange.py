"""A distributed alignment search finds the axis that was planted, and learns from what exchanges really do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from ace.errors import Inapplicable
from ace.model.continuation import encode_prompts
from ace.model.prefix import PrefixRun
from ace.study import interchange
from ace.study.prompts import PromptStudy
from ace.tasks import Split
from ace.tasks.agreement import COPULA, REGULAR, AgreementTask
from ace.tasks.prompt import Contrast, Prompts
from invariants.properties.strategies import distance, frame, gaussian
from invariants.properties.test_continuation import SEVERAL, TOLERANCE, language

SIZES = {Split.EXTRACTION: 80, Split.SELECTION: 20, Split.EVALUATION: 40}


def agreement() -> Prompts:
    return AgreementTask().prompts(Split.EVALUATION, 12)


def study() -> PromptStudy:
    """A random model, labelled by its own contrast."""
    return PromptStudy(language(), AgreementTask(), own_labels=True, sizes=SIZES)


@dataclass(frozen=True)
class Planted:
    """Stands for a run: the contrast is what `reader` reads of the state."""

    reader: Tensor

    def push(self, site: object, edited: Tensor, *, gradients: bool) -> Tensor:
        assert gradients
        return edited @ self.reader[:, 0]


def planted(monkeypatch: pytest.MonkeyPatch, axis: Tensor, noise: float = 0.3) -> PromptStudy:
    """A study whose states (200, 16) lie at -2 or 2 along an axis (16, 1), with noise, and whose contrast reads it."""
    labels = torch.arange(200) % 2
    states = (4.0 * labels[:, None] - 2) @ axis.T + noise * gaussian(5, 200, 16).float()
    held = torch.arange(200) < 50
    sources = interchange._opposite(torch.arange(200), labels, held, torch.Generator().manual_seed(1))
    run, rows = cast(PrefixRun, Planted(axis)), list(torch.arange(200).split(40))
    pool = interchange._Pool(cast(Any, None), [run] * 5, rows, states, labels, held, sources)
    monkeypatch.setattr(interchange, "_pool", lambda study, site: pool)
    return study()


@pytest.mark.parametrize("seed", range(3))
def test_the_planted_axis_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    axis = frame(seed, 16, 1).float()
    found = interchange.searched_core(planted(monkeypatch, axis), language().anatomy.site(1))
    assert abs(float(found.basis[:, 0] @ axis[:, 0].double())) > 0.99
    assert torch.equal(found.directions, found.readers.T)


def test_a_subspace_of_two_dimensions_holds_the_planted_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    axis = frame(3, 16, 1).float()
    found = interchange.searched_core(planted(monkeypatch, axis), language().anatomy.site(1), 2)
    assert found.dimension == 2
    assert float((found.basis.T @ axis.double()).norm()) > 0.99


def test_sources_are_of_the_other_class_and_the_same_part() -> None:
    labels, held = torch.arange(60) % 2, torch.arange(60) < 20
    rows = torch.arange(60)
    sources = interchange._opposite(rows, labels, held, torch.Generator().manual_seed(0))
    assert bool((labels[sources] != labels[rows]).all())
    assert bool((held[sources] == held[rows]).all())
    assert len(sources.unique()) > 20


def test_a_search_of_a_models_prompts_exchanges_what_it_was_trained_to() -> None:
    """Exchanged with prompts of the other class, contrasts go over to its side more than along a random axis."""
    one, site = study(), language().anatomy.site(1)
    found = interchange.searched_core(one, site)
    states, labels = one.states(Split.EVALUATION, site).double(), torch.from_numpy(one.labels(Split.EVALUATION))
    other = torch.stack([states[labels != label][0] for label in labels])

    def towards(basis: Tensor) -> float:
        exchanged = states + (other - states) @ basis @ basis.T
        moved = [
            run.push(site, exchanged[group.rows][None])[0] - run.base
            for run, group in zip(one.runs(Split.EVALUATION), one.encoded(Split.EVALUATION), strict=True)
        ]
        order = torch.cat([group.rows for group in one.encoded(Split.EVALUATION)])
        return float((torch.cat(moved) * (1 - 2 * labels[order])).mean())

    assert towards(found.basis) > max(towards(frame(seed, found.width, 1)) for seed in range(50))
    assert interchange.searched_core(study(), site) == found  # the same from the start


def test_too_few_groups_of_prompts_are_refused() -> None:
    class OneNoun(AgreementTask):
        def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
            found = super().prompts(split, count, seed)
            return replace(found, groups=("noun",) * len(found))

    one = PromptStudy(language(), OneNoun(), own_labels=True, sizes=SIZES)
    with pytest.raises(Inapplicable, match="too few groups"):
        interchange.searched_core(one, language().anatomy.site(1))


@pytest.mark.parametrize("contrast", [COPULA, REGULAR, SEVERAL])
@pytest.mark.parametrize("index", range(3))
def test_pushed_states_have_the_gradients_of_the_whole_model(contrast: Contrast, index: int) -> None:
    site = language().anatomy.site(index)
    for group in encode_prompts(language(), agreement().under(contrast)):
        whole = PrefixRun(language(), group, gradients=True)
        leaf = whole.states(site)[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(whole.push(site, leaf, gradients=True).sum(), leaf)
        assert distance(gradient[0], whole.gradients[index]) < 1e-3 * float(whole.gradients[index].abs().max())
        assert not whole.push(site, leaf).requires_grad


@pytest.mark.parametrize("contrast", [COPULA, REGULAR, SEVERAL])
def test_a_run_under_other_continuations_is_a_run_of_them(contrast: Contrast) -> None:
    site = language().anatomy.site(1)
    before = [PrefixRun(language(), group) for group in encode_prompts(language(), agreement())]
    groups = encode_prompts(language(), agreement().under(contrast))
    assert len(groups) == len(before)
    for run, group in zip(before, groups, strict=True):
        kept, plain, slow = run.base.clone(), run.under(group), PrefixRun(language(), group)
        edited = plain.states(site)[None] + 0.1
        assert distance(plain.base, slow.base) < TOLERANCE
        assert distance(plain.push(site, edited), slow.push(site, edited)) < TOLERANCE
        assert torch.equal(run.base, kept)
