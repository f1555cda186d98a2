"""The short list of public names: complete, importable, and free until used."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ace


@pytest.mark.parametrize("name", ace.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(ace, name) is getattr(importlib.import_module(f"ace.{ace._HOME[name]}"), name)


# What functions give and nobody makes by hand; their parts need no public name.
RESULTS = ("Core", "LanguageModel", "RunHistory", "Verdict")


def named_classes(hint: Any) -> Iterator[type]:
    """Every class that a type hint names."""
    if isinstance(hint, list | tuple):
        for part in hint:
            yield from named_classes(part)
    elif typing.get_origin(hint) is not None:
        yield from named_classes((typing.get_origin(hint), *typing.get_args(hint)))
    elif isinstance(hint, type):
        yield hint


@pytest.mark.parametrize("name", [name for name in ace.__all__ if name not in RESULTS])
def test_what_a_public_function_or_class_is_given_is_public(name: str) -> None:
    member = getattr(ace, name)
    function = vars(member).get("__init__") if inspect.isclass(member) else member
    if not inspect.isfunction(function):
        return
    known = {other: getattr(ace, other) for other in ace.__all__}
    hints = typing.get_type_hints(function, localns=known)
    given = {kind for part, hint in hints.items() if part != "return" for kind in named_classes(hint)}
    ours = {kind for kind in given if kind.__module__.startswith("ace.")}
    assert {kind for kind in ours if known.get(kind.__name__) is not kind} == set()


def examples() -> list[str]:
    """The Python of the pages."""
    pages = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
    return [code for page in pages for code in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)]


@pytest.mark.parametrize("code", examples())
def test_the_pages_examples_need_nothing_of_ours_but_public_names(code: str) -> None:
    tree = ast.parse(code)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not any(isinstance(node, ast.ImportFrom) and (node.module or "")[:3] == "ace" for node in ast.walk(tree))
    assert not any(name.startswith("ace.") for name in imported)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ace"
    }
    assert used <= set(ace.__all__)


def test_public_names_are_no_modules_whichever_was_imported_first() -> None:
    code = "import ace.extract, ace.verify, ace.model.intervene; from ace import *; print(extract_core, verify_claim)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_importing_ace_loads_no_heavy_package() -> None:
    code = (
        "import ace, ace.plugin, sys; print([n for n in ('torch', 'scipy', 'numpy', 'matplotlib') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_records_are_read_without_torch() -> None:
    """What tells what a record says is not kept waiting for what measured it."""
    code = "import ace.report.record, invariants.bench.compared, sys; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert found.stdout.strip() == "False"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = ace.nothing_of_the_kind


COMPARED = {"Estimate"}  # those that are exact have no replicates, and are equal where their figures are


def records_of_arrays() -> Iterator[str]:
    """Dataclasses of the library with fields that are arrays or tensors, and with `==` field by field."""
    for path in sorted(Path(ace.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            marks = [ast.unparse(mark) for mark in getattr(node, "decorator_list", [])]
            if isinstance(node, ast.ClassDef) and any(m.startswith("dataclass") and "eq=False" not in m for m in marks):
                hints = [ast.unparse(part.annotation) for part in node.body if isinstance(part, ast.AnnAssign)]
                if any(re.search(r"\b(Array|Ints|Tensor|ndarray)\b", hint) for hint in hints):
                    yield node.name


def test_records_of_arrays_are_compared_by_identity() -> None:
    """Arrays have no truth value: `==` would raise, before Python 3.13 only where they are not the same object."""
    assert set(records_of_arrays()) == COMPARED
