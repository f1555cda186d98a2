"""The registry: every claim with its statement, source, quantity, bound and the controls on which it must fail.

Bounds live here and nowhere else. Each follows from the paper, a theorem, a null or chance; none is moved to make a run
pass. Ids, bounds and controls are those of the project's table of claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ace.errors import ClaimError
from ace.families.agreement import claims as agreement
from ace.families.markov import claims as markov
from ace.families.modular_addition import claims as modular_addition
from ace.study.claim import Bound, Claim

__all__ = ["REGISTRY", "Bound", "Claim", "claim"]

FAMILIES = (markov, modular_addition, agreement)
REGISTRY: Mapping[str, Claim] = MappingProxyType({claim.id: claim for family in FAMILIES for claim in family.CLAIMS})


def claim(identifier: str) -> Claim:
    """The claim of that id.

    Raises:
        ClaimError: there is none.
    """
    if identifier not in REGISTRY:
        raise ClaimError(f"claim: no claim {identifier!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[identifier]
