"""Further claims about the axis of number: whose number it codes, and which verbs it transfers to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from ace.arrays import Array, Ints
from ace.auc import cluster_sums, simple_auc
from ace.core import OBLIQUE, ORTHOGONAL
from ace.errors import Inapplicable
from ace.families.agreement.controls import EMBEDDING, embeddings_vary
from ace.model.continuation import scattered
from ace.model.intervene import Intervention
from ace.model.sites import Site
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement, measures
from ace.study.prompt_rest import evaluation_runs, rest_at, rest_of
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import BEHAVES, PromptStudy
from ace.study.rest import Rest
from ace.study.site_choice import rank_of
from ace.tasks.base import Split
from ace.tasks.prompt import Contrast


@measures("the rest")
def attractor(subject: PromptSubject) -> Measurement:
    """Partial coefficient of the core coordinate on the head's number over that on the attractor's."""
    models = subject.trained
    if not models.source.attractors:
        raise Inapplicable("the prompts have no attractor to cross with the head")

    def estimates(site_of: Callable[[PromptStudy], Site], kind: str = ORTHOGONAL) -> tuple[Estimate, ...]:
        return tuple(
            bootstrap(
                str(k),
                _moments(study, _coordinate(study, site_of(study), kind)),
                _head_over_attractor,
                vectorized=True,
                possible=(0.0, math.inf),
            )
            for k, study in enumerate(models.studies)
        )

    return Measurement(
        estimates(lambda study: study.choice().site),
        {},
        details={
            "coefficients": [
                _coefficients(_moments(study, _coordinate(study, study.choice().site, ORTHOGONAL)).sum(axis=0))[
                    :2
                ].tolist()
                for study in models.studies
            ]
        },
        rest=tuple(Rest(str(k), (str(k),), partial(_rest_ratios, study)) for k, study in enumerate(models.studies)),
        beside={
            OBLIQUE: estimates(lambda study: study.choice().site, OBLIQUE),
            **({EMBEDDING: estimates(lambda study: study.sites[0])} if embeddings_vary(models) else {}),
        },
    )


def _coordinate(study: PromptStudy, site: Site, kind: str) -> Array:
    """(n) first core coordinate of the evaluation prompts."""
    return study.core(site, 1).coordinates(study.states(Split.EVALUATION, site), kind)[:, 0].numpy()


def _rest_ratios(study: PromptStudy, numbers: Sequence[int]) -> Array:
    """(g, 1) the ratio for axes of the rest."""
    site = study.choice().site
    drawn = rest_at(study, site, 1, ORTHOGONAL).take(torch.tensor(numbers))
    states = study.states(Split.EVALUATION, site).double() - study.core(site, 1).mean
    axes = drawn.directions[:, :, 0]  # (g, d)
    moments = np.stack([_moments(study, row).sum(axis=0) for row in (states @ axes.T).T.numpy()])
    return _head_over_attractor(moments)[:, None]


def _coefficients(moments: Array) -> Array:
    """(..., 3) least squares on head, attractor and 1, from moments (..., 3, 4) of the design with itself and y."""
    return np.asarray(np.linalg.solve(moments[..., :3], moments[..., 3:])[..., 0])


def _moments(study: PromptStudy, coordinate: Array) -> Array:
    """(k, 3, 4) by head noun: products of (head, attractor, 1) with themselves and a coordinate (n)."""
    prompts = study.prompts(Split.EVALUATION)
    if prompts.attractors is None:
        raise Inapplicable("the prompts have no attractor to cross with the head")
    design = np.column_stack([prompts.labels - 0.5, prompts.attractors - 0.5, np.ones(len(prompts))])
    return cluster_sums(design[:, :, None] * np.column_stack([design, coordinate])[:, None, :], prompts.clusters)


def _head_over_attractor(moments: Array) -> Array:
    """(...) from moments (..., 3, 4)."""
    sizes = np.abs(_coefficients(moments))
    return np.asarray(sizes[..., 0] / sizes[..., 1])


@measures("the rest")
def transfer(subject: PromptSubject) -> Measurement:
    """AUC under the flip for verbs that no core was extracted for."""
    models = subject.trained
    if not models.source.transfers:
        raise Inapplicable("the task names no other verbs")
    estimates: list[Estimate] = []
    beside: list[Estimate] = []
    base: dict[str, float] = {}
    rest = []
    for k, study in enumerate(models.studies):
        for name, contrast in models.source.transfers.items():
            label = f"{k}, {name}"
            scored = study.discriminate(Split.EVALUATION, _transferred(study, contrast))
            base[label] = float(scored.auc[0])
            if scored.auc[0] <= BEHAVES:
                raise Inapplicable(f"seed {k} does not agree with {name}: AUC {scored.auc[0]:.3f}")
            estimates.append(scored.estimate(label, lambda part: part.auc[1]))
            beside.append(scored.estimate(label, lambda part: part.auc[2]))
            rest.append(rest_of(study, label, (label,), study.choice(), ("flip",), _flipped_auc, contrast))
    return Measurement(tuple(estimates), {}, details={"base": base}, rest=tuple(rest), beside={OBLIQUE: tuple(beside)})


def _flipped_auc(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
    return simple_auc(edited["flip"], labels)[:, None]


def _transferred(study: PromptStudy, contrast: Contrast) -> Array:
    """(3, n) another contrast of the evaluation prompts, clean and with the copula's core flipped by each projector."""
    site, core = study.choice().site, study.core(study.choice().site, rank_of(study.choice()))
    turns = [Intervention(core, "flip", projector=projector) for projector in (ORTHOGONAL, OBLIQUE)]
    groups, runs = evaluation_runs(study, contrast)
    parts = []
    for run in runs:
        flipped = run.push(site, torch.stack([turn.apply(run.states(site)) for turn in turns]))
        parts.append(torch.cat([run.base[None], flipped]))
    return scattered(groups, iter(parts), axis=1).double().numpy()
