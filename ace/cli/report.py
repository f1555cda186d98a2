"""`ace report`: page, tables and figures from a stored record, without any model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

SUMMARY = "Write the page, the tables and the figures of a stored record of verdicts."
EXAMPLE = """ace report results.json report
  ace report report/results.json report --into docs/verdicts.md"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the action."""
    parser.add_argument("results", type=Path, help="a record that --json or --report of a run wrote")
    parser.add_argument("folder", type=Path, help="folder to write; may be the one where the record lies")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="put the table between the marks of this text, too: see ace.report.readme",
    )


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Read the record, write the folder; the paths written go to stdout."""
    from ace.report.folder import write_report
    from ace.report.readme import replace_table
    from ace.report.record import SHOWN, read_document

    document = read_document(chosen.results, SHOWN)
    for path in write_report(chosen.folder, document):
        sys.stdout.write(f"{path}\n")
    if chosen.into is not None:
        replace_table(chosen.into, document["results"])
        sys.stdout.write(f"{chosen.into}\n")
    return 0
