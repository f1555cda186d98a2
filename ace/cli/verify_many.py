"""`ace verify --models FILE`: many models, or the checkpoints of a training, each in a process of its own.

What came of a model is stored as soon as it is there, in the folder `<record>.parts`; called again with the same words,
only what is missing is verified, and what changed since: a folder or file with other content. Models that can be
compared are then loaded once more, together, for the claims about several models. At the end everything is one record.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ace.cli.words import exit_code
from ace.engine import Engine, Failed
from ace.errors import ArtifactError, InputError
from ace.exits import NO_VERDICT
from ace.files import locked, read_json, write_json
from ace.report.record import write_document

SCHEMA = 1
FAMILY = "models together"
ENDED = (0, 1, NO_VERDICT)  # exit codes of runs that went to their end
SHOWN = 30  # lines of pytest's that are shown of a run that gave no record


@dataclass(frozen=True)
class Job:
    """One run of pytest: its name, what is given with --ace-model, and all other words."""

    name: str
    models: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """16 hexadecimal digits of what the outcome depends on, models by size and time of their files."""
        known = [self.models, self.words, [_files(Path(name)) for name in self.models], version("ace-invariants")]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


def _files(place: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of a file, or of those in a folder, by their paths there; none of a hub's name."""
    found = sorted(place.rglob("*")) if place.is_dir() else [place] if place.is_file() else []
    return [
        (path.relative_to(place).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in found
        if path.is_file()
    ]


def read_models(path: Path) -> tuple[str, ...]:
    """Models of a file, one a line; what follows a # is a comment. Paths are taken from here, and made whole.

    Raises:
        InputError: no readable file, no model in it, or one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"models: expected a readable file with a model a line: {error}") from error
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        local = Path(name).expanduser()
        name = str(local.resolve()) if local.exists() else name
        if name in found:
            raise InputError(f"{path}, line {number}: expected each model once, got {name} of line {found[name]} again")
        found[name] = number
    if not found:
        raise InputError(f"{path}: expected a model a line, got none")
    return tuple(found)


def verify_many(models: Sequence[str], words: Sequence[str], record: Path, engine: Engine) -> int:
    """Verify models side by side, go on from what is stored, and write one record.

    Args:
        words: for pytest, the suite's name included, the same for every model.

    Returns:
        the largest exit code of all; 0 where every model came out as documented.

    Raises:
        InputError: an engine that is not there.
        ArtifactError: a part that cannot be read, a record that another call is at work on, or a model whose run gave
            no record.
        EngineError: a cluster that ceases to answer; what is done so far is stored.
    """
    with locked(record, "verification"):
        return _verified(models, words, record, engine)


def _verified(models: Sequence[str], words: Sequence[str], record: Path, engine: Engine) -> int:
    folder = record.with_name(f"{record.name}.parts")
    alone = [Job(name, (name,), tuple(words)) for name in models]
    together = [Job(FAMILY, tuple(models), (*words, "-k", family_claims()))] if len(models) > 1 else []
    jobs = alone + together
    places = {job: folder / f"{job.key}.json" for job in jobs}
    parts = {job: read_json(place, SCHEMA) for job, place in places.items() if place.exists()}
    with engine.open() as workers, tqdm(total=len(jobs), initial=len(parts), unit="model") as bar:
        for wave in (alone, together):
            for job, part in workers.results(_run, [job for job in wave if job not in parts]):
                if isinstance(part, Failed):
                    part = {"code": 1, "said": part.error}
                if "document" in part and part["code"] in ENDED:
                    write_json(places[job], {"schema": SCHEMA, **part})
                parts[job] = part
                bar.update()
    silent = {job.name: part for job, part in parts.items() if "document" not in part}
    for name, part in silent.items():
        sys.stderr.write(f"{name}: no verdicts, exit code {part['code']}\n{part['said']}\n")
    documents = [parts[job]["document"] for job in jobs if "document" in parts[job]]
    if documents:
        write_document(record, _joined(documents))
    if silent:
        raise ArtifactError(f"expected verdicts of {len(jobs)} runs, got none of {', '.join(silent)}")
    # That models of different kinds cannot be compared says nothing against any of them.
    return max(0 if (job.name, part["code"]) == (FAMILY, NO_VERDICT) else part["code"] for job, part in parts.items())


def family_claims() -> str:
    """What selects, for pytest, the claims about several models."""
    from ace.families.family import registry
    from ace.study.language_subjects import AGREEMENT_FAMILY

    return " or ".join(f"{claim.id}-" for claim in registry().values() if claim.about == AGREEMENT_FAMILY)


def _run(job: Job) -> dict[str, Any]:
    """Exit code, record and last words of one run, here or on a worker elsewhere."""
    with tempfile.TemporaryDirectory(prefix="ace-") as folder:
        written = Path(folder, "verdicts.json")
        given = [*(f"--ace-model={name}" for name in job.models), f"--ace-json={written}"]
        command = [sys.executable, "-m", "pytest", *job.words, *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        part: dict[str, Any] = {"code": exit_code(done.returncode)}
        if written.exists():
            part["document"] = json.loads(written.read_text(encoding="utf-8"))
        else:
            part["said"] = "\n".join((done.stdout + done.stderr).splitlines()[-SHOWN:])
    return part


def _joined(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One record of several: rows in the order of claims and subjects, subjects of all, the first's environment."""
    rows = [row for document in documents for row in document["results"]]
    subjects = {name: found for document in documents for name, found in document.get("subjects", {}).items()}
    ordered = sorted(rows, key=lambda row: (row["claim"], row["subject"]))
    return {**documents[0], "subjects": subjects, "results": ordered}
