"""Rows of files of minimal pairs: JSON lines or CSV, with the columns of BLiMP's one-prefix form or of one's own.

Every error names the file and the line. Columns of other names are ignored, and which they were is kept.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ace.errors import InputError
from ace.tasks.agreement import NUMBERS
from ace.tasks.verb_forms import told_number

BLIMP = ("one_prefix_prefix", "one_prefix_word_good", "one_prefix_word_bad")
OWN = ("prompt", "good", "bad", "label")
HEAD = "head"  # optional in a file of one's own


@dataclass(frozen=True)
class Row:
    """A row as it stands in the file.

    Attributes:
        where: name of the file and number of the line.
        prompt, good, bad: as in the file, without spaces around them.
        label: name of its class; None where it goes by the words, which do not tell the number.
        number: that the words tell, 0 or 1; None where they tell none.
        head: as the file names it, or None.
        ignored: names of columns that are not read.
    """

    where: str
    prompt: str
    good: str
    bad: str
    label: str | None
    number: int | None
    head: str | None
    ignored: tuple[str, ...]


def read_rows(path: Path | str) -> list[Row]:
    """All rows of a .jsonl or .csv file.

    Raises:
        InputError: no such file, another kind, not UTF-8, or (naming the line) broken JSON or CSV, missing columns,
            empty or equal continuations, no label, or a label singular or plural that the words contradict.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"path: expected a path or its text, got {type(path).__name__}")
    path = Path(path)
    return [_row(f"{path.name}, line {line}", entries) for line, entries in _entries(path)]


def _entries(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows with the number of their line."""
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"path: expected a .jsonl or .csv file, got {path.name!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # other bytes than UTF-8, or a path with a NUL
        raise InputError(f"path: expected a readable file at {str(path)!r}: {error}") from error
    yield from _comma_separated(path.name, text) if path.suffix == ".csv" else _json_lines(path.name, text)


def _comma_separated(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{name}, line {reader.line_num}: expected comma-separated values, with every quote closed: {error}"
            ) from error
        if None in row:
            raise InputError(f"{name}, line {reader.line_num}: expected no more cells than columns, got {row[None]}")
        yield reader.line_num, row


def _json_lines(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            try:
                entries = json.loads(content)
            except (ValueError, RecursionError) as error:  # beside broken JSON: a number too long, nested too deeply
                raise InputError(f"{name}, line {line}: expected JSON: {error}") from error
            if not isinstance(entries, dict):
                raise InputError(f"{name}, line {line}: expected an object, got {type(entries).__name__}")
            yield line, entries


def _row(where: str, entries: Mapping[str, Any]) -> Row:
    blimp = set(entries) >= set(BLIMP)
    if not blimp and not set(OWN) <= set(entries):
        missing = [name for name in OWN if name not in entries]
        raise InputError(
            f"{where}: expected columns {', '.join(OWN)} and perhaps {HEAD}, or {', '.join(BLIMP)},"
            f" got {', '.join(entries)}: no {', '.join(missing)}"
        )
    read = BLIMP if blimp else (*OWN, HEAD)
    prompt, good, bad = (_text(where, name, entries[name]) for name in read[:3])
    if good == bad:
        raise InputError(f"{where}: expected different continuations, got {good!r} twice")
    number = told_number(good, bad)
    told = None if number is None else NUMBERS[number]
    label = told if blimp else _label(where, entries["label"])
    if label in NUMBERS and told not in (None, label):
        raise InputError(f"{where}: expected label {told}, as {good!r} is right and {bad!r} wrong, got {label}")
    head = None if blimp or HEAD not in entries else _text(where, HEAD, entries[HEAD])
    return Row(where, prompt, good, bad, label, number, head, tuple(name for name in entries if name not in read))


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected {name} to be a text that is not empty, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: expected {name} to be a text, got half a surrogate pair: {value!r}") from error
    return value.strip()


def _label(where: str, value: object) -> str:
    name = str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name:
        raise InputError(f"{where}: expected label to be a name or a number, got {value!r}")
    return name
