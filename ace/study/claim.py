"""The records of a claim and of its bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ace.errors import ClaimError
from ace.study.measurement import Measure

DIRECTIONS = ("<=", ">=", "==")


@dataclass(frozen=True)
class Bound:
    """`direction` `offset + factor * reference`, the reference being measured on the same data.

    Attributes:
        direction: "<=", ">=" or "==".
        offset: fixed part, in the claim's unit.
        reference: name of a measured number, such as the standard error of chance, or "".
        factor: what the reference is multiplied by.
    """

    direction: str
    offset: float = 0.0
    reference: str = ""
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ClaimError(f"direction: expected one of {', '.join(DIRECTIONS)}, got {self.direction!r}")

    def threshold(self, references: Mapping[str, float]) -> float:
        """The number a value is held against.

        Raises:
            ClaimError: the reference was not measured.
        """
        if not self.reference:
            return self.offset
        if self.reference not in references:
            raise ClaimError(f"bound: expected a measured reference {self.reference!r}, got {sorted(references)}")
        return self.offset + self.factor * references[self.reference]

    def place(self, low: float, high: float, threshold: float) -> str:
        """Where an interval lies: "inside", "outside" or "straddles" the bound."""
        if self.direction == "==":
            if low == high == threshold:
                return "inside"
            return "straddles" if low <= threshold <= high else "outside"
        worst, best = (high, low) if self.direction == "<=" else (low, high)
        if self.margin(worst, threshold) >= 0:
            return "inside"
        return "outside" if self.margin(best, threshold) < 0 else "straddles"

    def margin(self, value: float, threshold: float) -> float:
        """How far inside the bound a value lies; negative outside."""
        if self.direction == "==":
            return -abs(value - threshold)
        return threshold - value if self.direction == "<=" else value - threshold

    def __str__(self) -> str:
        terms = [f"{self.offset:g}"] if self.offset or not self.reference else []
        if self.reference:
            terms.append(self.reference if self.factor == 1 else f"{self.factor:g} {self.reference}")
        return f"{self.direction} {' + '.join(terms)}"


@dataclass(frozen=True)
class Claim:
    """A sentence, with the quantity and the bound that decide whether it holds of a subject.

    Attributes:
        id: such as "markov.spectrum".
        statement: the sentence, in our words.
        source: where it stands in the paper, or "ours" for a strengthened form or control.
        quantity: what is measured, and its unit.
        bound: what the quantity is held against.
        bound_source: "paper", "theorem", "null", "chance" or "oracle".
        rationale: why the margin is what it is.
        controls: names of the controls that must lie outside the bound; one inside makes the claim VACUOUS.
        reported: names of controls shown beside it that need not lie outside.
        needs_behaviour: INAPPLICABLE where a model does not perform above chance.
        narrows: the bound is in standard errors, so it narrows with the interval as samples are added.
        measure: what measures it, with every control that the claim names.
        about: what kind of subject it speaks of; the id's first part where nothing else is said.

    Raises:
        ClaimError: a control that the measure does not bring, or that is both required and reported.
    """

    id: str
    statement: str
    source: str
    quantity: str
    bound: Bound
    bound_source: str
    rationale: str
    controls: tuple[str, ...]
    reported: tuple[str, ...] = ()
    needs_behaviour: bool = True
    narrows: bool = False
    measure: Measure = field(kw_only=True, repr=False)
    about: str = ""

    def __post_init__(self) -> None:
        named = (*self.controls, *self.reported)
        absent = sorted(set(named) - set(self.measure.controls))
        if absent or len(set(named)) != len(named):
            raise ClaimError(
                f"{self.id}: expected controls out of {', '.join(self.measure.controls)}, each once, got"
                f" {', '.join(absent or named)}"
            )
        if not self.about:
            object.__setattr__(self, "about", self.family)

    @property
    def family(self) -> str:
        """The id's first part."""
        return self.id.partition(".")[0]


OURS = "ours"
