"""Every kind of calibration, in the order of the table. A new one is a module with a `SECTION`, named here."""

from __future__ import annotations

from invariants.calibration import defects, delays, equivalence, means, proportions, ranks, separations, verdicts
from invariants.calibration.section import Section

SECTIONS: tuple[Section, ...] = (
    means.SECTION,
    proportions.SECTION,
    separations.SECTION,
    equivalence.SECTION,
    verdicts.SECTION,
    ranks.SECTION,
    delays.SECTION,
    delays.ON_BOUND,
    defects.SECTION,
)
