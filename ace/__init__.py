"""Algorithmic cores: extract them, intervene on them, compare them, and check what is claimed about them.

Names load on first use, so that `import ace` costs nothing; see `ace.__all__`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ace.claims import REGISTRY, Claim
    from ace.core import Core
    from ace.errors import AceError
    from ace.extract import extract_core, extract_stream, head_sensitivities
    from ace.model.intervene import Intervention, intervening, rank_scan
    from ace.model.observe import sensitivities_at, states_at
    from ace.model.sites import find_sites
    from ace.rank import Energy, Fixed, Full, Gap, Null
    from ace.verify import Verdict, verify_claim

__all__ = [
    "REGISTRY",
    "AceError",
    "Claim",
    "Core",
    "Energy",
    "Fixed",
    "Full",
    "Gap",
    "Intervention",
    "Null",
    "Verdict",
    "extract_core",
    "extract_stream",
    "find_sites",
    "head_sensitivities",
    "intervening",
    "rank_scan",
    "sensitivities_at",
    "states_at",
    "verify_claim",
]

_HOMES = {
    "claims": ("REGISTRY", "Claim"),
    "core": ("Core",),
    "errors": ("AceError",),
    "extract": ("extract_core", "extract_stream", "head_sensitivities"),
    "model.intervene": ("Intervention", "intervening", "rank_scan"),
    "model.observe": ("sensitivities_at", "states_at"),
    "model.sites": ("find_sites",),
    "rank": ("Energy", "Fixed", "Full", "Gap", "Null"),
    "verify": ("Verdict", "verify_claim"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"ace.{home}"), name)
    raise AttributeError(f"module 'ace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
