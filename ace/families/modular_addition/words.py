"""What the controls of this family mean, beside those that all families share."""

from __future__ import annotations

from collections.abc import Mapping

from ace.families.modular_addition.formation import SCATTER
from ace.families.modular_addition.growth import NO_DECAY, RESET

CONTROLS: Mapping[str, str] = {
    SCATTER: "how far seeds differ in memorising: a delay within that is no delay",
    "memorised": "the same models when they have memorised and not yet generalised",
    "memorised donor": "coordinates of models that have only memorised in the donor's place",
    "permuted labels": "the operator on classes in a random order: the value that 99.9 % of orders stay below",
    "random class means": "as many random class means of the same dimension: numbers with no structure at all",
    NO_DECAY: "the arm that goes on without weight decay: growth there is not weight decay's",
    RESET: "the arm with weight decay and the same fresh optimiser, which must not stay flat: else the optimiser did"
    " it",
    "random subspaces": "random subspaces of the core's rank in the core's place: growth of theirs is the states', not"
    " the core's",
}
