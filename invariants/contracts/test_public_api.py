"""The short list of public names: complete, importable, and free until used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import ace


@pytest.mark.parametrize("name", ace.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(ace, name) is getattr(importlib.import_module(f"ace.{ace._HOME[name]}"), name)


def test_public_names_are_no_modules_whichever_was_imported_first() -> None:
    code = "import ace.extract, ace.verify, ace.model.intervene; from ace import *; print(extract_core, verify_claim)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_importing_ace_loads_no_heavy_package() -> None:
    code = (
        "import ace, ace.plugin, sys; print([n for n in ('torch', 'scipy', 'numpy', 'matplotlib') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = ace.nothing_of_the_kind
