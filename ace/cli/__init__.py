"""The command `ace`, also `python -m ace`: one module an action.

Each module has `SUMMARY`, `EXAMPLE`, `add_arguments(parser)` and `run(chosen, rest)`, where `rest` is what the parser
does not know; only with `TAKES_MORE` there may be any. `EXITS` says what its exit codes mean, where they are others
than usual. Results go to stdout, all else to stderr. Only the chosen action's arguments are made, and what it needs
is imported when it runs.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module

from ace.cli.words import EXITS, with_example
from ace.errors import AceError

ACTIONS = ("verify", "explain", "extract", "steer", "sweep", "zoo", "report")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: its words without the command's own name; those of this process by default.

    Returns:
        0 when it went well, 1 for an error, whose message goes to stderr. `ace verify` gives the exit code of pytest.

    Raises:
        SystemExit: with code 2 for a call that cannot be read, with code 0 after --help.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((word for word in words if not word.startswith("-")), "")
    try:
        parser = make_parser(wanted)
    except AceError as error:
        return _failed(error)
    chosen, rest = parser.parse_known_args(words)
    action = import_module(f"ace.cli.{chosen.action}")
    if rest and not getattr(action, "TAKES_MORE", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the terminal cannot show must not cost the text
    try:
        code: int = action.run(chosen, rest)
    except (AceError, OSError) as error:  # OSError: a disk that is full, a folder that cannot be written to
        return _failed(error)
    return code


def make_parser(wanted: str) -> argparse.ArgumentParser:
    """The parser of the command line, with the arguments of one action; of the others it has the names.

    Raises:
        AceError: the action needs what is not installed.
    """
    parser = argparse.ArgumentParser(
        prog="ace",
        description="Algorithmic cores of transformers.",
        allow_abbrev=False,
        **with_example("ace explain agreement.mirror\n  ace ACTION --help    # an example of each action"),
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name in ACTIONS:
        action = import_module(f"ace.cli.{name}")
        text = with_example(action.EXAMPLE, getattr(action, "EXITS", EXITS))
        own = actions.add_parser(name, help=action.SUMMARY, description=action.SUMMARY, **text, allow_abbrev=False)
        if name == wanted:
            action.add_arguments(own)
    return parser


def _failed(error: Exception) -> int:
    sys.stderr.write(f"ace: {error}\n")
    return 1
