"""Properties of contrasts over continuations: symmetric, and of each prompt alone whatever is run beside it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from ace.model.continuation import Encoded, encode_prompts, scattered
from ace.model.language import LanguageModel, wrap_model
from ace.model.prefix import PrefixRun
from ace.tasks import Split
from ace.tasks.agreement import COPULA, REGULAR, AgreementTask
from ace.tasks.base import HELD_OUT
from ace.tasks.fragment.words import vocabulary
from ace.tasks.prompt import Contrast, Prompts
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.tokenizer import word_tokenizer
from ace.training.language.trainer import untrained_model

SEVERAL = Contrast((" are", " were often near the key"), (" is old", " was"))
TOLERANCE = 1e-4  # nats, of float32 sums in another order

contrasts = st.sampled_from([COPULA, REGULAR, SEVERAL])


@cache
def language() -> LanguageModel:
    """Two blocks of width 16, with weights large enough that no contrast is near 0."""
    recipe = LanguageRecipe("tiny", (1, 2), 32, 2, 16, 2, 1e-3, 0.1, 1.0, 1, 2, 2, 1)
    model = untrained_model(recipe, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)
    return wrap_model(model, word_tokenizer(vocabulary(), 32), "tiny")


@st.composite
def some_prompts(draw: st.DrawFn) -> Prompts:
    """Prompts of several lengths."""
    split, seed = draw(st.sampled_from(HELD_OUT)), draw(st.integers(0, 999))
    found = AgreementTask(attractors=draw(st.booleans())).prompts(split, draw(st.integers(1, 8)), seed)
    return found.under(draw(contrasts))


def base(prompts: Prompts, *, rows: int = 64) -> Tensor:
    groups = encode_prompts(language(), prompts, rows=rows)
    return scattered(groups, (PrefixRun(language(), group).base for group in groups))


@given(prompts=some_prompts())
def test_exchanging_the_sets_negates_the_contrast(prompts: Prompts) -> None:
    (contrast,) = prompts.contrasts
    there, back = base(prompts), base(prompts.under(Contrast(contrast.other, contrast.wanted)))
    assume(float(there.abs().max()) > 100 * TOLERANCE)  # otherwise the next line could not fail
    assert float((there + back).abs().max()) <= TOLERANCE


@given(prompts=some_prompts(), data=st.data())
def test_a_contrast_does_not_depend_on_what_is_run_beside_it(prompts: Prompts, data: st.DataObject) -> None:
    whole = base(prompts)
    order = data.draw(st.permutations(range(len(prompts))))
    some = order[: data.draw(st.integers(1, len(prompts)))]
    assert float((base(prompts.take(some)) - whole[list(some)]).abs().max()) <= TOLERANCE
    assert float((base(prompts, rows=data.draw(st.integers(1, 3))) - whole).abs().max()) <= TOLERANCE


@given(prompts=some_prompts(), data=st.data())
def test_the_order_within_a_set_does_not_matter(prompts: Prompts, data: st.DataObject) -> None:
    (contrast,) = prompts.contrasts
    turned = Contrast(*(tuple(data.draw(st.permutations(s))) for s in (contrast.wanted, contrast.other)))
    assert float((base(prompts.under(turned)) - base(prompts)).abs().max()) <= TOLERANCE


@given(prompts=some_prompts(), several=st.booleans())
def test_one_contrast_for_all_is_that_contrast_for_each(prompts: Prompts, several: bool) -> None:
    own = tuple(prompts.contrasts * len(prompts))
    if several and len(own) > 1:
        own = (SEVERAL, *own[1:])
    each = replace(prompts, contrasts=own)
    wanted = base(prompts)
    if own[0] is SEVERAL:
        wanted[0] = base(prompts.take([0]).under(SEVERAL))[0]
    assert float((base(each) - wanted).abs().max()) <= TOLERANCE


@given(prompts=some_prompts(), rows=st.integers(1, 5))
def test_groups_hold_every_prompt_once_with_its_tokens(prompts: Prompts, rows: int) -> None:
    groups = encode_prompts(language(), prompts, rows=rows)
    assert sorted(row for group in groups for row in group.rows.tolist()) == list(range(len(prompts)))
    for group in groups:
        assert 1 <= len(group.rows) <= rows
        check_group(group, prompts)


def check_group(group: Encoded, prompts: Prompts) -> None:
    for place, row in enumerate(group.rows.tolist()):
        ids = language().encode(prompts.texts[row])
        assert group.prefix[place].tolist() == ids[:-1]
        assert set(group.tails[place, :, 0].tolist()) == {ids[-1]}
        # Weights at the scored position cancel: what moves all logits alike moves no contrast.
        assert abs(float(group.weights[place, :, 0].sum())) <= 1e-6


@given(seed=st.integers(0, 99))
def test_a_contrast_is_a_difference_of_log_probabilities(seed: int) -> None:
    prompts = AgreementTask().prompts(Split.EVALUATION, 2, seed).under(SEVERAL)
    for text, found in zip(prompts.texts, base(prompts), strict=True):
        total = 0.0
        for texts, sign in ((SEVERAL.wanted, 1), (SEVERAL.other, -1)):
            for continuation in texts:
                start, ids = len(language().encode(text)), language().encode(text + continuation)
                with torch.no_grad():
                    logits = language().model(input_ids=torch.tensor([ids])).logits[0].double()
                scores = logits.log_softmax(dim=-1)[np.arange(start - 1, len(ids) - 1), ids[start:]]
                total += sign * float(scores.sum()) / len(texts)
        assert abs(total - float(found)) <= TOLERANCE
