"""`ace zoo`: the recipes of a folder of fixtures, and the training that stores their weights there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ace.cli.words import with_example

if TYPE_CHECKING:
    from ace.training.language.recipe import LanguageRecipe
    from ace.training.recipe import Recipe

SUMMARY = "List recipes of trained models, or train one and store its weights."
LIST, STORE = "ace zoo list", "ace zoo store modadd-paper --until 4000 --device cuda"
EXAMPLE = f"{LIST}\n  {STORE}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of both actions."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--fixtures",
        type=Path,
        default=Path("fixtures"),
        metavar="DIR",
        help="folder with recipes and weights (default ./fixtures)",
    )
    actions = parser.add_subparsers(dest="zoo_action", required=True, metavar="ACTION")
    actions.add_parser(
        "list", parents=[place], help="show recipes and whether their weights are stored", **with_example(LIST)
    )
    store = actions.add_parser(
        "store",
        parents=[place],
        **with_example(STORE),
        help="train a recipe and keep its weights with the fixtures, in place of those it had; goes on from where an"
        " interrupted call left off",
    )
    store.add_argument("names", nargs="+", metavar="NAME", help="of a recipe")
    store.add_argument("--until", type=int, help="last epoch trained; the recipe's by default")
    store.add_argument("--device", help="cpu (default) or a CUDA device")


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """List, or train and store; what was written is named on stdout."""
    from ace.errors import InputError

    if not (chosen.fixtures / "recipes").is_dir():
        raise InputError(f"--fixtures: expected a folder with recipes, got {chosen.fixtures.absolute()}")
    return _list(chosen.fixtures) if chosen.zoo_action == "list" else _store(chosen)


def _list(fixtures: Path) -> int:
    from ace.zoo.obtain import Store, default_cache
    from ace.zoo.recipes import language_recipes, recipes

    store = Store(fixtures, default_cache())
    known: list[Recipe | LanguageRecipe] = [*recipes(fixtures).values(), *language_recipes(fixtures).values()]
    for recipe in known:
        scales = ",".join(getattr(recipe, "scales", ()))
        stored = "stored" if store.is_stored(recipe) else "not stored"
        sys.stdout.write(f"{recipe.name:20} {recipe.address:34} {scales:14} {stored}\n")
    return 0


def _store(chosen: argparse.Namespace) -> int:
    from ace.errors import InputError
    from ace.training.language.recipe import LanguageRecipe
    from ace.zoo.obtain import Store, default_cache
    from ace.zoo.recipes import find_recipe

    wanted = [find_recipe(chosen.fixtures, name) for name in chosen.names]
    for recipe in wanted:
        if isinstance(recipe, LanguageRecipe) and (chosen.until, chosen.device) != (None, None):
            raise InputError(f"{recipe.name}: --until and --device are not for language models, which train on the CPU")
    store = Store(chosen.fixtures, default_cache(), device=chosen.device or "cpu")
    for recipe in wanted:
        sys.stdout.write(f"{store.keep(recipe, until=chosen.until)}\n")
    return 0
