"""What is known of a claim beforehand: documented verdicts of stored and real models, and records of real models."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ace.errors import InputError

EXPECTED = Path("invariants", "expected.toml")
ENTRIES: Mapping[str, Any] = {"claim": str, "subject": (str, list), "verdicts": list, "reason": str}


def documented_verdicts(path: Path | None) -> list[dict[str, Any]]:
    """Entries of documented verdicts, one a subject: claim, subject, verdicts, reason, figures.

    Those of real models lie in the package.

    Args:
        path: of the file for other models, None for none.

    Raises:
        InputError: a file that cannot be read, or that has something else.
    """
    from ace.zoo.real_models import documented_folder

    with documented_folder() as folder:
        files = [*([] if path is None else [path]), *sorted(folder.glob("*.toml"))]
        return [entry for file in files for entry in _entries(file)]


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("expected", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"expected: {path}: expected a file of documented verdicts: {error}") from error
    for number, table in enumerate(tables if isinstance(tables, list) else [tables], start=1):
        if not isinstance(table, dict) or not all(isinstance(table.get(name), kind) for name, kind in ENTRIES.items()):
            raise InputError(f"expected: {path}: entry {number}: expected {', '.join(ENTRIES)}, got {table!r}")
        subjects = [table["subject"]] if isinstance(table["subject"], str) else table["subject"]
        for subject in subjects:
            yield {
                "claim": table["claim"],
                "subject": subject,
                "verdicts": table["verdicts"],
                "reason": table["reason"],
                "figures": table.get("figures", ""),
            }


def recorded_results(fixtures: Path | None) -> list[dict[str, Any]]:
    """Results in the records of real models that lie with the fixtures: claim, subject, verdict, values, bound.

    Raises:
        ArtifactError: a record that cannot be read.
    """
    from ace.report.record import read_document

    files = [] if fixtures is None else sorted((fixtures / "models").glob("*.json"))
    names = ("claim", "subject", "verdict", "estimate", "low", "high", "bound_rule", "reason")
    every = [entry for file in files for entry in read_document(file)["results"]]
    return [{name: entry.get(name) for name in names} for entry in every]
