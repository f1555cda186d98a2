"""The published protocol on agreement, with what is known to be weak in it: shown beside the verdicts, no claim.

Prompts whose attractor always has the other number than the head, the paper's own where a model knows their words; one
half to extract and one to evaluate, nouns shared; rank-1 cores about the mean at every site, the final norm's input
among them; the orthogonal projector; the site with the lowest AUC under the flip on the very half that is then
reported; the line of the knob fitted in sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ace.arrays import Array
from ace.auc import simple_auc
from ace.core import ORTHOGONAL
from ace.errors import Inapplicable
from ace.study.language_subjects import Scales
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptStudies, PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import shown_sites, swept_contrasts
from ace.study.subject import Subject
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts, PromptTask

SHOWN = 6  # of many sites, at which keep and remove are tried beside the one that is chosen
HALF = 200  # published prompts to extract from, and as many to evaluate on; the paper has 600, and a sweep takes long


class Confounded(PromptTask):
    """The evaluation prompts of another source as the paper has them: attractors of the other number, nouns shared."""

    def __init__(self, source: PromptTask) -> None:
        self._source = source
        self.name, self.names, self.contrast = f"{source.name}, as published", source.names, source.contrast
        self.attractors = source.attractors

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """One half to extract, the other half to choose and to evaluate; at most `count` of it."""
        every = self._source.prompts(Split.EVALUATION, 4 * count, seed)
        rows = np.arange(len(every))
        if every.attractors is not None:
            rows = np.flatnonzero(every.attractors != every.labels)
        half = len(rows) // 2
        rows = rows[:half] if split == Split.EXTRACTION else rows[half:]
        return every.take(rows[:count])


@dataclass(frozen=True)
class AsPublished:
    """What the published protocol gives for one model.

    Attributes:
        base, keep, remove, flip: AUC at the chosen site.
        site: index of the site.
        by_site: mode -> AUC at `sites`: of the flip at every site, of many sites keep and remove at some.
        sites: mode -> their indices.
        gap: (sigma_1 / sigma_2)^2 at the chosen site.
        r2: of the contrast on the core coordinate, in sample.
    """

    base: float
    keep: float
    remove: float
    flip: float
    site: int
    by_site: dict[str, list[float]]
    sites: dict[str, tuple[int, ...]]
    gap: float
    r2: float


@remembered
def published_study(study: PromptStudy) -> PromptStudy:
    """The model of a study on the published kind of prompts, one half to extract from and one to evaluate on."""
    own = study.source.published
    count = HALF if own else study.sizes[Split.EVALUATION] // 2
    return PromptStudy(
        study.language,
        own or Confounded(study.source),
        extractor=study.extractor,
        sizes={Split.EXTRACTION: count, Split.EVALUATION: count},
        memory=study.memory,
    )


@remembered
def as_published(study: PromptStudy) -> AsPublished:
    """The published protocol on one model.

    Raises:
        Inapplicable: cores without sigma, whose gap the protocol reports.
    """
    published = published_study(study)
    labels, base = published.labels(Split.EVALUATION), published.base(Split.EVALUATION)
    every = tuple(site.index for site in published.sites)

    def aucs(indices: tuple[int, ...], modes: tuple[str, ...]) -> Array:
        """(modes, sites) AUC under edits with the orthogonal projector."""
        swept = swept_contrasts(published, Split.EVALUATION, indices, (ORTHOGONAL,), modes)[:, 0]
        return np.stack([simple_auc(swept[:, place], labels) for place in range(len(modes))])

    (flip,) = aucs(every, ("flip",))
    site = int(np.argmin(flip))
    some = shown_sites(published, (site,), SHOWN)
    keep, remove = aucs(some, ("keep", "remove"))
    place = some.index(site)
    core = published.core(published.sites[site])
    if not core.balanced or len(core.sigma) < 2:
        raise Inapplicable("the published protocol reports the gap after sigma_1, and these cores have no sigma")
    coordinate = core.coordinates(published.states(Split.EVALUATION, published.sites[site]))[:, 0].numpy()
    return AsPublished(
        base=float(simple_auc(base[None], labels)[0]),
        keep=float(keep[place]),
        remove=float(remove[place]),
        flip=float(flip[site]),
        site=site,
        by_site={"keep": keep.tolist(), "remove": remove.tolist(), "flip": flip.tolist()},
        sites={"keep": some, "remove": some, "flip": every},
        gap=float((core.sigma[0] / core.sigma[1]) ** 2),
        r2=float(np.corrcoef(coordinate, base)[0, 1] ** 2),
    )


def figure(read: Callable[[AsPublished], float]) -> Callable[[PromptSubject], tuple[float, ...]]:
    """A subject's figures by the published protocol, one a seed."""

    def protocol(subject: PromptSubject) -> tuple[float, ...]:
        return tuple(read(as_published(study)) for study in subject.trained.studies)

    return protocol


def correlations(subject: Subject[Scales]) -> tuple[float, ...]:
    """Pearson's correlation of every two scales' first models along the published cores, signs made equal."""
    coordinates = [_coordinate(scale.trained) for scale in subject.trained.subjects]
    return tuple(
        float(abs(np.corrcoef(coordinates[i], coordinates[j])[0, 1]))
        for i in range(len(coordinates))
        for j in range(i + 1, len(coordinates))
    )


def _coordinate(models: PromptStudies) -> Array:
    published = published_study(models.study(0))
    site = published.sites[as_published(models.study(0)).site]
    coordinates: Any = published.core(site).coordinates(published.states(Split.EVALUATION, site))
    return np.asarray(coordinates[:, 0].numpy())
