"""Measurements: what is computed for each claim. One file a family; `MEASURES` maps claim ids to functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ace.families.agreement import ablation as agreement_ablation
from ace.families.agreement import axis as agreement_axis
from ace.families.agreement import beyond as agreement_beyond
from ace.families.agreement import generation as agreement_generation
from ace.families.agreement import knob as agreement_knob
from ace.families.agreement import scales as agreement_family
from ace.families.hidden_markov import belief as hidden_markov
from ace.families.markov import ablation as markov_ablation
from ace.families.markov import dynamics as markov_dynamics
from ace.families.markov import likeness as markov_likeness
from ace.families.markov import optimum as markov_optimum
from ace.families.modular_addition import ablation as modadd_ablation
from ace.families.modular_addition import growth as modadd_growth
from ace.families.modular_addition import rotation as modadd_rotation
from ace.study.measurement import Measurement
from ace.study.tokens import ClaimSubject, Subject

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
