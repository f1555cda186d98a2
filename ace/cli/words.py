"""What the help texts of all actions share."""

from __future__ import annotations

import argparse
from typing import Any

EXITS = "0 done; 1 an error, whose message is on stderr; 2 a call that cannot be read"


def exit_code(code: int) -> int:
    """A process's exit code; of one that a signal ended 128 and the signal's number."""
    return code if code >= 0 else 128 - code


def with_example(text: str, exits: str = EXITS) -> dict[str, Any]:
    """Settings of a parser whose help ends with an example and the exit codes, printed line by line as they are."""
    return {
        "epilog": f"example:\n  {text}\n\nexit codes: {exits}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
