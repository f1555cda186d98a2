"""Does one axis keep, lose and mirror agreement below the top as well?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ace.arrays import Array, Ints
from ace.auc import separations, simple_auc
from ace.core import OBLIQUE, ORTHOGONAL, PROJECTORS
from ace.discrimination import Quantities
from ace.families.agreement.controls import FLIP, KEEP, REMOVE, chosen_ablation, edited_details
from ace.families.agreement.shown import digits, rest_by_depth
from ace.stats import Estimate
from ace.study.measurement import Measurement, measures
from ace.study.prompt_rest import rest_of
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import MANY, MODES, shown_sites, swept_contrasts
from ace.tasks.base import Split

ABOVE, BELOW, LEFT, UNTURNED = 0.25, 0.2, 0.1, 0.2  # margins of agreement.sufficiency, necessity and mirror
PARTS = ("keep, above", "keep, below", "remove, above", "remove, below", "flip")


def misfits(separation: Array) -> Array:
    """(5, ...) how far separations (4, ...) of base, keep, remove and flip miss 1, 0 and -1, over what each may."""
    keep, remove, flip = (separation[row] for row in (KEEP, REMOVE, FLIP))
    return np.stack([(keep - 1) / ABOVE, (1 - keep) / BELOW, remove / LEFT, -remove / LEFT, (flip + 1) / UNTURNED])


@measures("the rest")
def depth(subject: PromptSubject) -> Measurement:
    """How far keep, remove and flip miss 1, 0 and -1, over their margins, at a site in the lower 80 % of depth."""
    models = subject.trained

    def parts(projector: str) -> tuple[Estimate, ...]:
        estimates = []
        for k, study in enumerate(models.studies):
            row = chosen_ablation(study, study.choice(OBLIQUE, deep=True), projector)
            for place, part in enumerate(PARTS):

                def one(quantities: Quantities, place: int = place) -> Array:
                    return np.asarray(misfits(quantities.separation)[place])

                estimates.append(row.estimate(f"{k}, {part}", one))
        return tuple(estimates)

    def value(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
        rows = [separations(edited[mode], base, labels) for mode in MODES]
        return misfits(np.stack([np.ones_like(rows[0]), *rows])).T

    return Measurement(
        parts(OBLIQUE),
        {},
        details={
            **edited_details(models, OBLIQUE, deep=True),
            "by depth": [by_depth(study) for study in models.studies],
        },
        site=models.sites(OBLIQUE, deep=True),
        rest=tuple(
            rest_of(
                study,
                str(k),
                tuple(f"{k}, {part}" for part in PARTS),
                study.choice(OBLIQUE, deep=True),
                MODES,
                value,
            )
            for k, study in enumerate(models.studies)
        ),
        beside={ORTHOGONAL: parts(ORTHOGONAL)},
    )


def by_depth(study: PromptStudy) -> dict[str, Any]:
    """Separation and AUC over depth on the evaluation split, rank 1, by projector; and what the rest gives.

    Of many sites some are shown, on few prompts.
    """
    chosen = {
        projector: (study.choice(projector).site.index, study.choice(projector, deep=True).site.index)
        for projector in PROJECTORS
    }
    many = len(study.sites) > MANY
    indices = shown_sites(study, (index for pair in chosen.values() for index in pair))
    base, labels = study.base(Split.EVALUATION), study.labels(Split.EVALUATION)
    if many:
        base, labels = (values[study.few_rows(Split.EVALUATION)] for values in (base, labels))
    swept = swept_contrasts(study, Split.EVALUATION, indices, few=many)
    curves: dict[str, Any] = {
        "blocks": len(study.sites) - 1,
        "sites": list(indices),
        "prompts": len(labels),
        "AUC": digits(study.behaviour.auc[0]),
        "the rest": rest_by_depth(study),
    }
    for place, projector in enumerate(PROJECTORS):
        curves[projector] = {
            **{mode: digits(separations(swept[:, place, row], base, labels)) for row, mode in enumerate(MODES)},
            **{f"{mode}, AUC": digits(simple_auc(swept[:, place, row], labels)) for row, mode in enumerate(MODES)},
            "chosen": chosen[projector][0],
            "chosen below the top": chosen[projector][1],
        }
    return curves
