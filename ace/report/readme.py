"""The verdict table between the marks of a text, such as a README: `ace report RECORD FOLDER --into TEXT`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ace.errors import InputError
from ace.files import write_atomic
from ace.report.table import Result, markdown

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def with_table(text: str, results: Sequence[Result]) -> str:
    """The text with the table of the results and its tally between the marks.

    Raises:
        InputError: a text without both marks, once and in order, or no results.
    """
    before, opening, rest = text.partition(BEGIN)
    _, closing, after = rest.partition(END)
    if not (opening and closing) or BEGIN in rest or END in before + after:
        raise InputError(f"text: expected {BEGIN} and, after it, {END}, each once")
    if not results:
        raise InputError("results: expected at least one, got none")
    kept = [line for line in markdown(results).splitlines() if line and not line.startswith("- ")]
    rows = [line for line in kept if line.startswith("|")]
    notes = [f"{line.replace('verdicts:', 'Verdicts:')}." for line in kept if not line.startswith("|")]
    return "\n".join([before + BEGIN, *rows, "", *notes, END + after])


def replace_table(path: Path, results: Sequence[Result]) -> None:
    """Put the table of the results between the marks of a file, which is replaced whole or stays as it is.

    Raises:
        InputError: as `with_table`, or a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"text: expected a readable file, got {path}: {error}") from error
    write_atomic(path, with_table(text, results).encode())
