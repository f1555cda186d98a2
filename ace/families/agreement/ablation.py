"""Keeping, removing and reflecting the axis of number, at the chosen site and at the final norm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ace.arrays import Array, Ints
from ace.auc import separations, simple_auc
from ace.core import OBLIQUE, ORTHOGONAL, PROJECTORS
from ace.families.agreement.controls import (
    BASE,
    FLIP,
    REMOVE,
    ROWS,
    chosen_ablation,
    edited_details,
    separation,
)
from ace.families.agreement.shown import digits
from ace.model.intervene import Intervention
from ace.stats import Estimate, exact
from ace.study.measurement import Measurement, measures
from ace.study.prompt_rest import few_runs, own_contrasts, pushed_subspaces, rest_of
from ace.study.prompt_seeds import TWINS, PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import DRAWS, Rest
from ace.study.site_choice import rank_of
from ace.study.subspaces import under_readers
from ace.tasks.base import Split

UNDER_READERS = "its readers, median of random directions"


def rest_separation(mode: str, edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
    """(g, 1) separation under one edit."""
    return separations(edited[mode], base, labels)[:, None]


def _rest(models: PromptStudies, mode: str, projector: str) -> tuple[Rest, ...]:
    """Separations that the rest leaves or keeps, in each seed."""

    def value(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
        return rest_separation(mode, edited, base, labels)

    return tuple(
        rest_of(study, str(k), (str(k),), study.choice(projector), (mode,), value)
        for k, study in enumerate(models.studies)
    )


def _separated(
    models: PromptStudies, mode: str, projector: str, controls: Mapping[str, tuple[Estimate, ...]]
) -> Measurement:
    """Separation under one edit by one projector; at the same site that of the other projector, and of the rest."""
    (other,) = set(PROJECTORS) - {projector}
    row = ROWS.index(mode)
    return Measurement(
        separation(models, row, projector),
        controls,
        details=edited_details(models, projector),
        site=models.sites(projector),
        rest=_rest(models, mode, projector),
        beside={other: separation(models, row, projector, other)},
    )


@measures("the rest", "complement")
def sufficiency(subject: PromptSubject) -> Measurement:
    """Separation with the core kept, orthogonal projector."""
    complement = separation(subject.trained, REMOVE, ORTHOGONAL)
    return _separated(subject.trained, "keep", ORTHOGONAL, {"complement": complement})


@measures("the rest")
def necessity(subject: PromptSubject) -> Measurement:
    """Separation with the core removed, orthogonal projector."""
    return _separated(subject.trained, "remove", ORTHOGONAL, {})


@measures("the rest")
def flip(subject: PromptSubject) -> Measurement:
    """AUC and accuracy under the flip, orthogonal projector: the paper's statistics."""
    models = subject.trained

    def value(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
        scores = edited["flip"]
        right = (scores * np.where(labels == 1, 1.0, -1.0) > 0).mean(axis=1)
        return np.column_stack([simple_auc(scores, labels), right])

    def both(projector: str) -> tuple[Estimate, ...]:
        estimates = []
        for k, study in enumerate(models.studies):
            row = chosen_ablation(study, study.choice(ORTHOGONAL), projector)
            estimates.append(row.estimate(f"{k}, AUC", lambda part: part.auc[FLIP]))
            estimates.append(row.estimate(f"{k}, accuracy", lambda part: part.accuracy[FLIP]))
        return tuple(estimates)

    return Measurement(
        both(ORTHOGONAL),
        {},
        details=edited_details(models, ORTHOGONAL),
        rest=tuple(
            rest_of(study, str(k), (f"{k}, AUC", f"{k}, accuracy"), study.choice(ORTHOGONAL), ("flip",), value)
            for k, study in enumerate(models.studies)
        ),
        beside={OBLIQUE: both(OBLIQUE)},
    )


@measures("the rest")
def mirror(subject: PromptSubject) -> Measurement:
    """Separation under the flip, oblique projector."""
    models = subject.trained
    found = _separated(models, "flip", OBLIQUE, {})
    drawn = [_under_readers(study) for study in models.studies]
    details = {"its readers, random directions": [digits(np.sort(each)) for each in drawn]}
    medians = tuple(exact(str(k), float(np.median(each)), count=len(each)) for k, each in enumerate(drawn))
    return replace(found, details={**found.details, **details}, beside={**found.beside, UNDER_READERS: medians})


def _under_readers(study: PromptStudy) -> Array:
    """(draws) separation of few prompts under flips along random directions that the core's own readers read."""
    choice = study.choice(OBLIQUE)
    core, rows = study.core(choice.site, rank_of(choice)), study.few_rows(Split.EVALUATION)
    drawn = under_readers(core, study.observed[0][choice.site.index], DRAWS, seed=choice.site.index)
    runs = few_runs(study, None)
    edited = pushed_subspaces(study, runs, choice, drawn, "flip")
    return separations(edited, own_contrasts(runs), study.labels(Split.EVALUATION)[rows])


@measures("untrained, own labels")
def final_norm(subject: PromptSubject) -> Measurement:
    """Separation under the flip at the final norm, for the model and for any contrast of an untrained twin."""
    models = subject.trained

    def mirrored(label: str, study: PromptStudy, projector: str = OBLIQUE) -> Estimate:
        site = study.sites[-1]
        turn = Intervention(study.core(site), "flip", projector=projector)
        base = study.base(Split.EVALUATION)[None]
        scores = np.concatenate([base, study.push(Split.EVALUATION, site, [turn])])
        scored = study.discriminate(Split.EVALUATION, scores)
        return scored.estimate(label, lambda part: part.separation[BASE + 1])

    members = range(len(models))
    twins = subject.twins().each_alone(max(TWINS, len(models)), lambda index, study: mirrored(str(index), study))
    return Measurement(
        tuple(mirrored(str(k), models.study(k)) for k in members),
        {"untrained, own labels": tuple(twins)},
        site=" or ".join(dict.fromkeys(str(study.sites[-1]) for study in models.studies)),
        beside={ORTHOGONAL: tuple(mirrored(str(k), models.study(k), ORTHOGONAL) for k in members)},
    )
