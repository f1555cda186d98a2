"""The file of documented verdicts, written from a run: `--ace-accept`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ace.errors import ArtifactError
from ace.files import write_atomic
from ace.report.table import number

# The line that an entry begins with, and the comments right above it.
TABLE = re.compile(r"(?:^[ \t]*#.*\n)*^[ \t]*\[\[[ \t]*expected[ \t]*\]\][ \t]*(?:#.*)?$", re.MULTILINE)
TO_EXPLAIN = "to be explained"  # beginning of a reason that nobody has written yet
HEADING = """# Documented verdicts, applied strictly: another verdict than those listed is an error, a better one too.
# Say in each `reason` why it is so.
"""


def accept(path: Path, results: Iterable[Mapping[str, Any]], elsewhere: Collection[tuple[str, str]] = ()) -> list[str]:
    """Make a file document the verdicts of a run, atomically; returns (claim on subject) whose reason is to be written.

    Entries that are right already stay as they stand, with their comments, and so do those of claims and subjects
    that were not measured. A verdict that came out otherwise replaces what was documented, and HOLDS needs no entry.

    Args:
        elsewhere: (claim, subject) of which a file that counts after this one documents other verdicts than HOLDS: so
            that it counts no more, HOLDS has an entry too.

    Raises:
        ArtifactError: the file that is there cannot be read, or its entries cannot be told apart.
        OSError: it cannot be written.
    """
    found = {(result["claim"], result["subject"]): result for result in results}
    needless = {key for key, result in found.items() if result["verdict"] == "HOLDS" and key not in elsewhere}
    opening, entries = blocks(path)
    kept, open_entries = [], dict[str, str]()
    for block in entries:
        kept += _brought_up_to_date(block, found, needless, open_entries)
    for key, result in found.items():
        if key not in needless:
            open_entries[" on ".join(key)] = _entry(result)
    texts = [opening.rstrip("\n"), *(block.strip("\n") for block in (*kept, *open_entries.values()))]
    content = "\n\n".join(text for text in texts if text) + "\n"
    tomllib.loads(content)
    write_atomic(path, content.encode())
    return list(open_entries)


def blocks(path: Path) -> tuple[str, list[str]]:
    """What stands before the first entry, and the text of each entry.

    Raises:
        ArtifactError: the file cannot be read, or its entries cannot be told apart.
    """
    if not path.exists():
        return HEADING, []
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
        starts = [match.start() for match in TABLE.finditer(text)]
        ends = [*starts[1:], len(text)] if starts else []
        found = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        apart = [entry for block in found for entry in tomllib.loads(block).get("expected", [])]
    except (OSError, ValueError) as error:  # of UTF-8 and of TOML
        raise ArtifactError(f"{path}: expected a readable file of documented verdicts: {error}") from error
    # An array that is written in one piece, an empty one too, has no room for further entries.
    in_one_piece = "expected" in document and not found
    if in_one_piece or apart != document.get("expected", []) or len(apart) != len(found):
        raise ArtifactError(f"{path}: expected entries that begin with a line [[expected]], and only there")
    return text[: starts[0]] if starts else text, found


def _brought_up_to_date(
    block: str,
    found: dict[tuple[str, str], Mapping[str, Any]],
    needless: Collection[tuple[str, str]],
    open_entries: dict[str, str],
) -> list[str]:
    """An entry as it is, or for fewer subjects, or not at all; what it documents rightly is taken out of `found`."""
    (entry,) = tomllib.loads(block)["expected"]
    named = entry["subject"] if isinstance(entry["subject"], list) else [entry["subject"]]
    stale = []
    for subject in named:
        result = found.get((entry["claim"], subject))
        if result is None:
            continue
        if result["verdict"] in entry["verdicts"]:
            del found[entry["claim"], subject]
            continue
        stale.append(subject)
        if (entry["claim"], subject) not in needless:
            before = f"before {' or '.join(entry['verdicts'])}, {entry['reason']}"
            open_entries[f"{entry['claim']} on {subject}"] = _entry(result, before)
            del found[entry["claim"], subject]
    if not stale:
        return [block]
    left = [subject for subject in named if subject not in stale]
    return [_rendered({**entry, "subject": left[0] if len(left) == 1 else left})] if left else []


def _entry(result: Mapping[str, Any], before: str = "") -> str:
    """A new entry; its reason says what came out and leaves the why to its reader."""
    told = "; ".join(text for text in (f"{TO_EXPLAIN}: {result['reason']}", before) if text)
    entry = {
        "claim": result["claim"],
        "subject": result["subject"],
        "verdicts": [result["verdict"]],
        "reason": told,
    }
    if result["estimate"] is not None:
        ends = f"[{number(result['low'])}, {number(result['high'])}]"
        entry["figures"] = f"{number(result['estimate'])} {ends}; bound {result['bound_rule']}"
    return _rendered(entry)


def _rendered(entry: Mapping[str, Any]) -> str:
    return "\n".join(["[[expected]]", *(f"{name} = {_value(value)}" for name, value in entry.items())])


def _value(value: Any) -> str:
    """A text, or a list of texts, as TOML: JSON's strings are TOML's, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
