"""Put a run's verdict table between the marks of a text, such as this project's README.

pytest invariants -m claim --ace-report report
python -m ace.report.readme report/verdicts.md README.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ace.errors import InputError
from ace.files import write_atomic

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def with_table(text: str, verdicts: str) -> str:
    """The text with the table of `verdicts`, as `ace.report.table.markdown` made it, and its tally between the marks.

    Raises:
        InputError: a text without both marks, once and in order, or verdicts without a table.
    """
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed) or BEGIN in rest or END in before + after:
        raise InputError(f"text: expected {BEGIN} and, after it, {END}, each once")
    kept = [line for line in verdicts.splitlines() if line and not line.startswith("- ")]
    rows = [line for line in kept if line.startswith("|")]
    if len(rows) < 3:
        raise InputError(f"verdicts: expected a table with a row, got {len(rows)} of its lines")
    notes = [f"{line.replace('verdicts:', 'Verdicts:')}." for line in kept if not line.startswith("|")]
    return "\n".join([before + BEGIN, *rows, "", *notes, END + after])


def main(arguments: Sequence[str]) -> int:
    """Command line: the file of verdicts, then the file whose table is replaced."""
    if len(arguments) != 2:
        sys.stderr.write("expected: python -m ace.report.readme verdicts.md README.md\n")
        return 2
    verdicts, target = map(Path, arguments)
    try:
        text = with_table(target.read_text(encoding="utf-8"), verdicts.read_text(encoding="utf-8"))
    except (InputError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_atomic(target, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
