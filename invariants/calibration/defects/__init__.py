"""Planted defects: one thing wrong each, and the verdict, property or refusal of the project's own that tells."""

from __future__ import annotations

from invariants.calibration.defects import edits, extraction, judging, places, prompted, subjects
from invariants.calibration.defects.record import Defect
from invariants.calibration.section import Entry, Row, Section

DEFECTS: tuple[Defect, ...] = (
    *extraction.DEFECTS,
    *edits.DEFECTS,
    *places.DEFECTS,
    *subjects.DEFECTS,
    *prompted.DEFECTS,
    *judging.DEFECTS,
)


def _entry(defect: Defect) -> Entry:
    def run(trials: int) -> tuple[Row, ...]:
        found, without = defect.check(True), defect.check(False)
        amiss = "not caught" if not found else f"{without} without the defect too" if without else ""
        return (Row((defect.kind, defect.name, defect.caught_by, f"**{amiss}**" if amiss else found), amiss),)

    return Entry(f"{defect.kind}, {defect.name}", run)


SECTION = Section(
    "Planted defects",
    f"{len(DEFECTS)} things that can be wrong, each planted by itself, and what tells: a claim whose verdict is no more"
    " what it was, a property that fails, or a call that is refused. Without the defect the claim HOLDS, the property"
    " passes, the call goes through.",
    ("kind", "defect", "caught by", "verdict or error"),
    tuple(map(_entry, DEFECTS)),
)
