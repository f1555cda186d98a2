"""How many dimensions the cores of independently trained models have."""

from __future__ import annotations

import numpy as np

from ace.errors import Inapplicable
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


@measures("untrained")
def rank(subject: TokenSubject) -> Measurement:
    """Dimensions of each core, less the median over the trained models."""
    study = require_several(subject)
    sizes = [study.core(k).dimension for k in study.members]
    middle = float(np.median(sizes))
    twins = subject.twins()
    untrained = [twins.core(k).dimension for k in twins.members]

    def differences(dimensions: list[int]) -> tuple[Estimate, ...]:
        return tuple(exact(str(k), value - middle) for k, value in enumerate(dimensions))

    return Measurement(
        differences(sizes),
        {"untrained": differences(untrained)},
        details={
            "dimensions": sizes,
            "dimensions, untrained": untrained,
            "sigma": [study.core(k).sigma[: 2 * int(middle) + 4].tolist() for k in study.members],
        },
    )
