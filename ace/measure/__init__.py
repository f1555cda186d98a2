"""Measurements: what is computed for each claim. One file a family; `MEASURES` maps claim ids to functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ace.measure import (
    agreement_ablation,
    agreement_axis,
    agreement_beyond,
    agreement_family,
    agreement_generation,
    agreement_knob,
    hidden_markov,
    markov_ablation,
    markov_dynamics,
    markov_likeness,
    markov_optimum,
    modadd_ablation,
    modadd_growth,
    modadd_rotation,
)
from ace.measure.measurement import Measurement
from ace.measure.subject import ClaimSubject, Subject

Measure = Callable[[Any], Measurement]  # of a subject that its family's claims speak about; another is a ClaimError
FAMILIES = (
    markov_optimum,
    markov_ablation,
    markov_likeness,
    markov_dynamics,
    hidden_markov,
    modadd_growth,
    modadd_ablation,
    modadd_rotation,
    agreement_axis,
    agreement_ablation,
    agreement_knob,
    agreement_beyond,
    agreement_generation,
    agreement_family,
)
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {id: found for part in FAMILIES for id, found in part.MEASURES.items()}
)

__all__ = ["MEASURES", "ClaimSubject", "Measurement", "Subject"]
