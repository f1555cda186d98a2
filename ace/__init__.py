"""Algorithmic cores: extract them, intervene on them, compare them, and check what is claimed about them.

Names load on first use, so that `import ace` costs nothing; see `ace.__all__`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ace.claims import REGISTRY, Claim
    from ace.core import Core, Energy, Fixed, Full, Gap, Null
    from ace.errors import AceError
    from ace.extract import extract, extract_stream, head_sensitivities
    from ace.intervene import Intervention, intervene, rank_scan
    from ace.observe import sensitivities_at, states_at
    from ace.sites import find_sites
    from ace.verify import Verdict, verify

_HOMES = {
    "REGISTRY": "claims",
    "Claim": "claims",
    "Core": "core",
    "Energy": "core",
    "Fixed": "core",
    "Full": "core",
    "Gap": "core",
    "Null": "core",
    "AceError": "errors",
    "extract": "extract",
    "extract_stream": "extract",
    "head_sensitivities": "extract",
    "Intervention": "intervene",
    "intervene": "intervene",
    "rank_scan": "intervene",
    "sensitivities_at": "observe",
    "states_at": "observe",
    "find_sites": "sites",
    "Verdict": "verify",
    "verify": "verify",
}
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
    "extract",
    "extract_stream",
    "find_sites",
    "head_sensitivities",
    "intervene",
    "rank_scan",
    "sensitivities_at",
    "states_at",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ace' has no attribute {name!r}")
    return getattr(import_module(f"ace.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
