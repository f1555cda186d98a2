"""Outcomes of a sweep in a file to which a line is added for every run that ends: JSON lines below a header.

A line has the versions that its run was trained with, and the processor, on which its steps hang: a sweep may go on
after an upgrade, on machines that differ, and tables of the same settings may be joined by appending lines. Older lines
have no versions, and the header's are theirs; of those that name no processor it is not known.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ace.errors import ArtifactError, RecipeError
from ace.files import remove_cut_off, write_atomic
from ace.training.sweep.recipe import Run, SweepRecipe
from ace.training.sweep.state import TRAINED_BY, Crossing, Outcome, versions

SCHEMA = 1


@dataclass(frozen=True)
class SweepTable:
    """Outcomes of runs, each once.

    Attributes:
        settings: `SweepRecipe.settings` that they were trained with.
        outcomes: in the order in which they ended.
        versions: of torch and ace-invariants, by name, that each run was trained with, as far as they are known.
    """

    settings: dict[str, Any]
    outcomes: tuple[Outcome, ...]
    versions: Mapping[Run, Mapping[str, str]] = field(default_factory=dict)

    def of(self, runs: Iterable[Run]) -> tuple[Outcome, ...]:
        """The outcomes of these runs, as far as they are there, in their order; failed ones too."""
        known = {outcome.run: outcome for outcome in self.outcomes}
        return tuple(known[run] for run in runs if run in known)


def read_table(path: Path) -> SweepTable:
    """A stored table; a last line that a crash cut off is left out.

    Raises:
        ArtifactError: missing, without its header, or with lines that are no outcomes, or a run twice; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: expected a readable table of a sweep: {error}") from error
    whole = lines[:-1]  # what follows the last line's end is nothing, or what was not written to its end
    if not whole:
        raise ArtifactError(f"{path}: expected a table of a sweep, got no whole line")
    header = _parsed(path, 1, whole[0])
    try:
        first = {name: one for name, one in _versions(header).items() if name in TRAINED_BY}
    except TypeError as error:
        raise ArtifactError(f"{path}, line 1: {error}") from error
    if header.get("schema") != SCHEMA or not isinstance(header.get("settings"), dict):
        raise ArtifactError(f"{path}, line 1: expected the header of a sweep of schema {SCHEMA}, got {whole[0][:80]!r}")
    outcomes: dict[Run, Outcome] = {}
    used: dict[Run, Mapping[str, str]] = {}
    for number, line in enumerate(whole[1:], start=2):
        try:
            entries = _parsed(path, number, line)
            outcome, own = _outcome(entries), _versions(entries)
        except (KeyError, TypeError, RecipeError) as error:
            raise ArtifactError(f"{path}, line {number}: expected the outcome of a run: {error!r}") from error
        if outcome.run in outcomes:
            raise ArtifactError(f"{path}, line {number}: expected each run once, got {outcome.run} again")
        outcomes[outcome.run], used[outcome.run] = outcome, own or first
    return SweepTable(header["settings"], tuple(outcomes.values()), used)


def table_of(path: Path, sweep: SweepRecipe) -> SweepTable:
    """The stored table of a sweep.

    Raises:
        ArtifactError: as `read_table`, or a table of other settings.
    """
    table = read_table(path)
    if table.settings != sweep.settings:
        changed = sorted(k for k in sweep.settings if table.settings.get(k) != sweep.settings[k])
        raise ArtifactError(
            f"{path}: expected outcomes of the settings of {sweep.name}, got others of {', '.join(changed)};"
            " give the sweep another file"
        )
    return table


def begin_table(path: Path, sweep: SweepRecipe) -> SweepTable:
    """The table of a sweep to add to: what is stored, or a new one with a header alone.

    A last line that a crash cut off is taken away, so that the next one begins a line.

    Raises:
        ArtifactError: as `table_of`.
    """
    remove_cut_off(path)
    if path.exists():
        table = table_of(path, sweep)
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            write_atomic(path, content[: content.rindex(b"\n") + 1])
        return table
    began_with = {**versions(), "numpy": version("numpy")}
    header = {"schema": SCHEMA, "settings": sweep.settings, "versions": began_with, "began": _now()}
    write_atomic(path, (json.dumps(header) + "\n").encode())
    return SweepTable(sweep.settings, ())


def add_outcomes(
    path: Path, outcomes: Iterable[Outcome], device: str, trained_by: Mapping[str, str], processor: str
) -> None:
    """Add a line for each outcome, on the disk when this returns.

    Args:
        trained_by: versions of packages, by name.
        processor: that they were trained on, or that told a GPU what to do.
    """
    more = {"device": device, "processor": processor, "date": _now(), "versions": dict(trained_by)}
    lines = [json.dumps({**asdict(outcome), **more}) + "\n" for outcome in outcomes]
    if lines:
        with path.open("ab") as file:
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        entries = json.loads(line)
    except ValueError as error:
        raise ArtifactError(f"{path}, line {number}: expected JSON: {error}") from error
    if not isinstance(entries, dict):
        raise ArtifactError(f"{path}, line {number}: expected an object, got {type(entries).__name__}")
    return entries


def _versions(entries: Mapping[str, Any]) -> dict[str, str]:
    found = entries.get("versions", {})
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise TypeError(f"expected versions by name, got {found!r}")
    return found


def _outcome(entries: dict[str, Any]) -> Outcome:
    first, second = (None if entries[key] is None else Crossing(**entries[key]) for key in ("memorised", "generalised"))
    return Outcome(Run(**entries["run"]), first, second, entries["steps"], entries["error"])
