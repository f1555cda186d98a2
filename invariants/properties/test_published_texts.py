"""The published figure on text against a plain way to it, and where it can be told beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor

from ace.core import ORTHOGONAL
from ace.errors import Inapplicable, InputError
from ace.families.agreement.published import as_published, published_study
from ace.families.agreement.published_texts import (
    LIMIT,
    PROMPTS,
    STEP,
    _signed_ranks,
    _strengths,
    next_verb,
    published_figures,
)
from ace.model.continuation import encode_prompts
from ace.model.prefix import PrefixRun
from ace.model.sites import hooked
from ace.study.prompt_rest import rest_at
from ace.study.prompts import PromptStudy
from ace.tasks import Split
from ace.tasks.agreement import COPULA, AgreementTask
from ace.tasks.prompt import Prompts
from invariants.properties.test_continuation import SEVERAL, TOLERANCE, language

SIZES = {Split.EXTRACTION: 60, Split.SELECTION: 40, Split.EVALUATION: 60}


@pytest.fixture(scope="module")
def study() -> PromptStudy:
    """A random model on prompts whose labels mean nothing to it."""
    return PromptStudy(language(), AgreementTask(), sizes=SIZES)


def chosen(study: PromptStudy, count: int = PROMPTS) -> Prompts:
    """The first evaluation prompts of the published kind, half of each number."""
    every = published_study(study).prompts(Split.EVALUATION)
    rows = [row for label in (0, 1) for row in [i for i in range(len(every)) if every.labels[i] == label][: count // 2]]
    return every.take(rows)


def slow_forms(study: PromptStudy, text: str, axis: Tensor, strength: float) -> dict[str, float]:
    """Logit of each form after a text, the whole model run with a part along one direction taken away at its end."""
    published = published_study(study)
    site = published.sites[as_published(study).site]
    mean, unit = published.core(site).mean.float(), (axis / axis.norm()).float()
    ids = torch.tensor([published.language.encode(text)])

    def edit(states: Tensor) -> Tensor:
        last = states[:, -1] - strength * ((states[:, -1] - mean) @ unit)[:, None] * unit
        return torch.cat([states[:, :-1], last[:, None]], dim=1)

    with torch.no_grad(), hooked(published.language.model, site, edit):
        logits = published.language.model(ids).logits[0, -1]
    forms = (*COPULA.wanted, *COPULA.other)
    return {form: float(logits[published.language.encode(text + form)[-1]]) for form in forms}


def slow_turned(study: PromptStudy, text: str, label: int, axis: Tensor) -> tuple[float, float, float]:
    """Clean and turned lead of the right form, and the strength, by the words of the published protocol."""

    def margin(forms: dict[str, float]) -> float:
        plural, singular = ([forms[form] for form in group] for group in (COPULA.wanted, COPULA.other))
        return float(logsumexp(plural) - logsumexp(singular))

    def lead(forms: dict[str, float]) -> float:
        return max(forms[form] for form in (COPULA.wanted if label else COPULA.other)) - max(forms.values())

    clean = slow_forms(study, text, axis, 0.0)
    slope = (margin(slow_forms(study, text, axis, STEP)) - margin(clean)) / STEP
    strength = (-math.copysign(1.0, margin(clean)) - margin(clean)) / slope
    strength = min(max(strength, -LIMIT), LIMIT)
    return lead(clean), lead(slow_forms(study, text, axis, strength)), strength


def test_the_next_verb_is_that_of_a_plain_run_of_each_prompt(study: PromptStudy) -> None:
    found, prompts, published = next_verb(study), chosen(study), published_study(study)
    assert len(found.clean) == len(prompts) == PROMPTS
    core = published.core(published.sites[as_published(study).site])
    slow = [
        slow_turned(study, text, int(label), core.basis[:, 0])
        for text, label in zip(prompts.texts, prompts.labels, strict=True)
    ]
    fast = list(zip(found.clean, found.turned, found.strengths, strict=True))
    assert np.array(sorted(fast)) == pytest.approx(np.array(sorted(slow)), rel=1e-2, abs=1e-2)


def test_random_axes_are_put_through_the_same(study: PromptStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ace.families.agreement.published_texts.AXES", 60)
    monkeypatch.setattr("ace.families.agreement.published_texts.PROMPTS", 2)  # so that some axes turn all of them
    fresh = PromptStudy(language(), AgreementTask(), sizes=SIZES)
    published, prompts = published_study(fresh), chosen(fresh, 2)
    drawn = rest_at(published, published.sites[as_published(fresh).site], 1, ORTHOGONAL).directions[:60, :, 0]
    pairs = list(zip(prompts.texts, prompts.labels, strict=True))
    turns = [all(slow_turned(fresh, text, int(label), axis)[1] < 0 for text, label in pairs) for axis in drawn]
    assert 0 < np.mean(turns) < 1
    assert next_verb(fresh).random == pytest.approx(np.mean(turns))


def test_strengths_lie_where_a_line_has_turned_by_a_nat() -> None:
    clean, slope = torch.tensor([3.0, -2.0, 1e4, 0.5]), torch.tensor([-2.0, 1.0, -1.0, 1.0])
    assert _strengths(clean, clean + STEP * slope).tolist() == pytest.approx([2.0, 3.0, LIMIT, -1.5], abs=1e-2)
    flat = torch.tensor([3.0, 0.0])
    assert _strengths(flat, flat).abs().tolist() == [LIMIT, LIMIT]


def test_six_prompts_give_no_p_below_a_64th() -> None:
    assert _signed_ranks(-np.arange(1.0, 7.0)) == 1 / 64
    assert _signed_ranks(np.arange(1.0, 7.0)) == 1.0
    assert _signed_ranks(np.zeros(6)) == 1.0


def test_logits_of_continuations_make_up_the_contrast() -> None:
    prompts = AgreementTask().prompts(Split.EVALUATION, 6)
    for group in encode_prompts(language(), prompts):
        for run in (PrefixRun(language(), group), PrefixRun(language(), group, vocabulary=True)):
            site = language().anatomy.site(1)
            edited = torch.stack([run.states(site), 2 * run.states(site)])
            read = run.push_targets(site, edited)
            assert read.shape == (2, len(group.rows), len(COPULA.wanted) + len(COPULA.other))
            contrast = (read * group.weights[:, 0, 0]).sum(dim=-1)
            assert float((contrast - run.push(site, edited)).abs().max()) <= TOLERANCE


def test_forms_of_several_tokens_have_no_published_figure() -> None:
    several = PromptStudy(language(), Several(), sizes=SIZES)
    with pytest.raises(Inapplicable, match="single tokens"):
        next_verb(several)
    assert "single tokens" in str(published_figures(several))
    (group, *_) = encode_prompts(language(), Several().prompts(Split.EVALUATION, 2))
    run, site = PrefixRun(language(), group), language().anatomy.site(1)
    with pytest.raises(InputError, match="several"):
        run.push_targets(site, run.states(site)[None])


class Several(AgreementTask):
    """Prompts whose continuations are several tokens."""

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        return super().prompts(split, count, seed).under(SEVERAL)
