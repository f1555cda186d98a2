"""Real language models by a short name: where each comes from, in which version, under which licence. Data, no weights.

One TOML a model. A model comes from the hub at a fixed revision, or from packages of the Python package index that
carry its weights as a GGUF file, whole or in parts.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ace.errors import InputError


@dataclass(frozen=True)
class Package:
    """A wheel of the package index that carries a file, or a part of it.

    Attributes:
        name, version: of the package. sha256, size: of its wheel, in bytes.
        file: path within the wheel.
    """

    name: str
    version: str
    sha256: str
    size: int
    file: str


@dataclass(frozen=True)
class GgufSource:
    """Weights as one GGUF file.

    Attributes:
        name: of the file. sha256, size: of the whole file, in bytes.
        packages: what carries it, part by part.
    """

    name: str
    sha256: str
    size: int
    packages: tuple[Package, ...]


@dataclass(frozen=True)
class HubSource:
    """A repository of the hub at one commit.

    Attributes:
        file: that has its weights. sha256, size: of it, in bytes; None where they are not known here, and then what the
            hub gives at that commit is believed.
    """

    name: str
    revision: str
    file: str = "model.safetensors"
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class RealModel:
    """A language model that others trained.

    Attributes:
        name: short name, by which it can be asked for.
        title, licence: of the weights. parameters: how many the model has.
        tried: whether claims were verified on it; if not, only its entry was written.
        source: where it comes from.
    """

    name: str
    title: str
    licence: str
    parameters: int
    tried: bool
    source: GgufSource | HubSource


@cache
def real_models() -> Mapping[str, RealModel]:
    """All real models by name."""
    folder = files("ace.zoo").joinpath("models")
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    return {name: _parse(name, tomllib.loads(texts[name])) for name in sorted(texts)}


def real_model(name: str) -> RealModel:
    """The real model of that name.

    Raises:
        InputError: there is none.
    """
    known = real_models()
    if name not in known:
        raise InputError(f"name: expected one of {', '.join(known)}, got {name!r}")
    return known[name]


def family_name(names: Iterable[str]) -> str:
    """What several models are called together, in whatever order they were asked for.

    Real models come first, from the smallest on, then all others by name: how large they are is not known yet.
    """
    known = real_models()

    def order(name: str) -> tuple[float, str]:
        return (known[name].parameters if name in known else math.inf), name

    return " and ".join(sorted(names, key=order))


def documented_folder() -> AbstractContextManager[Path]:
    """Folder of the verdicts that are documented of real models, in the form of any file of documented verdicts."""
    return as_file(files("ace.zoo").joinpath("documented"))


def _parse(name: str, entry: dict[str, Any]) -> RealModel:
    gguf, hub = entry.pop("gguf", None), entry.pop("hub", None)
    source: GgufSource | HubSource
    if gguf is not None:
        packages = tuple(Package(**package) for package in gguf.pop("package"))
        source = GgufSource(**gguf, packages=packages)
    else:
        source = HubSource(**hub)
    return RealModel(name, **entry, source=source)
