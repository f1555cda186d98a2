"""A path that pytest mistakes for a test folder.

pytest looks for its ini file before it knows the options of plugins. In `--ace-model PATH tests` it takes PATH for a
folder of tests, searches it and its parents first, and may end with the settings of another project, or with none.
Documented verdicts, selection and warning filters are then not those of the project, and nothing says so.
`--ace-model=PATH` is one word that begins with a dash, and so no path.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from ace.plugin.options import OPTIONS


def refuse_mistaken_paths(config: pytest.Config, parser: pytest.Parser, arguments: Sequence[str]) -> None:
    """Refuse a path given as a word of its own where pytest reads another project's settings because of it.

    Where it reads none at all, a warning says so: the run measures what was asked for, and misses nothing silently.

    Raises:
        pytest.UsageError: with the option, both ini files and what to write.
    """
    flags = {option.flag for option in OPTIONS}
    mistaken = [(flag, value) for flag, value in pairwise(arguments) if flag in flags and _exists(value)]
    if not mistaken:
        return
    from _pytest.config.findpaths import determine_setup  # private; reached only by those who gave a path so

    known = parser.parse_known_args(arguments)
    _, meant, _, _ = determine_setup(
        inifile=known.inifilename,
        override_ini=known.override_ini,
        args=known.file_or_dir,
        rootdir_cmd_arg=known.rootdir or None,
        invocation_dir=config.invocation_params.dir,
    )
    if meant != config.inipath:
        flag, value = mistaken[0]
        text = (
            f"{flag}: pytest takes {value} for a folder of tests and would read its settings from"
            f" {config.inipath or 'no file'} instead of {meant or 'no file'}; write"
            f" {' '.join(f'{flag}={value}' for flag, value in mistaken)}"
        )
        if config.inipath is not None:
            raise pytest.UsageError(text)
        config.issue_config_time_warning(pytest.PytestConfigWarning(text), stacklevel=2)


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False
