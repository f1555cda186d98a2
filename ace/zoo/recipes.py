"""The recipes of a folder of fixtures: what can be loaded or trained, by name."""

from __future__ import annotations

from pathlib import Path

from ace.errors import RecipeError
from ace.training.language.recipe import LanguageRecipe, read_language_recipe
from ace.training.recipe import Recipe, read_recipe
from ace.training.sweep.recipe import SweepRecipe, read_sweep

SWEEPS = "sweeps"  # in the folder of fixtures


def recipes(folder: Path) -> dict[str, Recipe]:
    """Recipes of ensembles in `folder`/recipes by name.

    Raises:
        RecipeError: a recipe file that cannot be read.
    """
    return {path.stem: read_recipe(path) for path in sorted((folder / "recipes").glob("*.toml"))}


def language_recipes(folder: Path) -> dict[str, LanguageRecipe]:
    """Recipes of language models in `folder`/recipes/language by name.

    Raises:
        RecipeError: a recipe file that cannot be read.
    """
    return {path.stem: read_language_recipe(path) for path in sorted((folder / "recipes" / "language").glob("*.toml"))}


def sweeps(folder: Path) -> dict[str, SweepRecipe]:
    """Sweeps in `folder`/sweeps by name.

    Raises:
        RecipeError: a recipe file that cannot be read.
    """
    return {path.stem: read_sweep(path) for path in sorted((folder / SWEEPS).glob("*.toml"))}


def find_sweep(folder: Path, name: str) -> SweepRecipe:
    """The sweep of that name.

    Raises:
        RecipeError: there is none, or a recipe file that cannot be read.
    """
    known = sweeps(folder)
    if name not in known:
        raise RecipeError(f"sweep: expected one of {', '.join(known) or 'none'} in {folder}, got {name!r}")
    return known[name]


def find_recipe(folder: Path, name: str) -> Recipe | LanguageRecipe:
    """The recipe of that name, of either kind.

    Raises:
        RecipeError: there is none, or a recipe file that cannot be read.
    """
    known: dict[str, Recipe | LanguageRecipe] = {**recipes(folder), **language_recipes(folder)}
    if name not in known:
        raise RecipeError(f"recipe: expected one of {', '.join(known) or 'none'} in {folder}, got {name!r}")
    return known[name]
