"""The project's ini file, where pytest itself may miss it.

pytest looks for its ini file before it knows the options of plugins. In `--ace-model PATH tests` it takes PATH for a
folder of tests, searches it and its parents first, and may end with the settings of another project, or with none. That
cannot be changed any more once a plugin is loaded. This plugin's own settings, documented verdicts above all, are
therefore read from the file that was meant. `--ace-model=PATH` is one word that begins with a dash, and so no path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Settings:
    """This plugin's settings, and where they come from.

    Attributes:
        folder: of the ini file; paths are relative to it.
        values: setting -> text; "" where it is not set.
        note: for the run's header, where pytest reads another file than the one that was meant.
    """

    folder: Path
    values: Mapping[str, str]
    note: str = ""


SETTINGS = pytest.StashKey[Settings]()
NAMES = {
    "ace_expected": "file of documented verdicts, relative to the ini file",
    "ace_fixtures": "folder of the project's recipes and weights, relative to the ini file",
}


def add_settings(parser: pytest.Parser) -> None:
    """Add the settings to pytest's ini file."""
    for name, text in NAMES.items():
        parser.addini(name, text, default="")


def settings(config: pytest.Config) -> Settings:
    """The settings of the file that was meant: pytest's own, unless a path misled it."""
    found = config.stash.get(SETTINGS, None)
    if found is not None:
        return found
    folder = config.inipath.parent if config.inipath else config.rootpath
    return Settings(folder, {name: config.getini(name) for name in NAMES})


def find_settings(
    config: pytest.Config, parser: pytest.Parser, arguments: Sequence[str], options: Sequence[str]
) -> None:
    """Look for the ini file once more, with the options known, where a path may have misled pytest.

    Args:
        arguments: the words of the command line.
        options: names of this plugin's options that take a value.
    """
    paths = [f"{name}={value}" for name, value in pairwise(arguments) if name in options and _exists(value)]
    if not paths:
        return
    from _pytest.config.findpaths import determine_setup  # private; reached only by those who gave a path so

    known = parser.parse_known_args(arguments)
    folder, path, entries, _ = determine_setup(
        inifile=known.inifilename,
        override_ini=known.override_ini,
        args=known.file_or_dir,
        rootdir_cmd_arg=known.rootdir or None,
        invocation_dir=config.invocation_params.dir,
    )
    if path != config.inipath:
        values = {name: str(entries[name].value) if name in entries else "" for name in NAMES}
        note = f"settings of {path or 'no file'}, but pytest's own from {config.inipath or 'no file'},"
        note += f" for it takes a path that stands alone for tests; write {' '.join(paths)}"
        config.stash[SETTINGS] = Settings(path.parent if path else folder, values, note)


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False
