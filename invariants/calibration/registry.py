"""Every kind of calibration, in the order of the table. A new one is a module with a `SECTION`, named here."""

from __future__ import annotations

from invariants.calibration import equivalence, means, proportions, separations
from invariants.calibration.section import Section

SECTIONS: tuple[Section, ...] = (means.SECTION, proportions.SECTION, separations.SECTION, equivalence.SECTION)
