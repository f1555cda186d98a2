"""The record of what was measured for a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ace.errors import InputError
from ace.stats import Estimate


@dataclass(frozen=True)
class Measurement:
    """A claim's quantity on a subject and on its controls.

    Attributes:
        estimates: one for each seed, or pair of seeds.
        controls: name -> the same quantity on that control.
        references: measured numbers that a bound refers to.
        details: what a reader wants to see beside it; plain values only.
    """

    estimates: tuple[Estimate, ...]
    controls: Mapping[str, tuple[Estimate, ...]]
    references: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups: Mapping[str, Sequence[Estimate]] = {"estimates": self.estimates, **self.controls}
        for name, group in groups.items():
            if not group:
                raise InputError(f"{name}: expected at least one estimate, got none")
