"""Subjects of the project's own ensembles: the trained models of a recipe, and their twins before training."""

from __future__ import annotations

from collections.abc import Mapping

from ace.families.family import Fixtures
from ace.study.subject import LazySubject
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split


def trained_study(
    fixtures: Fixtures,
    recipe: str,
    group: str,
    *,
    untrained: bool = False,
    site: str | None = None,
    sizes: Mapping[Split, int] | None = None,
) -> TokenStudy:
    """The models of a recipe at the end of their training, or before it, each recipe studied once in a group and site.

    Args:
        site: name of the module whose input is the state; below the head by default.
        sizes: sequences of some splits, see `TokenStudy`.
    """
    memory = fixtures.memory(group)

    def make() -> TokenStudy:
        ensemble = fixtures.ensemble(recipe)
        models = ensemble.models(0 if untrained else None)
        task = ensemble.recipe.build_task()
        return TokenStudy(models, task, sites=site, sizes=sizes, extractor=fixtures.extractor, memory=memory)

    return memory.get(("trained study", recipe, untrained, site), make)


def share_that_may_fail(study: TokenStudy) -> dict[str, float]:
    """For details: how large the share of all models may still be that fail where all of these passed, at 95 %."""
    return {"of all models, may fail at 95 %": 1 - 0.05 ** (1 / len(study))}


def ensemble_subject(
    fixtures: Fixtures,
    recipe: str,
    about: str,
    group: str,
    *,
    name: str = "",
    scale: str = "",
    companions: Mapping[str, str] | None = None,
    site: str | None = None,
    sizes: Mapping[Split, int] | None = None,
) -> LazySubject:
    """The subject of a recipe's models.

    Args:
        name: the recipe's by default; one recipe may serve several subjects.
        companions: recipes whose models serve as controls, by the control's name.
        site, sizes: as `trained_study`.
    """
    name = name or recipe
    memory, rerun = fixtures.memory(group), fixtures.rerun(name)

    def make() -> TokenSubject:
        return TokenSubject(
            name,
            about,
            trained_study(fixtures, recipe, group, site=site, sizes=sizes),
            trained_study(fixtures, recipe, group, untrained=True, site=site, sizes=sizes),
            # In a group of their own: several subjects are held against them, and they may be a subject themselves.
            {control: trained_study(fixtures, other, other) for control, other in (companions or {}).items()},
            rerun=rerun,
            memory=memory,
        )

    return LazySubject(name, about, make, scale, group, rerun, memory=memory)
