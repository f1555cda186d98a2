"""The record of a family, and the list of all families: the folders of this package."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from ace.errors import ClaimError
from ace.extract import Extractor
from ace.study.claim import Claim
from ace.study.control_words import COMMON_CONTROLS
from ace.study.memory import Memory
from ace.study.subject import LazySubject
from ace.training.result import TrainedEnsemble
from ace.training.sweep.recipe import SweepRecipe
from ace.training.sweep.table import SweepTable


class Fixtures(Protocol):
    """Where families get the project's trained models, and the settings of a run."""

    @property
    def extractor(self) -> Extractor:
        """The extraction function that cores come from."""
        ...

    def ensemble(self, recipe: str) -> TrainedEnsemble:
        """The trained models of a recipe, loaded or trained now."""
        ...

    def language_models(self, recipe: str) -> Any:
        """The trained language models of a recipe, loaded or trained now, with the recipe."""
        ...

    def sweep(self, name: str) -> tuple[SweepRecipe, SweepTable]:
        """A sweep with the outcomes of its runs, loaded."""
        ...

    def memory(self, group: str) -> Memory:
        """What subjects of a group share."""
        ...

    def rerun(self, subject: str) -> str:
        """The command that verifies a claim on one of the subjects again, with `{claim}` in the claim's place."""
        ...


@dataclass(frozen=True)
class Family:
    """Claims about one kind of model, with how their subjects are made.

    Attributes:
        name: of its folder.
        claims: records; each names what measures it.
        subjects: gives the project's own subjects, none where the project has none.
        figures: module with `FIGURES`, records `ace.families.style.Drawing`; imported when figures are asked for.
        controls: what its own controls mean, by name; those of `COMMON_CONTROLS` need no entry.
    """

    name: str
    claims: tuple[Claim, ...]
    subjects: Callable[[Fixtures], Iterable[LazySubject]] = lambda fixtures: ()
    figures: str = ""
    controls: Mapping[str, str] = field(default_factory=dict, hash=False)


@cache
def _read(folders: tuple[Path, ...]) -> tuple[Family, ...]:
    """The families of folders; read again whenever a folder is added or gone."""
    families = []
    for folder in folders:
        module = import_module(f"ace.families.{folder.name}")
        family = getattr(module, "FAMILY", None)
        if not isinstance(family, Family):
            raise ClaimError(f"{module.__name__}: expected a record FAMILY, got {type(family).__name__}")
        if family.name != folder.name:
            raise ClaimError(f"{module.__name__}: expected a family of the folder's name, got {family.name!r}")
        families.append(family)
    return tuple(families)


def families() -> tuple[Family, ...]:
    """All families: the folders of `ace.families`, by name.

    Raises:
        ClaimError: a folder without a record `FAMILY`, or with one of another name.
    """
    import ace.families

    names = {module.name: Path(place) for place in ace.families.__path__ for module in _packages(place)}
    return _read(tuple(place / name for name, place in sorted(names.items())))


def _packages(place: str) -> list[pkgutil.ModuleInfo]:
    return [module for module in pkgutil.iter_modules([place]) if module.ispkg]


@cache
def _registry(known: tuple[Family, ...]) -> Mapping[str, Claim]:
    claims: dict[str, Claim] = {}
    for family in known:
        for claim in family.claims:
            if claim.id in claims:
                raise ClaimError(f"{family.name}: expected ids that no other claim has, got {claim.id!r}")
            claims[claim.id] = claim
    return MappingProxyType(claims)


def registry() -> Mapping[str, Claim]:
    """Every claim by its id.

    Raises:
        ClaimError: two claims of one id.
    """
    return _registry(families())


def find_claim(identifier: str) -> Claim:
    """The claim of that id.

    Raises:
        ClaimError: there is none.
    """
    known = registry()
    if identifier not in known:
        raise ClaimError(f"claim: no claim {identifier!r}; known: {', '.join(known)}")
    return known[identifier]


def control_meanings(claim: Claim) -> Mapping[str, str]:
    """What each control that a claim requires means, in the claim's order; "" for one that nobody explains."""
    own = next((family.controls for family in families() if claim in family.claims), {})
    return {name: own.get(name) or COMMON_CONTROLS.get(name, "") for name in claim.controls}
