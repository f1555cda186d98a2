"""The records of a claim and of its bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ace.errors import ClaimError
from ace.study.measurement import Measure
from ace.study.rest import LEVEL

DIRECTIONS = ("<=", "<", ">=", "==", "in")
OURS = "ours"
PAPER = "arXiv 2602.22600"
KINDS = {"P": "the paper's own sentence, in its statistic and projector", "S": "strengthened, or ours"}
SOURCES = ("paper", "theorem", "null", "chance", "oracle", "equivalence margin")


@dataclass(frozen=True)
class Bound:
    """`direction` `offset + factor * reference`, the reference being measured on the same data.

    Attributes:
        direction: "<=", "<", ">=" or "==", or "in" for a bound with two ends: see `between`. "<" is for what a value
            may be by doing nothing, such as half of the answers that are all the same.
        offset: fixed part, in the claim's unit; the lower end of "in".
        reference: name of a measured number, such as the standard error of chance, or "".
        factor: what the reference is multiplied by.
        upper: the upper end of "in".
    """

    direction: str
    offset: float = 0.0
    reference: str = ""
    factor: float = 1.0
    upper: float = math.inf

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ClaimError(f"direction: expected one of {', '.join(DIRECTIONS)}, got {self.direction!r}")
        if self.direction == "in" and not self.offset < self.upper < math.inf:
            raise ClaimError(f"upper: expected above the lower end {self.offset:g}, got {self.upper:g}")

    @classmethod
    def between(cls, low: float, high: float) -> Bound:
        """An equivalence margin: a value is inside where its interval lies between both ends, two one-sided tests."""
        return cls("in", low, upper=high)

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
        if self.direction == "in":
            if threshold <= low and high <= self.upper:
                return "inside"
            return "straddles" if low <= self.upper and high >= threshold else "outside"
        worst, best = (low, high) if self.direction == ">=" else (high, low)
        if self._within(self.margin(worst, threshold)):
            return "inside"
        return "straddles" if self._within(self.margin(best, threshold)) else "outside"

    def _within(self, margin: float) -> bool:
        return margin > 0 if self.direction == "<" else margin >= 0

    def margin(self, value: float, threshold: float) -> float:
        """How far inside the bound a value lies; negative outside."""
        if self.direction == "==":
            return -abs(value - threshold)
        if self.direction == "in":
            return min(value - threshold, self.upper - value)
        return value - threshold if self.direction == ">=" else threshold - value

    def __str__(self) -> str:
        if self.direction == "in":
            return f"in [{self.offset:g}, {self.upper:g}]"
        terms = [f"{self.offset:g}"] if self.offset or not self.reference else []
        if self.reference:
            terms.append(self.reference if self.factor == 1 else f"{self.factor:g} {self.reference}")
        return f"{self.direction} {' + '.join(terms)}"


@dataclass(frozen=True)
class Replication:
    """A sentence of the paper beside its own figure, and the published protocol on our models.

    Attributes:
        paper: the paper's figure, or that of its published code, in words.
        protocol: gives that figure of a subject, one a seed or pair, by the published protocol: its reference point,
            projector, rank rule and split, fits in sample.
        differs: a word on why the protocol's figure and ours differ, where they do.
    """

    paper: str
    protocol: Callable[[Any], tuple[float, ...]] = field(repr=False)
    differs: str


@dataclass(frozen=True)
class Claim:
    """A sentence, with the quantity and the bound that decide whether it holds of a subject.

    Attributes:
        id: such as "markov.spectrum".
        statement: the sentence, in our words.
        source: where it stands in the paper, beginning with `PAPER`; or "ours" for a strengthened form or control.
        quantity: what is measured, and its unit.
        bound: what the quantity is held against.
        bound_source: "paper", "theorem", "null", "chance", "oracle" or "equivalence margin".
        rationale: why the margin is what it is.
        controls: names of the controls that must lie outside the bound; one inside makes the claim VACUOUS.
        needs_behaviour: INAPPLICABLE where a model does not perform above chance.
        measure: what measures it, with every control that the claim names.
        about: what kind of subject it speaks of; the id's first part where nothing else is said.
        kind: "P", the paper's own sentence in the paper's statistic and projector, or "S", strengthened or ours.
        replication: of a sentence of the paper, which cannot do without: its figure, and what the published protocol
            gives.
        rest_level: what the core's rank p-value among the rest must not exceed, where the rest is a control.

    Raises:
        ClaimError: a control that the measure does not bring, or a control twice; another kind or
            source of the bound; the paper as the source of a bound that is ours; a sentence of the paper
            without its replication, or under another kind than P.
    """

    id: str
    statement: str
    source: str
    quantity: str
    bound: Bound
    bound_source: str
    rationale: str
    controls: tuple[str, ...]
    needs_behaviour: bool = True
    measure: Measure = field(kw_only=True, repr=False)
    about: str = ""
    kind: str = field(default="S", kw_only=True)
    replication: Replication | None = field(default=None, kw_only=True, repr=False)
    rest_level: float = field(default=LEVEL, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ClaimError(f"{self.id}: expected a kind out of {', '.join(KINDS)}, got {self.kind!r}")
        if (self.kind == "P") != self.source.startswith(PAPER):
            raise ClaimError(
                f"{self.id}: expected kind P for a sentence whose source is {PAPER} and only there, got {self.kind} for"
                f" {self.source!r}"
            )
        if self.bound_source not in SOURCES:
            raise ClaimError(f"{self.id}: expected a bound from {', '.join(SOURCES)}, got {self.bound_source!r}")
        if self.kind == "S" and (self.bound_source == "paper" or self.replication is not None):
            raise ClaimError(f"{self.id}: expected no bound and no figure of the paper for a sentence of ours")
        if self.kind == "P" and self.replication is None:
            raise ClaimError(
                f"{self.id}: expected a replication of a sentence of the paper, kind P: the paper's figure and what the"
                " published protocol gives, got None"
            )
        absent = sorted(set(self.controls) - set(self.measure.controls))
        if absent or len(set(self.controls)) != len(self.controls):
            raise ClaimError(
                f"{self.id}: expected controls out of {', '.join(self.measure.controls)}, each once, got"
                f" {', '.join(absent or self.controls)}"
            )
        if not self.about:
            object.__setattr__(self, "about", self.family)

    @property
    def family(self) -> str:
        """The id's first part."""
        return self.id.partition(".")[0]
