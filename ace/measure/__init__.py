"""Measurements: what is computed for each claim. One file a family; `MEASURES` maps claim ids to functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ace.measure import (
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
from ace.measure.subject import Subject

Measure = Callable[[Subject], Measurement]
FAMILIES = (
    markov_optimum,
    markov_ablation,
    markov_likeness,
    markov_dynamics,
    hidden_markov,
    modadd_growth,
    modadd_ablation,
    modadd_rotation,
)
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {id: found for part in FAMILIES for id, found in part.MEASURES.items()}
)

__all__ = ["MEASURES", "Measurement", "Subject"]
