"""Files written whole or not at all, and artifacts: tensors with a JSON record that names them by their digest."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1  # of an artifact's record
CUT_OFF = ".????????.tmp"  # ends the names of temporary files and folders, as a pattern


def default_cache() -> Path:
    """Folder for what is trained, downloaded or converted on this machine: `ace-invariants` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ace-invariants"


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader, or a crash, sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def remove_cut_off(path: Path) -> None:
    """Remove what a killed process left of a file or folder it was to put at `path`, under a name for the time being.

    Only where no other process writes there now.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}{CUT_OFF}"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the lock of a file that several calls would write to, `<path>.lock`, which stays; its folder is made.

    Args:
        work: what another call that holds the lock would be, in the words of the message.

    Raises:
        ArtifactError: another process holds the lock, or no file can be made there.
    """
    from filelock import FileLock, Timeout

    place = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened here first: where no file can be made, the lock says no more than that it was not to be had.
        os.close(os.open(place, os.O_RDWR | os.O_CREAT, 0o644))
    except OSError as error:
        raise ArtifactError(f"{path}: expected a place where files can be made: {error}") from error
    lock = FileLock(place, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ArtifactError(f"{path}: expected no other {work} at work on it, got one that holds its lock") from error
    except OSError as error:
        raise ArtifactError(f"{path}: expected a place where files can be locked: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, document: Mapping[str, Any], *, allow_nan: bool = True) -> None:
    """Write a JSON document atomically, indented, with a line end.

    Args:
        allow_nan: whether numbers that are not finite are written as NaN and Infinity, which is not strict JSON.

    Raises:
        ValueError: such a number with `allow_nan=False`; nothing is written then.
    """
    write_atomic(path, (json.dumps(document, indent=1, allow_nan=allow_nan) + "\n").encode())


def read_json(path: Path, schema: int) -> dict[str, Any]:
    """Read a JSON document with an entry `schema`.

    Raises:
        ArtifactError: missing, not JSON, not an object, or of another schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or a number without end
        raise ArtifactError(f"{path}: expected a readable JSON document: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path}: expected a document of schema {schema}, got {type(document).__name__}")
    if type(document.get("schema")) is not int or document["schema"] != schema:
        raise ArtifactError(f"{path}: expected a document of schema {schema}, got schema {document.get('schema')!r}")
    return document


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_artifact(record: Path, tensors: Mapping[str, Tensor], provenance: Mapping[str, Any]) -> None:
    """Store tensors and their provenance as `<stem>.<digest>.safetensors` and `<stem>.json`.

    The weights' file name carries its own digest and the JSON names it, so replacing the JSON, one rename, switches
    from the old pair to the new one. Weights that no JSON names any more, and what killed processes left half
    written, are removed last: an artifact has one writer at a time.
    """
    from safetensors.torch import save

    content = save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    weights = record.with_name(f"{record.stem}.{digest[:8]}.safetensors")
    write_atomic(weights, content)
    write_json(record, {"schema": SCHEMA, **provenance, "weights": {"file": weights.name, "sha256": digest}})
    _remove_beside(record, kept=weights)


def read_provenance(record: Path) -> dict[str, Any]:
    """The JSON record of an artifact.

    Raises:
        ArtifactError: missing, not JSON, another schema, or without the weights' name and digest.
    """
    document = read_json(record, SCHEMA)
    named = document.get("weights")
    entries = [named.get(key) for key in ("file", "sha256")] if isinstance(named, dict) else [None]
    if not all(isinstance(entry, str) and Path(entry).name for entry in entries):
        raise ArtifactError(f"{record}: expected an entry `weights` with `file` and `sha256`, got {named!r}")
    return document


def load_artifact(record: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and provenance of an artifact, verified against the digest.

    The weights are read beside their record, whatever folder it names.

    Raises:
        ArtifactError: missing, truncated, corrupt or foreign weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    document = read_provenance(record)
    weights = record.with_name(Path(document["weights"]["file"]).name)
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{weights}: expected the weights that {record.name} names: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != document["weights"]["sha256"]:
        raise ArtifactError(
            f"{weights}: corrupt or truncated: expected SHA-256 {document['weights']['sha256'][:12]},"
            f" got {digest[:12]}; restore the file or train it anew with --ace-retrain"
        )
    try:
        return load(content), document
    except SafetensorError as error:
        raise ArtifactError(f"{weights}: expected a safetensors file: {error}") from error


def remove_artifact(record: Path) -> None:
    """Remove an artifact's weights, half written ones too, and its record; what is not there is no error.

    The record goes last: as long as it is there, who finds it knows that there is something to remove.
    """
    _remove_beside(record)
    record.unlink(missing_ok=True)


def _remove_beside(record: Path, kept: Path | None = None) -> None:
    """Remove files of weights that belong to a record, named or not, but `kept`, and what of both was cut off."""
    weights = f"{glob.escape(record.stem)}.????????.safetensors"
    for pattern in (weights, f".{weights}{CUT_OFF}"):
        for stale in record.parent.glob(pattern):
            if stale != kept:
                stale.unlink(missing_ok=True)
    remove_cut_off(record)
