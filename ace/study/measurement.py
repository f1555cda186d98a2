"""The record of what was measured for a claim, and the functions that measure, with the controls that they bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ace.errors import ClaimError, InputError
from ace.stats import Estimate
from ace.study.rest import Rest


@dataclass(frozen=True)
class Measurement:
    """A claim's quantity on a subject and on its controls.

    Attributes:
        estimates: one for each seed, or pair of seeds.
        controls: name -> the same quantity on that control.
        references: measured numbers that a bound refers to.
        details: what a reader wants to see beside it; plain values only.
        site: where it was measured, where that is not the subject's own site.
        rest: draws of the rest in each seed's core's place, where the rest is a control.
        beside: name -> the same quantity got in another way: the other projector, an alternative to the core, a model
            that no verdict hangs on.
    """

    estimates: tuple[Estimate, ...]
    controls: Mapping[str, tuple[Estimate, ...]]
    references: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    site: str = ""
    rest: tuple[Rest, ...] = ()
    beside: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups: Mapping[str, Sequence[Estimate]] = {"estimates": self.estimates, **self.controls, **self.beside}
        for name, group in groups.items():
            if not group:
                raise InputError(f"{name}: expected at least one estimate, got none")
        labels = {estimate.label for estimate in self.estimates}
        unknown = sorted({part for rest in self.rest for part in rest.parts} - labels)
        if unknown:
            raise InputError(f"rest: expected parts among the estimates {sorted(labels)}, got {unknown}")

    @property
    def brings(self) -> frozenset[str]:
        """Names of the controls that it has, those that are drawn among them."""
        return frozenset(self.controls) | {rest.control for rest in self.rest}


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
        if measured.brings != set(self.controls):
            raise ClaimError(
                f"{self.compute.__module__}.{self.compute.__name__}: expected the controls {sorted(self.controls)},"
                f" got {sorted(measured.brings)}"
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
