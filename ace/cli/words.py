"""What the help texts of all actions share."""

from __future__ import annotations

import argparse
from typing import Any


def with_example(text: str) -> dict[str, Any]:
    """Settings of a parser whose help ends with an example, printed line by line as it is."""
    return {"epilog": f"example:\n  {text}", "formatter_class": argparse.RawDescriptionHelpFormatter}
