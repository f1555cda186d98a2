"""Measures of the Markov family against slow twins: the rest, parts of accuracy, the published protocol."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from ace.families.core import as_published as published
from ace.families.core.alignment import oblique
from ace.families.core.transplant import transplants
from ace.families.markov import ablation, as_published, optimum
from ace.families.trained import share_that_may_fail
from ace.model.intervene import Intervention
from ace.study.alternatives import CORE
from ace.study.controls import edited
from ace.study.subject import LazySubject
from ace.study.subspaces import rest_subspaces
from ace.study.token_rest import rest_performance
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks import Split, circulant_chain
from ace.training.transformer import Architecture
from invariants.contracts import builders

SMALL = {Split.EXTRACTION: 40, Split.SELECTION: 50, Split.EVALUATION: 60}
MODES = ("keep", "remove")


@pytest.fixture(scope="module")
def study() -> TokenStudy:
    """Two untrained models of one block."""
    models = builders.untrained(Architecture(4, 8, 1, width=16, heads=2, hidden=24))
    return TokenStudy(models, circulant_chain(length=8), sizes=SMALL)


@pytest.mark.parametrize("mode", MODES)
def test_draws_of_the_rest_score_as_models_do_whose_states_are_edited(study: TokenStudy, mode: str) -> None:
    states = study.states(0, Split.EXTRACTION).flatten(0, 1)
    drawn = rest_subspaces(study.core(0), states, 199, seed=0)
    fast = rest_performance(study, 0, mode, (3, 0, 150))
    for row, number in zip(fast, (3, 0, 150), strict=True):
        chosen = drawn.take(torch.tensor([number]))

        def edit(given: torch.Tensor, chosen=chosen) -> torch.Tensor:  # type: ignore[no-untyped-def]
            return chosen.edited(given.flatten(0, 1), study.core(0).mean, mode)[0].view_as(given)

        hits, losses = study.performance(0, edit)
        assert row[0] == pytest.approx(hits.mean(), abs=2 / hits.size)
        assert row[1] == pytest.approx(losses.mean(), abs=1e-5)


def test_models_that_several_subjects_are_held_against_are_studied_once(subjects: Mapping[str, LazySubject]) -> None:
    low_rank = subjects["low-rank"].subject().trained
    for name in ("markov-compact", "markov-paper"):
        assert subjects[name].subject().companion("low-rank chain") is low_rank
        assert subjects[name].memory is not low_rank.memory  # which is emptied when the subject's own tests are done


@pytest.mark.parametrize("mode", MODES)
def test_performance_under_an_edit_is_that_of_each_sequence(study: TokenStudy, mode: str) -> None:
    values = ablation.edited_performance(study, 1, CORE, mode)
    hits, losses = study.performance(1, edited(study.core(1), mode))
    assert np.array_equal(values, np.stack([hits.mean(axis=1), losses.mean(axis=1)]))


def test_accuracy_has_two_parts_a_model_each_against_the_oracle_on_the_same_sequences(study: TokenStudy) -> None:
    measured = optimum.accuracy.compute(TokenSubject("twice", "markov", study, study))
    assert [estimate.label for estimate in measured.estimates] == [
        f"{k}, {part}" for k in range(2) for part in ("accuracy", "cross-entropy")
    ]
    batch, (hits, losses) = study.batch(Split.EVALUATION), study.base(1)
    expected = [hits.mean() - batch.oracle_hits.mean(), losses.mean() - batch.oracle_loss.mean()]
    assert [estimate.value for estimate in measured.estimates[2:]] == pytest.approx(expected)


def test_coordinates_of_a_copy_lose_what_keeping_the_core_loses(study: TokenStudy) -> None:
    twice = TokenStudy([study.models[0]] * 2, study.task, sizes=SMALL)
    kept, own = (twice.performance(0, edit)[0] for edit in (edited(twice.core(0), "keep"), None))
    for estimate in transplants(twice, twice):
        assert estimate.value == pytest.approx(kept.mean() - own.mean(), abs=3 / own.size)


def test_oblique_coordinates_of_a_copy_lose_nothing_below_a_linear_head(study: TokenStudy) -> None:
    twice = TokenStudy([study.models[0]] * 2, study.task, sizes=SMALL)
    for estimate in transplants(twice, twice, view=oblique, projector="oblique"):
        assert abs(estimate.value) <= 2 / twice.batch(Split.EVALUATION).targets.size


def test_the_published_core_sees_the_test_sequences_and_the_shift_of_logits(study: TokenStudy) -> None:
    core = published.published_core(study, 0)
    weight, _ = study.head(0)
    assert core.mean.numpy() == pytest.approx(study.states(0, Split.EVALUATION).flatten(0, 1).double().mean(0).numpy())
    span = torch.linalg.qr(weight.T).Q  # directions of the core are read by the head, its own mean among the classes
    assert float((core.readers - core.readers @ span @ span.T).abs().max()) <= 1e-9 * float(core.readers.abs().max())


def test_what_the_published_protocol_removes_is_removed_about_zero(study: TokenStudy) -> None:
    basis = published.published_core(study, 0).basis
    states = study.states(0, Split.EVALUATION).double()
    weight, bias = study.head(0)
    logits = (states - states @ basis @ basis.T) @ weight.T + bias
    hits = logits.argmax(dim=-1).numpy() == study.batch(Split.EVALUATION).targets
    removed = as_published.necessity(TokenSubject("twice", "markov", study))
    assert removed[0] == pytest.approx(hits.mean(), abs=2 / hits.size)


def test_fits_in_sample_are_perfect_where_the_next_follows_from_the_last() -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    path = [np.random.default_rng(0).normal(size=(30, 2))]
    for _ in range(5):
        path.append(path[-1] @ turn.T)
    assert as_published.in_sample_r2(np.stack(path, axis=1)) == pytest.approx(1.0)
    assert as_published.in_sample_r2(np.random.default_rng(1).normal(size=(400, 6, 2))) <= 0.05


def test_a_model_is_aligned_with_itself_by_the_published_protocol(study: TokenStudy) -> None:
    twice = TokenStudy([study.models[1]] * 2, study.task, sizes=SMALL)
    subject = TokenSubject("twice", "markov", twice)
    for figure in (published.alignment, published.divergence, as_published.weights):
        assert figure(subject) == pytest.approx((1.0,))


@pytest.mark.parametrize("models", [1, 5, 59])
def test_models_that_all_pass_bound_the_share_that_fails(study: TokenStudy, models: int) -> None:
    many = TokenStudy([study.models[0]] * models, study.task, sizes=SMALL)
    (share,) = share_that_may_fail(many).values()
    assert (1 - share) ** models == pytest.approx(0.05)


def test_consensus_of_the_test_sequences_is_of_them(study: TokenStudy) -> None:
    of_extraction, of_test = (
        ablation.shared_subspaces(study, split)[1] for split in (Split.EXTRACTION, Split.EVALUATION)
    )
    assert of_extraction != of_test
    assert as_published.consensus(TokenSubject("twice", "markov", study)) == pytest.approx(_without_consensus(study))


def _without_consensus(study: TokenStudy) -> list[float]:
    subspaces, _ = ablation.shared_subspaces(study, Split.EVALUATION)
    edits = [Intervention(subspace, "remove", reference="zero").apply for subspace in subspaces]
    return [float(study.performance(k, edits[k])[0].mean()) for k in study.members]
