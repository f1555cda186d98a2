"""The axis of number as a knob: the contrast against the core coordinate, and against the strength of an edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.auc import cluster_sums
from ace.core import Core
from ace.model.sites import Site
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement, measures
from ace.study.prompt_rest import rest_at
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import Rest
from ace.study.site_choice import rank_of
from ace.tasks.base import Split

ORTHOGONAL, OBLIQUE = "orthogonal", "oblique"


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
        details={"points": [_points(study) for study in models.studies]},
        rest=tuple(_rest(str(k), study, within=within) for k, study in enumerate(models.studies)),
        beside={
            OBLIQUE: held_out(lambda study: study.choice().site, OBLIQUE),
            "embedding of the last token": held_out(lambda study: study.sites[0]),
        },
    )


def _r2(label: str, study: PromptStudy, before: Tensor, after: Tensor, *, within: bool) -> Estimate:
    """R2 of the contrast on coordinates (n, r) of the two splits, bootstrapped over head nouns."""
    residual, wanted = (part[0] for part in _residuals(study, before[None], after[None], within=within))
    classes = _classes(study, within=within)
    columns = np.column_stack([residual**2, wanted**2, *(wanted * members for members in classes.T), classes])
    sums = cluster_sums(columns, study.prompts(Split.EVALUATION).clusters)
    count = classes.shape[1]

    def explained(mean: Array) -> float:
        unexplained, squares, totals, sizes = mean[0], mean[1], mean[2 : 2 + count], mean[2 + count :]
        drawn = sizes > 0  # few clusters may leave a class out of a resample
        return float(1 - unexplained / (squares - (totals[drawn] ** 2 / sizes[drawn]).sum()))

    return bootstrap(label, sums, explained)


def _classes(study: PromptStudy, *, within: bool) -> Array:
    """(n, c) indicators of the classes whose means count as explained already: all prompts, or each number."""
    labels = study.labels(Split.EVALUATION)
    return (labels[:, None] == [0, 1]).astype(np.float64) if within else np.ones((len(labels), 1))


def _residuals(study: PromptStudy, before: Tensor, after: Tensor, *, within: bool) -> tuple[Array, Array]:
    """(draws, n) what the line leaves of the contrasts and (1, n) the contrasts, of the evaluation split.

    Coordinates (draws, n, r): the line is fitted on those `before`, of the selection split. `within` each number the
    two lines share their slope.
    """
    wanted = {split: study.base(split) for split in (Split.SELECTION, Split.EVALUATION)}
    fitted, tested = (
        _with_constants(coordinates, study.labels(split), within=within)
        for split, coordinates in ((Split.SELECTION, before), (Split.EVALUATION, after))
    )
    contrasts = torch.from_numpy(wanted[Split.SELECTION]).expand(len(before), -1)[..., None]
    line = torch.linalg.lstsq(fitted, contrasts).solution
    return np.asarray(wanted[Split.EVALUATION] - (tested @ line)[..., 0].numpy()), wanted[Split.EVALUATION][None]


def _with_constants(coordinates: Tensor, labels: np.ndarray, *, within: bool) -> Tensor:
    """(draws, n, r + c) coordinates (draws, n, r) and a constant, for all prompts or for each number."""
    constants = np.ones((len(labels), 1)) if not within else (labels[:, None] == [0, 1]).astype(np.float64)
    return torch.cat([coordinates, torch.from_numpy(constants).expand(len(coordinates), -1, -1)], dim=-1)


def _rest(label: str, study: PromptStudy, *, within: bool) -> Rest:
    """The same R2, on the same prompts, for draws of the rest."""
    choice = study.choice()
    rank = rank_of(choice)

    def values(numbers: Sequence[int]) -> Array:
        drawn = rest_at(study, choice.site, rank, choice.projector).take(torch.tensor(numbers))
        mean = study.core(choice.site, rank).mean
        before, after = (
            (study.states(split, choice.site).double() - mean) @ drawn.directions
            for split in (Split.SELECTION, Split.EVALUATION)
        )
        residuals, wanted = _residuals(study, before, after, within=within)
        classes = _classes(study, within=within)
        means = classes @ ((classes.T @ wanted[0]) / classes.sum(axis=0))
        spread = ((wanted[0] - means) ** 2).sum()
        return np.asarray(1 - (residuals**2).sum(axis=1) / spread)[:, None]

    return Rest(label, (label,), values)


def _points(study: PromptStudy) -> dict[str, list[float]]:
    """Core coordinate and contrast of every evaluation prompt, clean and flipped, for the figure."""
    site = study.choice().site
    core: Core = study.core(site, 1)
    return {
        "coordinate": core.coordinates(study.states(Split.EVALUATION, site))[:, 0].tolist(),
        "contrast": study.base(Split.EVALUATION).tolist(),
        "flipped": study.ablated(Split.EVALUATION, site, 1)[2].tolist(),
        "label": study.labels(Split.EVALUATION).tolist(),
    }
