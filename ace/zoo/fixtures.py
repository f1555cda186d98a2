"""The project's trained models as families see them, with the settings of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ace.errors import NotTrained, RecipeError
from ace.extract import Extractor, extract_core
from ace.families.family import families
from ace.study.memory import Memory
from ace.study.subject import LazySubject
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.trainer import TrainedLanguageModel
from ace.training.result import TrainedEnsemble
from ace.training.sweep.recipe import SweepRecipe
from ace.training.sweep.table import SweepTable, table_of
from ace.zoo.obtain import Store
from ace.zoo.recipes import SWEEPS, find_recipe, find_sweep


def default_rerun(subject: str) -> str:
    """How a claim about one of the project's own subjects is verified again."""
    return f'pytest invariants -k "{{claim}}-{subject}"'


@dataclass(frozen=True, eq=False)
class StoredFixtures:
    """`ace.families.family.Fixtures` over a folder of recipes and weights.

    Attributes:
        store: loads or trains.
        extractor: the extraction function that cores come from.
        rerun: subject -> the command that verifies a claim on it again, with `{claim}` in the claim's place.
    """

    store: Store
    extractor: Extractor = extract_core
    rerun: Callable[[str], str] = default_rerun
    _memories: dict[str, Memory] = field(default_factory=dict, repr=False)

    def ensemble(self, recipe: str) -> TrainedEnsemble:
        """The trained models of a recipe, loaded or trained now.

        Raises:
            RecipeError: no such recipe, or one of language models.
            ArtifactError, NotTrained: as `Store.ensemble`.
        """
        wanted = find_recipe(self.store.folder, recipe)
        if isinstance(wanted, LanguageRecipe):
            raise RecipeError(f"recipe: expected one of an ensemble, got {recipe!r}")
        return self.store.ensemble(wanted)

    def language_models(self, recipe: str) -> tuple[LanguageRecipe, tuple[TrainedLanguageModel, ...]]:
        """A recipe of language models, and its trained models, loaded or trained now.

        Raises:
            RecipeError: no such recipe, or one of an ensemble.
            ArtifactError: as `Store.language_models`.
        """
        wanted = find_recipe(self.store.folder, recipe)
        if not isinstance(wanted, LanguageRecipe):
            raise RecipeError(f"recipe: expected one of language models, got {recipe!r}")
        return wanted, self.store.language_models(wanted)

    def sweep(self, name: str) -> tuple[SweepRecipe, SweepTable]:
        """A sweep, and the stored outcomes of its runs.

        Raises:
            RecipeError: no such sweep, or a recipe that cannot be read.
            ArtifactError: outcomes that cannot be read, or of other settings.
            NotTrained: there are none: trainings of minutes to hours that nobody asked for.
        """
        recipe = find_sweep(self.store.folder, name)
        table = self.store.folder / SWEEPS / f"{name}.jsonl"
        if not table.exists():
            raise NotTrained(
                f"{name}: its runs are not trained, and take minutes to hours;"
                f" ace sweep {self.store.folder / SWEEPS / name}.toml trains them"
            )
        return recipe, table_of(table, recipe)

    def memory(self, group: str) -> Memory:
        """What subjects of a group share."""
        return self._memories.setdefault(group, Memory())

    def subjects(self, scale: str | None = None) -> tuple[LazySubject, ...]:
        """The project's own subjects, family by family.

        Args:
            scale: leaves out those that are trained at another scale only.
        """
        made = [subject for family in families() for subject in family.subjects(self)]
        return tuple(subject for subject in made if not (scale and subject.scale) or subject.scale == scale)
