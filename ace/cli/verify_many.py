"""`ace verify --models FILE`: many models, or the checkpoints of a training, each in a process of its own.

What came of a model is stored as soon as it is there, in the folder `<record>.parts`; called again with the same words,
only what is missing is verified. Models that can be compared are then loaded once more, together, for the claims about
several models. At the end everything is one record.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ace.engine import Engine
from ace.errors import ArtifactError, InputError
from ace.files import write_json

SCHEMA = 1
FAMILY = "models together"
SHOWN = 30  # lines of pytest's that are shown of a run that gave no record


@dataclass(frozen=True)
class Job:
    """One run of pytest: its name, what is given with --ace-model, and all other words."""

    name: str
    models: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """16 hexadecimal digits of what the outcome depends on."""
        return hashlib.sha256(json.dumps([self.models, self.words]).encode()).hexdigest()[:16]


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
        words: for pytest, the same for every model.

    Returns:
        the largest exit code of all; 0 where every model came out as documented.

    Raises:
        InputError: an engine that is not there.
        ArtifactError: a part that cannot be read, or a model whose run gave no record.
    """
    folder = record.with_name(f"{record.name}.parts")
    jobs = [Job(name, (name,), tuple(words)) for name in models]
    if len(models) > 1:
        jobs.append(Job(FAMILY, tuple(models), (*words, "-k", family_claims())))
    parts = {job: found for job in jobs if (found := _stored(folder, job)) is not None}
    with engine.open() as workers, tqdm(total=len(jobs), initial=len(parts), unit="model") as bar:
        alone = [job for job in jobs if job.name != FAMILY]
        for wave in (alone, [job for job in jobs if job.name == FAMILY]):
            for job, part in workers.results(_run, [job for job in wave if job not in parts]):
                if "document" in part:
                    write_json(_place(folder, job), {"schema": SCHEMA, **part})
                parts[job] = part
                bar.update()
    silent = {job.name: part for job, part in parts.items() if "document" not in part}
    for name, part in silent.items():
        sys.stderr.write(f"{name}: no verdicts, exit code {part['code']}\n{part['said']}\n")
    documents = [parts[job]["document"] for job in jobs if "document" in parts[job]]
    if documents:
        _write(record, documents)
    if silent:
        raise ArtifactError(f"expected verdicts of {len(jobs)} runs, got none of {', '.join(silent)}")
    return max(part["code"] for part in parts.values())


def family_claims() -> str:
    """What selects, for pytest, the claims about several models."""
    from ace.families.family import registry
    from ace.study.language_subjects import AGREEMENT_FAMILY

    return " or ".join(f"{claim.id}-" for claim in registry().values() if claim.about == AGREEMENT_FAMILY)


def _run(job: Job) -> dict[str, Any]:
    """Exit code, record and last words of one run, here or on a worker elsewhere."""
    with tempfile.TemporaryDirectory(prefix="ace-") as folder:
        written = Path(folder, "verdicts.json")
        words = ["--pyargs", "ace.suite", *(f"--ace-model={name}" for name in job.models), f"--ace-json={written}"]
        command = [sys.executable, "-m", "pytest", *words, *job.words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        part: dict[str, Any] = {"code": done.returncode if done.returncode >= 0 else 128 - done.returncode}
        if written.exists():
            part["document"] = json.loads(written.read_text(encoding="utf-8"))
        else:
            part["said"] = "\n".join((done.stdout + done.stderr).splitlines()[-SHOWN:])
    return part


def _place(folder: Path, job: Job) -> Path:
    return folder / f"{job.key}.json"


def _stored(folder: Path, job: Job) -> dict[str, Any] | None:
    from ace.files import read_json

    place = _place(folder, job)
    return read_json(place, SCHEMA) if place.exists() else None


def _write(record: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    """One record of several: rows in the order of claims and subjects, subjects of all, the first's environment."""
    rows = [row for document in documents for row in document["results"]]
    subjects = {name: found for document in documents for name, found in document.get("subjects", {}).items()}
    whole = {
        **documents[0],
        "subjects": subjects,
        "results": sorted(rows, key=lambda row: (row["claim"], row["subject"])),
    }
    write_json(record, whole, allow_nan=False)
