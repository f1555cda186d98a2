"""The axis of number as a knob: the contrast against the core coordinate, and against the strength of an edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ace.discrimination import discriminate
from ace.intervene import Intervention
from ace.measure.agreement_ablation import Pair, seed_estimates
from ace.measure.agreement_subject import (
    agreement_of,
    random_contrasts,
)
from ace.measure.controls import KINDS, LEVEL
from ace.measure.language_study import LanguageStudy, rank_of
from ace.measure.measurement import Measurement
from ace.sites import Site
from ace.stats import Array, exact, quantile
from ace.tasks.base import Split

STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75, -1.0)


def knob(subject: object) -> Measurement:
    """R2 on the evaluation split of the contrast as an affine function of the core coordinates, fitted on selection."""
    found = agreement_of(subject)

    def held_out(study: LanguageStudy, site: Site) -> Pair:
        core = study.core(site, rank_of(study.top))
        splits = (Split.SELECTION, Split.EVALUATION)
        before, after = (core.coordinates(study.states(split, site)).numpy() for split in splits)
        line = _fit(before, study.base(Split.SELECTION))
        return _r2(line, after, study.base(Split.EVALUATION), study.prompts(Split.EVALUATION).clusters)

    controls = {}
    for kind in KINDS:
        drawn = [_random_r2(study, kind) for study in found.studies]
        controls[kind] = tuple(
            exact(str(k), quantile(values, LEVEL), count=len(values)) for k, values in enumerate(drawn)
        )
    controls["embedding of the last token"] = seed_estimates(found, lambda study: held_out(study, study.sites[0]))
    return Measurement(
        seed_estimates(found, lambda study: held_out(study, study.top.site)),
        controls,
        details={"points": [_points(study) for study in found.studies]},
    )


def _fit(coordinates: Array, contrasts: Array) -> Array:
    """(r + 1) intercept and slopes by least squares."""
    design = np.column_stack([np.ones(len(coordinates)), coordinates])
    return np.asarray(np.linalg.lstsq(design, contrasts, rcond=None)[0])


def _r2(line: Array, coordinates: Array, wanted: Array, clusters: Any) -> Pair:
    """R2 of a line on new prompts, bootstrapped over clusters."""
    residual = (wanted - line[0] - coordinates @ line[1:]) ** 2
    names, places = np.unique(clusters, return_inverse=True)
    member = np.eye(len(names))[places]
    counts = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), 999) @ member.T
    total = counts.sum(axis=1)
    spread = counts @ wanted**2 - (counts @ wanted) ** 2 / total
    value = 1 - residual.sum() / ((wanted - wanted.mean()) ** 2).sum()
    return float(value), 1 - (counts @ residual) / spread


def _random_r2(study: LanguageStudy, kind: str) -> Array:
    """(draws) R2, in sample, of the contrast as an affine function of a random subspace's coordinates."""
    found = random_contrasts(study, study.top.site, rank_of(study.top), kind)
    wanted = found.base - found.base.mean()
    values = []
    for coordinates in found.coordinates:
        design = coordinates - coordinates.mean(axis=0)
        residual = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
        values.append(1 - (residual**2).sum() / (wanted**2).sum())
    return np.array(values)


def _points(study: LanguageStudy) -> dict[str, list[float]]:
    """Core coordinate and contrast of every evaluation prompt, clean and flipped, for the figure."""
    site = study.top.site
    core = study.core(site, 1)
    return {
        "coordinate": core.coordinates(study.states(Split.EVALUATION, site))[:, 0].tolist(),
        "contrast": study.base(Split.EVALUATION).tolist(),
        "flipped": study.ablated(Split.EVALUATION, site, 1)[2].tolist(),
        "label": study.labels(Split.EVALUATION).tolist(),
    }


def dose(subject: object) -> Measurement:
    """Share of prompts whose contrast moves one way all along, strength 1 to -1, and ends with the other sign."""
    found = agreement_of(subject)

    def shares(study: LanguageStudy) -> Pair:
        core = study.core(study.top.site, rank_of(study.top))
        steps = [Intervention(core, "scale", strength=strength) for strength in STRENGTHS]
        curves = study.push(Split.EVALUATION, study.top.site, steps)
        moves = np.diff(curves, axis=0) * -np.sign(curves[0])
        turned = ((moves > 0).all(axis=0) & (curves[0] * curves[-1] < 0)).astype(np.float64)
        scored = discriminate(
            np.where(study.labels(Split.EVALUATION) == 1, 1.0, -1.0)[None] * (turned - 0.5),
            study.labels(Split.EVALUATION),
            study.prompts(Split.EVALUATION).clusters,
        )
        return float(scored.accuracy[0]), scored.accuracy_replicates[0]

    controls = {}
    for kind in KINDS:
        drawn = [random_contrasts(study, study.top.site, rank_of(study.top), kind) for study in found.studies]
        reversed_share = [(random.edited["flip"] * random.base < 0).mean(axis=1) for random in drawn]
        controls[kind] = tuple(exact(str(k), quantile(values, LEVEL)) for k, values in enumerate(reversed_share))
    return Measurement(
        seed_estimates(found, shares),
        controls,
        details={"strengths": list(STRENGTHS), "curves": [_dose_curve(study) for study in found.studies]},
    )


def _dose_curve(study: LanguageStudy) -> dict[str, Any]:
    """Mean contrast of each number at every strength, and how far remove lies from the middle of clean and flip."""
    core = study.core(study.top.site, rank_of(study.top))
    steps = [Intervention(core, "scale", strength=strength) for strength in STRENGTHS]
    curves = study.push(Split.EVALUATION, study.top.site, steps)
    labels = study.labels(Split.EVALUATION)
    middle = (curves[0] + curves[-1]) / 2
    off = np.abs(curves[STRENGTHS.index(0.0)] - middle).mean() / np.abs(curves[0] - curves[-1]).mean()
    return {
        "singular": curves[:, labels == 0].mean(axis=1).tolist(),
        "plural": curves[:, labels == 1].mean(axis=1).tolist(),
        "distance of remove from the midpoint": float(off),
    }


MEASURES: Mapping[str, Callable[[object], Measurement]] = MappingProxyType(
    {
        "agreement.knob": knob,
        "agreement.dose": dose,
    }
)
