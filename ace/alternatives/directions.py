"""Methods that look at one side only: how states vary, or what the outputs read."""

from __future__ import annotations

from ace.alternatives.evidence import Evidence, leading_rows
from ace.core import Core


def principal_components(evidence: Evidence, rank: int) -> Core:
    """PCA: the directions along which states vary most, leading one first; each is its own reader.

    Looks at neither labels nor outputs. Among uncorrelated orthonormal directions the reader and the direction agree.

    Raises:
        InputError: a rank that is no count, or states that do not vary.
    """
    return evidence.core_of_directions(leading_rows(evidence.spread, rank)[1].T, "PCA")


def gradients_alone(evidence: Evidence, rank: int) -> Core:
    """The leading right singular vectors of the sensitivities as readers: what the outputs read most.

    Looks at states only for the directions. Projecting orthogonally onto the readers themselves, which is the simplest
    axis of all, is `onto_readers`.

    Raises:
        InputError: a rank that is no count, sensitivities that are zero, or states that do not vary along them.
    """
    return evidence.core_of_readers(leading_rows(evidence.sensitivities, rank)[1], "gradients alone")
