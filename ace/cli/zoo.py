"""`ace zoo`: what can be verified by name: recipes of a folder of fixtures, and real models that others trained."""

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
    from ace.zoo.real_models import RealModel

SUMMARY = "List recipes and real models, train a recipe and store its weights, or download a real model."
LIST, STORE = "ace zoo list", "ace zoo store modadd-paper --until 4000 --device cuda"
OBTAIN = "ace zoo obtain smollm2-135m"
EXAMPLE = f"{LIST}\n  {STORE}\n  {OBTAIN}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the actions."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--fixtures",
        type=Path,
        metavar="DIR",
        help="folder with recipes and weights (default ./fixtures)",
    )
    actions = parser.add_subparsers(dest="zoo_action", required=True, metavar="ACTION")
    actions.add_parser(
        "list",
        parents=[place],
        help="show recipes, real models, and which of them lie on this machine",
        **with_example(LIST),
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
    obtain = actions.add_parser(
        "obtain",
        **with_example(OBTAIN),
        help="download a real model from the package index, verify it, and convert it once into the user's cache",
    )
    obtain.add_argument("name", metavar="NAME", help="of a real model")
    obtain.add_argument("--from", dest="file", type=Path, metavar="FILE", help="its GGUF file, where it lies here")


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """List, train and store, or download; what was written is named on stdout."""
    from ace.errors import InputError

    if chosen.zoo_action == "obtain":
        return _obtain(chosen)
    fixtures = chosen.fixtures or Path("fixtures")
    there = (fixtures / "recipes").is_dir()
    if not there and (chosen.fixtures is not None or chosen.zoo_action == "store"):
        raise InputError(f"--fixtures: expected a folder with recipes, got {fixtures.absolute()}")
    return _list(fixtures if there else None) if chosen.zoo_action == "list" else _store(chosen, fixtures)


def _list(fixtures: Path | None) -> int:
    from ace.files import default_cache
    from ace.zoo.obtain import Store
    from ace.zoo.real_models import real_models
    from ace.zoo.recipes import language_recipes, recipes

    if fixtures is not None:
        store = Store(fixtures, default_cache())
        known: list[Recipe | LanguageRecipe] = [*recipes(fixtures).values(), *language_recipes(fixtures).values()]
        for recipe in known:
            scales = ",".join(getattr(recipe, "scales", ()))
            stored = "stored" if store.is_stored(recipe) else "not stored"
            sys.stdout.write(f"{recipe.name:20} {recipe.address:34} {scales:14} {stored}\n")
    for model in real_models().values():
        sys.stdout.write(f"{model.name:20} {_described(model)}\n")
    return 0


def _described(model: RealModel) -> str:
    from ace.zoo.download import obtained_folder
    from ace.zoo.real_models import GgufSource

    source = model.source
    if isinstance(source, GgufSource):
        size = sum(package.size for package in source.packages)
        place = "obtained" if obtained_folder(model) else f"not obtained ({size / 1e6:.0f} MB)"
    else:
        place = f"from the hub, {source.name}" + ("" if model.tried else "; not run where this was made")
    return f"{model.parameters / 1e6:.0f} million parameters, {model.licence}, {place}"


def _obtain(chosen: argparse.Namespace) -> int:
    from ace.zoo.download import obtain
    from ace.zoo.real_models import real_model

    model = real_model(chosen.name)
    sys.stderr.write(f"{model.title}, licence: {model.licence}\n")
    sys.stdout.write(f"{obtain(model, file=chosen.file)}\n")
    return 0


def _store(chosen: argparse.Namespace, fixtures: Path) -> int:
    from ace.errors import InputError
    from ace.files import default_cache
    from ace.training.language.recipe import LanguageRecipe
    from ace.zoo.obtain import Store
    from ace.zoo.recipes import find_recipe

    wanted = [find_recipe(fixtures, name) for name in chosen.names]
    for recipe in wanted:
        if isinstance(recipe, LanguageRecipe) and (chosen.until, chosen.device) != (None, None):
            raise InputError(f"{recipe.name}: --until and --device are not for language models, which train on the CPU")
    store = Store(fixtures, default_cache(), device=chosen.device or "cpu")
    for recipe in wanted:
        sys.stdout.write(f"{store.keep(recipe, until=chosen.until)}\n")
    return 0
