"""The axis of number as a knob: the contrast against the core coordinate, and against the strength of an edit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.auc import cluster_sums
from ace.core import OBLIQUE, ORTHOGONAL
from ace.families.agreement.controls import EMBEDDING, embeddings_vary
from ace.families.agreement.shown import digits, some_rows
from ace.model.sites import Site
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement, measures
from ace.study.prompt_rest import rest_at
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import Rest
from ace.study.site_choice import rank_of
from ace.tasks.base import Split


@measures("the rest")
def knob(subject: PromptSubject) -> Measurement:
    """R2 on the evaluation split of the contrast as an affine function of the core coordinates, fitted on selection."""
    return _affine(subject.trained, within=False)


@measures("the rest")
def knob_within(subject: PromptSubject) -> Measurement:
    """The same R2 of what is left of the contrast within each number."""
    return _affine(subject.trained, within=True)


def _affine(models: PromptStudies, *, within: bool) -> Measurement:
    def held_out(site_of: Callable[[PromptStudy], Site], kind: str = ORTHOGONAL) -> tuple[Estimate, ...]:
        estimates = []
        for k, study in enumerate(models.studies):
            core = study.core(site_of(study), rank_of(study.choice()))
            before, after = (
                core.coordinates(study.states(split, site_of(study)), kind)
                for split in (Split.SELECTION, Split.EVALUATION)
            )
            estimates.append(_r2(str(k), study, before, after, within=within))
        return tuple(estimates)

    return Measurement(
        held_out(lambda study: study.choice().site),
        {},
        details={} if within else {name: [of(study) for study in models.studies] for name, of in SHOWN.items()},
        rest=tuple(_rest(str(k), study, within=within) for k, study in enumerate(models.studies)),
        beside={
            OBLIQUE: held_out(lambda study: study.choice().site, OBLIQUE),
            **({EMBEDDING: held_out(lambda study: study.sites[0])} if embeddings_vary(models) else {}),
        },
    )


def _r2(label: str, study: PromptStudy, before: Tensor, after: Tensor, *, within: bool) -> Estimate:
    """R2 of the contrast on coordinates (n, r) of the two splits, bootstrapped over head nouns."""
    residuals, wanted = _residuals(study, before[None], after[None], within=within)
    classes = _classes(study, Split.EVALUATION, within=within)
    columns = np.stack([np.ones_like(wanted), residuals[0], residuals[0] ** 2, wanted, wanted**2], axis=1)
    by_class = classes[:, :, None] * columns[:, None, :]  # (n, c, 5)
    sums = cluster_sums(by_class, study.prompts(Split.EVALUATION).clusters)

    def explained(means: Array) -> Array:
        """(b) from means (b, c, 5) by class."""
        count, left, left_squares, total, squares = np.moveaxis(means, -1, 0)
        drawn = count > 0  # few clusters may leave a class out of a resample
        count = np.where(drawn, count, 1.0)
        unexplained = left_squares - left**2 / count if within else left_squares
        spread = squares - total**2 / count
        return np.asarray(1 - unexplained.sum(axis=1, where=drawn) / spread.sum(axis=1, where=drawn))

    return bootstrap(label, sums, explained, vectorized=True, possible=(-math.inf, 1.0))


def _classes(study: PromptStudy, split: Split, *, within: bool) -> Array:
    """(n, c) indicators of the classes whose means are no part of what is to be explained: all, or each number."""
    labels = study.labels(split)
    return (labels[:, None] == [0, 1]).astype(np.float64) if within else np.ones((len(labels), 1))


def _residuals(study: PromptStudy, before: Tensor, after: Tensor, *, within: bool) -> tuple[Array, Array]:
    """(draws, n) what the line leaves of the evaluation split's contrasts, and the contrasts (n).

    Coordinates (draws, n, r): the line is fitted on those `before`, of the selection split. `within` each number only
    its slope is carried over: where a number's cloud lies on the other nouns is no part of the question.
    """
    contrasts = torch.from_numpy(study.base(Split.SELECTION)).expand(len(before), -1)[..., None]
    constants = {
        split: torch.from_numpy(_classes(study, split, within=within)).expand(len(before), -1, -1)
        for split in (Split.SELECTION, Split.EVALUATION)
    }
    line = torch.linalg.lstsq(torch.cat([before, constants[Split.SELECTION]], dim=-1), contrasts).solution
    fitted = (torch.cat([after, constants[Split.EVALUATION]], dim=-1) @ line)[..., 0].numpy()
    wanted = study.base(Split.EVALUATION)
    return np.asarray(wanted - fitted), wanted


def _rest(label: str, study: PromptStudy, *, within: bool) -> Rest:
    """The same R2, on the same prompts, for draws of the rest."""
    choice = study.choice()
    rank = rank_of(choice)

    def centred(values: Array, classes: Array) -> Array:
        return np.asarray(values - (values @ classes / classes.sum(axis=0)) @ classes.T)

    def values(numbers: Sequence[int]) -> Array:
        drawn = rest_at(study, choice.site, rank, choice.projector).take(torch.tensor(numbers))
        mean = study.core(choice.site, rank).mean
        before, after = (
            (study.states(split, choice.site).double() - mean) @ drawn.directions
            for split in (Split.SELECTION, Split.EVALUATION)
        )
        residuals, wanted = _residuals(study, before, after, within=within)
        classes = _classes(study, Split.EVALUATION, within=within)
        left = centred(residuals, classes) if within else residuals
        return np.asarray(1 - (left**2).sum(axis=1) / (centred(wanted, classes) ** 2).sum())[:, None]

    return Rest(label, (label,), values)


def _points(study: PromptStudy) -> dict[str, list[float]]:
    """First core coordinate and contrast of some evaluation prompts, clean and flipped, for the figure."""
    site, labels = study.choice().site, study.labels(Split.EVALUATION)
    rows = some_rows(labels)
    return {
        "coordinate": digits(_coordinate(study, Split.EVALUATION)[rows]),
        "contrast": digits(study.base(Split.EVALUATION)[rows]),
        "flipped": digits(study.ablated(Split.EVALUATION, site, 1)[2][rows]),
        "label": labels[rows].tolist(),
    }


def _lines(study: PromptStudy) -> dict[str, float]:
    """The line of contrast on first coordinate, as the selection split has it, and its slope within each number."""
    coordinate, contrast = _coordinate(study, Split.SELECTION), study.base(Split.SELECTION)
    classes = _classes(study, Split.SELECTION, within=True)
    means = [(values @ classes / np.maximum(classes.sum(axis=0), 1)) @ classes.T for values in (coordinate, contrast)]
    slope = _slope(coordinate - coordinate.mean(), contrast - contrast.mean())
    return {
        "slope": digits(slope),
        "intercept": digits(contrast.mean() - slope * coordinate.mean()),
        "slope within": digits(_slope(coordinate - means[0], contrast - means[1])),
    }


def _coordinate(study: PromptStudy, split: Split) -> Array:
    site = study.choice().site
    return np.asarray(study.core(site, 1).coordinates(study.states(split, site))[:, 0].numpy())


def _slope(across: Array, up: Array) -> float:
    """Of centred values (n); 0 where they do not vary."""
    spread = float(across @ across)
    return float(across @ up) / spread if spread > 0 else 0.0


SHOWN = {"points": _points, "lines": _lines}
