"""Algorithmic cores: extract them, intervene on them, compare them, and check what is claimed about them.

Everything that `verify_claim` needs is here. Names load on first use, so that `import ace` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ace.arrays import Array, Ints
    from ace.core import Core
    from ace.errors import AceError, Inapplicable
    from ace.extract import Extractor, extract_core, extract_stream, head_sensitivities
    from ace.families.core.subjects import runs_subject
    from ace.families.family import Family, Fixtures, find_claim, registry
    from ace.model.intervene import Intervention, intervening, rank_scan
    from ace.model.language import LanguageModel, load_language_model, wrap_model
    from ace.model.observe import sensitivities_at, states_at
    from ace.model.sites import Site, find_sites, module_site
    from ace.rank import Energy, Fixed, Full, Gap, Null, RankRule
    from ace.stats import Estimate
    from ace.study.claim import Bound, Claim, Replication
    from ace.study.language_subjects import language_subject
    from ace.study.measurement import Measure, Measurement, measures
    from ace.study.memory import Memory
    from ace.study.prompt_seeds import PromptStudies
    from ace.study.rest import RankTest, Rest
    from ace.study.run_history import RunHistory
    from ace.study.subject import LazySubject, Subject
    from ace.study.sweep import sweep_subject
    from ace.study.tokens import TokenStudy
    from ace.suite.parametrize import parametrize_with_claims
    from ace.tasks.base import Batch, Split, Task
    from ace.tasks.prompt import Contrast, Prompts, PromptTask
    from ace.verify import Status, Verdict, verify_claim
    from ace.zoo.named import load_subject

__all__ = [
    "AceError",
    "Array",
    "Batch",
    "Bound",
    "Claim",
    "Contrast",
    "Core",
    "Energy",
    "Estimate",
    "Extractor",
    "Family",
    "Fixed",
    "Fixtures",
    "Full",
    "Gap",
    "Inapplicable",
    "Intervention",
    "Ints",
    "LanguageModel",
    "LazySubject",
    "Measure",
    "Measurement",
    "Memory",
    "Null",
    "PromptStudies",
    "PromptTask",
    "Prompts",
    "RankRule",
    "RankTest",
    "Replication",
    "Rest",
    "RunHistory",
    "Site",
    "Split",
    "Status",
    "Subject",
    "Task",
    "TokenStudy",
    "Verdict",
    "extract_core",
    "extract_stream",
    "find_claim",
    "find_sites",
    "head_sensitivities",
    "intervening",
    "language_subject",
    "load_language_model",
    "load_subject",
    "measures",
    "module_site",
    "parametrize_with_claims",
    "rank_scan",
    "registry",
    "runs_subject",
    "sensitivities_at",
    "states_at",
    "sweep_subject",
    "verify_claim",
    "wrap_model",
]

_HOMES = {
    "arrays": ("Array", "Ints"),
    "core": ("Core",),
    "rank": ("Energy", "Fixed", "Full", "Gap", "Null", "RankRule"),
    "errors": ("AceError", "Inapplicable"),
    "extract": ("Extractor", "extract_core", "extract_stream", "head_sensitivities"),
    "study.language_subjects": ("language_subject",),
    "families.core.subjects": ("runs_subject",),
    "families.family": ("Family", "Fixtures", "find_claim", "registry"),
    "study.sweep": ("sweep_subject",),
    "model.intervene": ("Intervention", "intervening", "rank_scan"),
    "model.language": ("LanguageModel", "load_language_model", "wrap_model"),
    "model.observe": ("sensitivities_at", "states_at"),
    "model.sites": ("Site", "find_sites", "module_site"),
    "stats": ("Estimate",),
    "study.claim": ("Bound", "Claim", "Replication"),
    "study.measurement": ("Measure", "Measurement", "measures"),
    "study.memory": ("Memory",),
    "study.prompt_seeds": ("PromptStudies",),
    "study.rest": ("RankTest", "Rest"),
    "study.run_history": ("RunHistory",),
    "study.subject": ("LazySubject", "Subject"),
    "study.tokens": ("TokenStudy",),
    "suite.parametrize": ("parametrize_with_claims",),
    "tasks.base": ("Batch", "Split", "Task"),
    "tasks.prompt": ("Contrast", "PromptTask", "Prompts"),
    "verify": ("Status", "Verdict", "verify_claim"),
    "zoo.named": ("load_subject",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ace' has no attribute {name!r}")
    return getattr(import_module(f"ace.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
