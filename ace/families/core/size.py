"""How many dimensions the cores of independently trained models have."""

from __future__ import annotations

import numpy as np

from ace.errors import Inapplicable
from ace.rank import Null
from ace.stats import Estimate, exact
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject


def require_several(subject: TokenSubject) -> TokenStudy:
    """The models, which a claim compares with each other.

    Raises:
        Inapplicable: there is only one.
    """
    if len(subject.trained) < 2:
        raise Inapplicable(f"{subject.name} is one model alone: there is no other to compare it with")
    return subject.trained


def require_cores(study: TokenStudy, name: str = "model") -> TokenStudy:
    """The models, whose cores a claim speaks about.

    Raises:
        Inapplicable: the rank rule gives one of them no dimension.
    """
    for index in study.members:
        if study.core(index).dimension == 0:
            rule = study.core(index).rank.rule
            raise Inapplicable(f"{name} {index} has a core of no dimensions by the rule {rule!r}")
    return study


@measures("untrained")
def rank(subject: TokenSubject) -> Measurement:
    """Dimensions of each core, less the median over the trained models, with intervals by resampled sequences."""
    study, twins = require_several(subject), subject.twins()
    sizes, untrained = ([of.core(k).dimension for k in of.members] for of in (study, twins))
    middle = float(np.median(sizes))
    cores = [study.core(k) for k in study.members]
    return Measurement(
        tuple(_size(study, k, middle) for k in study.members),
        {"untrained": tuple(exact(str(k), size - middle) for k, size in enumerate(untrained))},
        details={
            "dimensions": sizes,
            "dimensions, untrained": untrained,
            "sigma": [core.sigma[: 2 * max(sizes) + 4].tolist() if core.balanced else [] for core in cores],
        },
    )


def _size(study: TokenStudy, index: int, middle: float) -> Estimate:
    """A core's dimensions less `middle`; without an interval where the rule's null would be drawn anew each time."""
    size = float(study.core(index).dimension)
    if isinstance(study.rank, Null):
        return exact(str(index), size - middle)
    return Estimate(str(index), size - middle, replicates=study.replicate_ranks(index) - middle)
