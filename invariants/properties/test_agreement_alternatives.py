"""What stands beside ACE in the agreement family is compared alike, and ACE can win or lose against it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from ace.auc import separations, simple_auc
from ace.core import OBLIQUE, ORTHOGONAL, Core
from ace.discrimination import Quantities
from ace.errors import Inapplicable
from ace.families.agreement import advantage, alternatives, axes, specificity
from ace.families.agreement.elsewhere import few_prompts, neutral_nats, transfer_aucs
from ace.families.family import find_claim
from ace.linalg import random_frames
from ace.model.continuation import encode_prompts, scattered
from ace.model.prefix import PrefixRun
from ace.study.prompt_rest import rest_at
from ace.study.prompts import PromptStudy
from ace.tasks import Split
from ace.tasks.agreement import HAVE, AgreementTask
from ace.verify import Status, judge
from invariants.properties.test_continuation import SEVERAL, TOLERANCE, language

SIZES = {Split.EXTRACTION: 80, Split.SELECTION: 40, Split.EVALUATION: 60}
METHODS = ["ACE", "mean difference", "PCA", "gradients alone", "LDA", "logistic probe", "LEACE", "DAS"]


def fresh() -> PromptStudy:
    """A random model, labelled by its own contrast."""
    return PromptStudy(language(), AgreementTask(), own_labels=True, sizes=SIZES)


@pytest.fixture(scope="module")
def study() -> PromptStudy:
    return fresh()


def random_core(core: Core, seed: int) -> Core:
    return core.with_basis(random_frames(core.width, core.dimension, 1, torch.Generator().manual_seed(seed))[0])


def test_every_method_comes_with_all_its_projectors(study: PromptStudy) -> None:
    names = [(axis.method, axis.projector) for axis in axes.all_axes(study)]
    several = (ORTHOGONAL, OBLIQUE, axes.READERS)
    wanted = {name: several[:1] if name in ("mean difference", "PCA", "DAS") else several for name in METHODS}
    assert names == [(method, projector) for method in METHODS for projector in wanted[method]]
    assert axes.extracted_axis(study) is axes.all_axes(study)[1]


@pytest.mark.parametrize("split", [Split.SELECTION, Split.EVALUATION])
def test_matched_flips_move_states_equally_far(study: PromptStudy, split: Split) -> None:
    site, _ = axes.place(study)
    states = study.states(split, site).double()

    def moved(edited: torch.Tensor) -> float:
        return float((edited - states).square().sum(dim=1).mean())

    wanted = moved(axes.extracted_axis(study).edit("flip").apply(states))
    for axis in axes.all_axes(study):
        edit = axes.matched_flip(study, axis, split)
        assert moved(edit.apply(states)) == pytest.approx(wanted, rel=1e-6), axis
        assert edit.gain < 1  # to the other side, never further along


def test_a_flip_beyond_the_mirror_is_no_nearer_to_it(study: PromptStudy) -> None:
    compared, ours = alternatives.comparison(study), axes.extracted_axis(study)
    own = compared.value(ours, "flip").value
    for axis in compared.axes:
        found = compared.off_the_mirror("x", axis, ours)
        other = compared.value(axis, "flip").value
        assert found.value == pytest.approx(abs(other + 1) - abs(own + 1), abs=1e-9)
        low, high = found.interval()
        assert low <= found.value <= high
    assert compared.off_the_mirror("x", ours, ours).value == 0
    # This model's flips stay short of the mirror; -1.5 is as far from it as -.5.
    pushed = np.array([1.0, *([0.0] * (len(alternatives.EDITS) * len(compared.axes)))])
    pushed[compared._row(ours, "flip")], pushed[compared._row(compared.axes[0], "flip")] = -0.5, -1.5
    same = Quantities(pushed, pushed, pushed)
    scored = cast(Any, SimpleNamespace(estimate=lambda label, quantity: float(quantity(same))))
    planted = replace(compared, scored=scored)
    assert cast(float, planted.off_the_mirror("x", compared.axes[0], ours)) == 0
    assert cast(float, planted.beyond("x", compared.axes[0], ours, "flip")) == -1


def test_the_better_projector_is_the_one_that_mirrors_more_on_the_selection_split(study: PromptStudy) -> None:
    site, _ = axes.place(study)
    best = axes.best_axes(study)
    assert list(best) == METHODS
    assert best["ACE"] is axes.extracted_axis(study)
    for method in METHODS[1:]:
        own = [axis for axis in axes.all_axes(study) if axis.method == method]
        scores = [study.push(Split.SELECTION, site, [axes.matched_flip(study, axis, Split.SELECTION)]) for axis in own]
        base, labels = study.base(Split.SELECTION), study.labels(Split.SELECTION)
        left = [float(separations(score, base, labels)[0]) for score in scores]
        assert best[method] is own[int(np.argmin(left))]


def test_the_comparison_holds_what_each_edit_does_by_itself(study: PromptStudy) -> None:
    site, _ = axes.place(study)
    compared = alternatives.comparison(study)
    base, labels = study.base(Split.EVALUATION), study.labels(Split.EVALUATION)
    for axis in (compared.axes[1], compared.axes[-1]):
        for mode in alternatives.EDITS[:3]:
            score = study.push(Split.EVALUATION, site, [axis.edit(mode)])
            wanted = float(separations(score, base, labels)[0])
            assert compared.value(axis, mode).value == pytest.approx(wanted, abs=1e-5)
    first, last = compared.axes[1], compared.axes[-1]
    there, back = (compared.beyond("", *pair, "flip") for pair in ((first, last), (last, first)))
    assert there.value == pytest.approx(compared.value(first, "flip").value - compared.value(last, "flip").value)
    assert there.value == pytest.approx(-back.value)
    assert compared.beyond("", first, first, "flip").interval() == (0.0, 0.0)  # paired: the same draws for both


def test_the_table_is_plain_and_has_more_of_the_better_projectors(study: PromptStudy) -> None:
    rows = alternatives.methods_table(study)["rows"]
    assert [(row["method"], row["projector"]) for row in rows] == [
        (axis.method, axis.projector) for axis in axes.all_axes(study)
    ]
    extra = [(row["method"], row["projector"]) for row in rows if "nats" in row]
    assert sorted(extra) == sorted((axis.method, axis.projector) for axis in axes.best_axes(study).values())
    assert all(set(row["transfer"]) == {"have", "regular verbs"} for row in rows if "nats" in row)
    assert all(row["keep"][1] <= row["keep"][0] <= row["keep"][2] for row in rows)


def verdict(study: PromptStudy) -> Status:
    measured = advantage.advantage(
        SimpleNamespace(trained=SimpleNamespace(studies=(study,), sites=lambda projector: ""))
    )
    return judge(find_claim("agreement.advantage"), measured, "tiny").status


def test_advantage_holds_against_random_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    def others(study: PromptStudy, site: object, rank: int) -> dict[str, Core]:
        core = study.core(site, rank)  # type: ignore[arg-type]
        return {f"random {seed}": random_core(core, seed) for seed in range(2)}

    monkeypatch.setattr(axes, "prompt_alternatives", others)
    assert verdict(fresh()) is Status.HOLDS


def test_advantage_fails_for_a_random_axis_in_the_cores_place() -> None:
    study = fresh()
    site, rank = axes.place(study)
    study.replace_core(site, random_core(study.core(site, rank), 0))
    assert verdict(study) is Status.FAILS


def test_advantage_fails_against_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axes, "prompt_alternatives", lambda study, site, rank: {"twin": study.core(site, rank)})
    assert verdict(fresh()) is Status.FAILS


def test_other_verbs_and_neutral_text_are_those_of_a_run_of_their_own(study: PromptStudy) -> None:
    site, _ = axes.place(study)
    axis = axes.all_axes(study)[1]
    few = few_prompts(study)
    groups = encode_prompts(language(), few.under(HAVE))
    runs = [PrefixRun(language(), group) for group in groups]
    pushed = (run.push(site, axis.edit("flip").apply(run.states(site))[None]) for run in runs)
    scores = scattered(groups, pushed, axis=1).double().numpy()
    wanted = simple_auc(scores, few.labels)
    assert transfer_aucs(study, (axis,))["have"] == pytest.approx(wanted, abs=1e-9)
    nats = neutral_nats(study, axes.all_axes(study)[:5])
    assert nats.min() > -1e-6
    assert nats.mean(axis=1).max() > 1e-3


@torch.no_grad()
def test_arbitrary_words_are_told_from_the_contrasts_by_the_models_own_odds(study: PromptStudy) -> None:
    words, few = specificity.arbitrary_words(study), few_prompts(study)
    every = [language().run(torch.tensor([language().encode(text)]))[0][0, -1] for text in few.texts]
    mean = torch.stack(every).log_softmax(dim=-1).mean(dim=0)
    start = language().encode(few.texts[0])
    ids = [language().encode(few.texts[0] + word) for word in (" is", " are", " was", " were", *words.words)]
    assert all(whole[:-1] == start for whole in ids)
    odds = mean[[whole[-1] for whole in ids]].numpy()
    assert words.distance == pytest.approx(np.abs(odds[4:] - odds[:4].mean()), abs=TOLERANCE)
    numbered = {"is", "are", "was", "were", "has", "have", "like", "likes", "it", "they"}
    assert not {word.strip() for word in words.words} & numbered
    assert {" liked", " had", " key", " keys", " old"} <= set(words.words)


@pytest.mark.parametrize(("near", "count"), [(3, specificity.FEWEST), (12, 12)])
def test_contrasts_are_of_words_within_the_caliper_or_of_the_nearest(near: int, count: int) -> None:
    rng = np.random.default_rng(near)
    distance = rng.permutation(np.concatenate([rng.random(near), 10 + rng.random(20 - near)]))
    words = specificity.Words(tuple(f" {place}" for place in range(20)), distance, [], [])
    matched = words.matched()
    assert len(matched) == count
    assert distance[matched].max() < np.delete(distance, matched).min()
    weights = words.contrasts(matched)
    assert weights.shape == (20, specificity.CONTRASTS)
    assert not np.delete(weights, matched, axis=0).any()
    for column in weights.T:
        assert sorted(column[column != 0]) == [-0.5, -0.5, 0.5, 0.5]


def test_changes_are_those_of_the_contrasts_themselves(study: PromptStudy) -> None:
    site, _ = axes.place(study)
    words, axis = specificity.arbitrary_words(study), axes.all_axes(study)[1]
    weights = words.contrasts(words.matched())
    moved = specificity.changes(study, lambda states: axis.edit("flip").apply(states)[None], weights)
    few = few_prompts(study)
    groups = encode_prompts(language(), few)
    runs = [PrefixRun(language(), group, vocabulary=True) for group in groups]

    def values(edit: bool) -> torch.Tensor:
        parts = []
        for run in runs:
            states = run.states(site)
            edited = axis.edit("flip").apply(states) if edit else states
            parts.append(run.push_logits(site, edited[None])[:, 0][None])
        return scattered(groups, iter(parts), axis=1)[0]

    ids = [language().encode(few.texts[0] + word)[-1] for word in words.words]
    clean, flipped = values(edit=False), values(edit=True)
    mixing = torch.from_numpy(weights).float()
    wanted = ((flipped - clean)[:, ids] @ mixing).abs()
    assert moved.others[0] == pytest.approx(wanted.numpy(), abs=TOLERANCE)
    assert moved.clean[:, 1:] == pytest.approx((clean[:, ids] @ mixing).numpy(), abs=TOLERANCE)
    assert moved.clean[:, 0] == pytest.approx(study.base(Split.EVALUATION)[: len(few)], abs=TOLERANCE)


def test_the_ratio_is_an_effect_in_units_of_spread_over_the_median_one() -> None:
    rng = np.random.default_rng(0)
    clean, change = rng.normal(size=(50, 21)) * np.arange(1, 22), rng.random((50, 21)) * 3
    moved = specificity.Changes(change[None, :, 0], change[None, :, 1:], clean)
    effects = [np.mean(change[:, k]) / np.std(clean[:, k]) for k in range(21)]
    found = specificity.selectivity(specificity._columns(moved, 0).mean(axis=0))
    assert found == pytest.approx(effects[0] / np.median(effects[1:]))
    larger = specificity.Changes(moved.own, 7 * moved.others, np.column_stack([clean[:, 0], 7 * clean[:, 1:]]))
    assert specificity.selectivity(specificity._columns(larger, 0).mean(axis=0)) == pytest.approx(found)


def test_the_rest_is_judged_as_an_axis_is(study: PromptStudy) -> None:
    site, rank = axes.place(study)
    drawn, core = rest_at(study, site, rank, OBLIQUE), study.core(site, rank)
    found = specificity.rest_selectivities(study, [0, 5])
    for place, number in enumerate((0, 5)):
        directions, readers = drawn.directions[number], drawn.readers[number]
        other = replace(core, directions=directions, readers=readers, basis=torch.linalg.qr(directions).Q, hankel=None)
        (wanted,) = specificity.axis_selectivities(study, [axes.Axis("rest", OBLIQUE, other)], ["0"])
        assert found[place, 0] == pytest.approx(wanted.value, rel=1e-3)


def test_a_contrast_of_several_tokens_has_no_words_to_match() -> None:
    several = PromptStudy(language(), AgreementTask(), contrast=SEVERAL, own_labels=True, sizes=SIZES)
    with pytest.raises(Inapplicable, match="several tokens"):
        specificity.arbitrary_words(several)
