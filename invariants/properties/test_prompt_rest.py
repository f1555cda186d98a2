"""The rest in a language model, and what claims about agreement compute, against plain ways to the same numbers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import separations, simple_auc
from ace.core import PROJECTORS, Core
from ace.errors import Inapplicable
from ace.families.agreement import depth, dose, generation, knob, published
from ace.model.intervene import Intervention
from ace.model.steer import core_component
from ace.study.prompt_rest import own_contrasts, read_under, rest_at, rest_of
from ace.study.prompts import PromptStudy, encoded_once
from ace.study.rest import DISMISSED
from ace.study.site_choice import MODES, WANTED, Choice, rank_of, separations_at, swept_contrasts
from ace.tasks import Split
from ace.tasks.agreement import HAVE, AgreementTask
from ace.tasks.fragment.words import NOUNS
from ace.tasks.prompt import Prompts
from invariants.properties.test_continuation import TOLERANCE, language

SIZES = {Split.EXTRACTION: 60, Split.SELECTION: 40, Split.EVALUATION: 60}


@pytest.fixture(scope="module")
def study() -> PromptStudy:
    """A random model, labelled by its own contrast."""
    return PromptStudy(language(), AgreementTask(), own_labels=True, sizes=SIZES)


def drawn_core(study: PromptStudy, choice: Choice, number: int) -> Core:
    """One draw of the rest as a core."""
    drawn = rest_at(study, choice.site, rank_of(choice), choice.projector).take(torch.tensor([number]))
    core = study.core(choice.site, rank_of(choice))
    basis = torch.linalg.qr(drawn.directions[0]).Q
    return replace(core, directions=drawn.directions[0], readers=drawn.readers[0], basis=basis, hankel=None)


@pytest.mark.parametrize("projector", PROJECTORS)
@pytest.mark.parametrize("mode", MODES)
def test_draws_of_the_rest_are_edits_with_cores_of_their_own(study: PromptStudy, projector: str, mode: str) -> None:
    choice = study.choice(projector)

    def contrasts(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
        return edited[mode]

    many = rest_of(study, "0", ("0",), choice, (mode,), contrasts).values(range(3))
    edits = [Intervention(drawn_core(study, choice, k), mode, projector="oblique") for k in range(3)]
    slow = [study.push(Split.EVALUATION, choice.site, [edit])[0] for edit in edits]
    assert np.abs(many - np.array(slow)).max() <= TOLERANCE


def test_texts_are_steered_by_the_core_then_by_draws_then_by_the_core_obliquely(study: PromptStudy) -> None:
    choice = study.choice()
    core = study.core(choice.site, rank_of(choice))
    drawn = rest_at(study, choice.site, rank_of(choice), choice.projector)
    states = study.states(Split.EVALUATION, choice.site)[:4]
    found = generation._steering(study, 1, range(5, 7), 1, 8).component(states)
    centred = states - core.mean.to(states)
    slow = [
        core_component(core, "orthogonal")(states)[0],
        *(centred[row] @ (drawn.directions[draw] @ drawn.readers[draw]).T.to(states) for row, draw in ((1, 5), (2, 6))),
        core_component(core, "oblique")(states)[3],
    ]
    assert torch.allclose(found, torch.stack(slow), atol=1e-5 * float(centred.abs().max()))


def test_a_draw_is_judged_on_few_prompts_by_the_same_statistic(study: PromptStudy) -> None:
    def value(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
        return separations(edited["flip"], base, labels)[:, None]

    rest = rest_of(study, "0", ("0",), study.choice(), ("flip",), value)
    assert rest.few is not None
    few, errors = rest.few(range(20))
    assert (np.abs(few - rest.values(range(20))) <= DISMISSED * np.maximum(errors, 1e-3)).all()
    labels = study.labels(Split.EVALUATION)[study.few_rows(Split.EVALUATION)]
    assert abs(int(labels.sum()) - len(labels) / 2) <= 1


def test_prompts_read_by_another_contrast_are_as_if_run_with_it(study: PromptStudy) -> None:
    prompts = study.prompts(Split.EVALUATION).under(HAVE)
    runs = read_under(study, (study.encoded(Split.EVALUATION), study.runs(Split.EVALUATION)), prompts)
    fresh = PromptStudy(study.language, AgreementTask(), contrast=HAVE, sizes=SIZES)
    read = own_contrasts(runs)
    assert np.abs(read - fresh.base(Split.EVALUATION)).max() <= TOLERANCE


@pytest.mark.parametrize("projector", PROJECTORS)
def test_the_site_is_the_one_with_the_least_misfit(study: PromptStudy, projector: str) -> None:
    labels, base = study.labels(Split.SELECTION), study.base(Split.SELECTION)
    worst, swept = [], separations_at(study, Split.SELECTION, projector, tuple(range(len(study.sites))))
    for site in study.sites:
        scores = study.push(
            Split.SELECTION, site, [Intervention(study.core(site), mode, projector=projector) for mode in MODES]
        )
        apart = [float(separations(row[None], base, labels)[0]) for row in scores]
        assert apart == pytest.approx([float(swept[mode][site.index]) for mode in MODES], abs=1e-4)
        worst.append(max(abs(value - wanted) for value, wanted in zip(apart, WANTED.values(), strict=True)))
    chosen = study.choice(projector).site.index
    assert worst[chosen] <= min(worst[:-1]) + 0.05 + 1e-4
    assert chosen < len(study.sites) - 1


# --- what the claims compute ------------------------------------------------------------------------------------------
def test_misfits_are_at_most_one_exactly_within_the_margins() -> None:
    inside = np.array([1.0, 1.25, 0.1, -0.8])
    assert depth.misfits(inside).max() == pytest.approx(1.0)
    for row, moved in ((1, 0.1), (2, 0.05), (3, 0.1), (1, -0.5), (2, -0.3)):
        outside = inside.copy()
        outside[row] += moved
        assert depth.misfits(outside).max() > 1.0
    assert depth.misfits(np.array([1.0, 1.0, 0.0, -1.4])).max() <= 1.0  # beyond the mirror is mirrored


def test_a_prompt_turns_where_every_step_goes_on_and_the_last_is_beyond_zero() -> None:
    curves = np.array([[1.0, 1.0, 1.0, -1.0], [0.5, 0.5, 1.1, -0.2], [-0.5, 0.2, -2.0, 0.3]])
    assert dose.turned(curves).tolist() == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("within", [False, True])
def test_the_knob_is_a_line_fitted_on_selection(study: PromptStudy, within: bool) -> None:
    choice, splits = study.choice(), (Split.SELECTION, Split.EVALUATION)

    def coordinates(core: Core) -> list[Tensor]:
        return [core.coordinates(study.states(split, choice.site)) for split in splits]

    parts = coordinates(study.core(choice.site, rank_of(choice)))
    found = knob._r2("0", study, parts[0], parts[1], within=within)
    rows = [(part.numpy(), study.base(split), study.labels(split)) for split, part in zip(splits, parts, strict=True)]
    if within:
        rows = [(_centred(x, labels), _centred(y, labels), labels) for x, y, labels in rows]
    line = LinearRegression().fit(*rows[0][:2])
    assert found.value == pytest.approx(r2_score(rows[1][1], line.predict(rows[1][0])), abs=1e-6)
    rest = knob._rest("0", study, within=within).values([0])
    parts = coordinates(drawn_core(study, choice, 0))
    slow = knob._r2("0", study, parts[0], parts[1], within=within)
    assert float(rest[0, 0]) == pytest.approx(slow.value, abs=1e-6)


def _centred(values: Array, labels: Ints) -> Array:
    out = np.array(values, dtype=np.float64)
    for label in (0, 1):
        out[labels == label] -= out[labels == label].mean(axis=0)
    return out


def test_the_excesses_of_generated_text_are_its_counts() -> None:
    def judged(agreeing: list[float], plural: list[float]) -> generation.Judged:
        ones = np.ones(len(agreeing))
        clusters = np.arange(len(agreeing)) // 2
        return generation.Judged(np.array(agreeing), 2 * ones, np.array(plural), 2 * ones, ones, ones, clusters)

    clean, flipped = judged([2, 2, 2, 1] * 5, [1, 1, 2, 0] * 5), judged([0, 1, 0, 0] * 5, [1, 2, 2, 1] * 5)
    parts = {part.label: part for part in generation._excesses("0", clean, flipped)}
    assert parts["0, clean"].value == pytest.approx(0.9 - 7 / 8)
    assert parts["0, flipped"].value == pytest.approx(1 / 8 - 0.1)
    assert parts["0, subjects up"].value == pytest.approx(6 / 8 - 4 / 8 - 0.1)
    assert parts["0, subjects down"].value == pytest.approx(4 / 8 - 6 / 8 - 0.1)
    for part in parts.values():
        low, high = part.interval(0.95)
        assert low < part.value < high


def test_the_published_protocol_confounds_the_two_nouns_and_takes_the_site_that_looks_best(study: PromptStudy) -> None:
    source = published.Confounded(AgreementTask())
    halves = [source.prompts(split, 40) for split in (Split.EXTRACTION, Split.EVALUATION)]
    for half in halves:
        assert half.attractors is not None
        assert (half.attractors != half.labels).all()
    assert not set(halves[0].texts) & set(halves[1].texts)
    assert set(halves[0].groups) & set(halves[1].groups)  # nouns are shared
    labelled = PromptStudy(language(), AgreementTask(), sizes=SIZES)
    found = published.as_published(labelled)
    assert found.flip == min(found.by_site["flip"])
    assert len(found.by_site["flip"]) == len(labelled.sites)  # the final norm's input among them
    assert 0 <= found.r2 <= 1
    confounded = PromptStudy(language(), source, sizes={Split.EXTRACTION: 30, Split.EVALUATION: 30})
    scores, labels = confounded.base(Split.EVALUATION)[None], confounded.labels(Split.EVALUATION)
    assert found.base == pytest.approx(float(simple_auc(scores, labels)[0]))


class OneEnding(AgreementTask):
    """Prompts of one length that all end in one word, so that their embeddings are the same."""

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        given, forms = super().prompts(split, count, seed), dict(NOUNS)
        heads = [(head, forms[head])[label] for head, label in zip(given.groups, given.labels, strict=True)]
        return replace(given, texts=tuple(f"the {head} often" for head in heads))


def test_where_no_state_varies_nothing_is_edited_and_no_core_extracted() -> None:
    ended = PromptStudy(language(), OneEnding(), sizes=SIZES)
    embedding, *others = ended.sites
    assert not ended.varies(embedding)
    assert all(ended.varies(site) for site in others)
    swept = swept_contrasts(ended, Split.SELECTION)
    assert (swept[embedding.index] == ended.base(Split.SELECTION)).all()
    assert not (swept[others[0].index] == ended.base(Split.SELECTION)).all()
    assert ended.choice().site != embedding
    with pytest.raises(Inapplicable, match="same state"):
        ended.core(embedding)


def test_prompts_are_encoded_once_for_studies_that_encode_alike(study: PromptStudy) -> None:
    twin = PromptStudy(language(), AgreementTask(), sizes=SIZES, memory=study.memory)
    prompts = study.prompts(Split.EVALUATION)
    assert encoded_once(twin, prompts) is encoded_once(study, prompts) is study.encoded(Split.EVALUATION)
    assert encoded_once(study, prompts.under(HAVE)) is not encoded_once(study, prompts)
    other = replace(twin.language, tokenizer=copy.deepcopy(twin.language.tokenizer))
    assert other.encoding == study.language.encoding
    other.tokenizer.add_tokens(["zebra"])
    assert replace(other).encoding != study.language.encoding
    shorter = PromptStudy(replace(other), AgreementTask(), sizes=SIZES, memory=study.memory)
    assert encoded_once(shorter, prompts) is not encoded_once(study, prompts)
