"""Subjects of the project's own ensembles: the trained models of a recipe, and their twins before training."""

from __future__ import annotations

from collections.abc import Mapping

from ace.families.family import Fixtures
from ace.study.subject import LazySubject
from ace.study.tokens import TokenStudy, TokenSubject


def trained_study(fixtures: Fixtures, recipe: str, group: str, *, untrained: bool = False) -> TokenStudy:
    """The models of a recipe at the end of their training, or before it, each recipe studied once in a group."""
    memory = fixtures.memory(group)

    def make() -> TokenStudy:
        ensemble = fixtures.ensemble(recipe)
        models = ensemble.models(0 if untrained else None)
        return TokenStudy(models, ensemble.recipe.build_task(), extractor=fixtures.extractor, memory=memory)

    return memory.get(("trained study", recipe, untrained), make)


def ensemble_subject(
    fixtures: Fixtures,
    recipe: str,
    about: str,
    group: str,
    *,
    scale: str = "",
    companions: Mapping[str, str] | None = None,
) -> LazySubject:
    """The subject of a recipe's models.

    Args:
        companions: recipes whose models serve as controls, by the control's name.
    """
    memory, rerun = fixtures.memory(group), fixtures.rerun(recipe)

    def make() -> TokenSubject:
        return TokenSubject(
            recipe,
            about,
            trained_study(fixtures, recipe, group),
            trained_study(fixtures, recipe, group, untrained=True),
            {control: trained_study(fixtures, other, group) for control, other in (companions or {}).items()},
            rerun=rerun,
            memory=memory,
        )

    return LazySubject(recipe, about, make, scale, group, rerun, memory=memory)
