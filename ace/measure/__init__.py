"""Measurements: what is computed for each claim. One file a task; `MEASURES` maps claim ids to functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ace.measure import hidden_markov, markov
from ace.measure.measurement import Measurement
from ace.measure.subject import Subject

Measure = Callable[[Subject], Measurement]
MEASURES: Mapping[str, Measure] = MappingProxyType({**markov.MEASURES, **hidden_markov.MEASURES})

__all__ = ["MEASURES", "Measurement", "Subject"]
