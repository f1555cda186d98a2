"""What all actions share: help texts, exit codes, and JSON on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

EXITS = "0 done; 1 an error, whose message is on stderr; 2 a call that cannot be read"


def exit_code(code: int) -> int:
    """A process's exit code; of one that a signal ended 128 and the signal's number."""
    return code if code >= 0 else 128 - code


def write_json(document: object) -> None:
    """Write plain values to stdout as JSON, in ASCII: whatever stdout can show, nothing is lost."""
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")


def with_example(text: str, exits: str = EXITS) -> dict[str, Any]:
    """Settings of a parser whose help ends with an example and the exit codes, printed line by line as they are."""
    return {
        "epilog": f"example:\n  {text}\n\nexit codes: {exits}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
