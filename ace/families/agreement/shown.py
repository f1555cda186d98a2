"""What figures need of a measurement, as few plain numbers as will do: a record redraws them without a model."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ace.arrays import Array, Ints
from ace.auc import separations, simple_auc
from ace.core import PROJECTORS
from ace.errors import Inapplicable
from ace.model.continuation import scattered
from ace.model.sites import Site
from ace.progress import told
from ace.study.memory import remembered
from ace.study.prompt_rest import few_runs, own_contrasts
from ace.study.prompts import PromptStudy, plain
from ace.study.site_choice import MODES
from ace.study.subspaces import Subspaces, rest_subspaces
from ace.tasks.base import Split

SITES = 4  # at which the rest is drawn, beside those chosen: each costs 60 edits of 24 prompts, the lower the more
DRAWS = 10  # of the rest, for each projector
BAND = (5.0, 95.0)  # percentiles of the draws
POINTS = 100  # prompts shown


def digits(values: ArrayLike) -> Any:
    """Numbers, in nested lists as deep as the array, to four significant digits."""
    array = np.asarray(values, dtype=np.float64)
    return np.array([float(f"{value:.4g}") for value in array.ravel()]).reshape(array.shape).tolist()


def band(values: Array) -> Any:
    """(..., 2) the 5th and the 95th percentile of draws (draws, ...)."""
    return digits(np.moveaxis(np.percentile(values, BAND, axis=0), 0, -1))


def some_rows(labels: Ints) -> Ints:
    """Rows of some prompts, as many of each label as there may be."""
    rows = [np.flatnonzero(labels == label) for label in (0, 1)]
    each = [one[np.unique(np.linspace(0, len(one) - 1, POINTS // 2).astype(int))] for one in rows if len(one)]
    return np.sort(np.concatenate(each))


def places(study: PromptStudy) -> list[Site]:
    """Some sites above the embedding, evenly over the depth, the last among them, and those chosen to act at."""
    top = len(study.sites) - 1
    even = np.linspace(top / SITES, top, SITES).round().astype(int).tolist()
    return [study.sites[index] for index in sorted({*even, *(study.choice(kind).site.index for kind in PROJECTORS)})]


@remembered
def rest_by_depth(study: PromptStudy) -> dict[str, Any]:
    """Bands of separation and AUC that draws of the rest give under each edit, rank 1, at some sites.

    On few of the evaluation prompts; a site where states vary in too few directions to draw from is left out.
    """
    drawn: dict[Site, list[Subspaces]] = {}
    for site in places(study):
        states = study.observed[0][site.index]
        with suppress(Inapplicable):
            drawn[site] = [
                rest_subspaces(study.core(site), states, DRAWS, seed=site.index, projector=projector)
                for projector in PROJECTORS
            ]
    groups, runs = few_runs(study, None)
    rows = study.few_rows(Split.EVALUATION)
    bands: dict[str, Any] = {"sites": [site.index for site in drawn], "draws": DRAWS, "prompts": len(rows)}
    if not drawn:
        return bands
    pushed = [
        run.push_all(
            {
                site.index: torch.cat(
                    [
                        subspaces.edited(run.states(site), study.core(site).mean, mode)
                        for subspaces in drawn[site]
                        for mode in MODES
                    ]
                )
                for site in drawn
            }
        )
        for run in told(runs, "lengths of prompts, the rest at some sites")
    ]
    base, labels = own_contrasts((groups, runs)), study.labels(Split.EVALUATION)[rows]
    bands["own AUC"] = digits(simple_auc(base[None], labels)[0])
    contrasts = np.stack([plain(scattered(groups, (part[site.index] for part in pushed), axis=1)) for site in drawn])
    flat = contrasts.reshape(-1, len(rows))
    shape = (len(drawn), len(PROJECTORS), len(MODES), DRAWS)
    statistics = {"separation": separations(flat, base, labels), "AUC": simple_auc(flat, labels)}
    for name, values in statistics.items():
        by_mode = values.reshape(shape)
        bands[name] = {
            projector: {mode: band(by_mode[:, i, j].T) for j, mode in enumerate(MODES)}
            for i, projector in enumerate(PROJECTORS)
        }
    return bands
