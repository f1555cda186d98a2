"""Things that a user names as "package.module:function"; imports nothing heavy itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ace.errors import InputError


def load_attribute(name: str) -> Any:
    """What "package.module:function" names.

    Raises:
        InputError: not of that form, no such module or attribute, or a module that cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # of a module of the user's own
        kind = "" if isinstance(error, ImportError | AttributeError | ValueError) else f"{type(error).__name__}: "
        raise InputError(f"expected package.module:function, got {name!r}: {kind}{error}") from error
