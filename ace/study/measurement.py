"""The record of what was measured for a claim, and the functions that measure, with the controls that they bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ace.errors import ClaimError, InputError
from ace.stats import Estimate


@dataclass(frozen=True)
class Measurement:
    """A claim's quantity on a subject and on its controls.

    Attributes:
        estimates: one for each seed, or pair of seeds.
        controls: name -> the same quantity on that control.
        references: measured numbers that a bound refers to.
        details: what a reader wants to see beside it; plain values only.
        site: where it was measured, where that is not the subject's own site.
    """

    estimates: tuple[Estimate, ...]
    controls: Mapping[str, tuple[Estimate, ...]]
    references: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    site: str = ""

    def __post_init__(self) -> None:
        groups: Mapping[str, Sequence[Estimate]] = {"estimates": self.estimates, **self.controls}
        for name, group in groups.items():
            if not group:
                raise InputError(f"{name}: expected at least one estimate, got none")


@dataclass(frozen=True)
class Measure:
    """A function that measures a subject, and the names of the controls that every measurement of it has.

    Attributes:
        compute: called with a subject that the claim speaks about.
        controls: names; a claim that asks for another one is refused when it is defined, not when it is verified.
    """

    compute: Callable[[Any], Measurement]
    controls: tuple[str, ...]

    def __call__(self, subject: Any) -> Measurement:
        """Measure a subject.

        Raises:
            ClaimError: what was measured has other controls than those declared.
            Inapplicable: the subject lacks what the claim speaks about.
        """
        measured = self.compute(subject)
        if set(measured.controls) != set(self.controls):
            raise ClaimError(
                f"{self.compute.__module__}.{self.compute.__name__}: expected the controls {sorted(self.controls)},"
                f" got {sorted(measured.controls)}"
            )
        return measured


def measures(*controls: str) -> Callable[[Callable[[Any], Measurement]], Measure]:
    """Decorator: the function measures a subject and brings these controls with it.

    Raises:
        ClaimError: something else than different names, such as the function itself where the brackets are missing.
    """
    if not all(isinstance(name, str) and name for name in controls) or len(set(controls)) != len(controls):
        raise ClaimError(
            f"measures: expected different names of controls, as in @measures('untrained'), got {controls}"
        )
    return lambda compute: Measure(compute, controls)
