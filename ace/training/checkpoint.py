"""Files of trained weights: safetensors and JSON only, written whole or not at all, verified when read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ace.errors import ArtifactError

SCHEMA = 1


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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_artifact(record: Path, tensors: Mapping[str, Tensor], provenance: Mapping[str, Any]) -> None:
    """Store tensors and their provenance as `<stem>.<digest>.safetensors` and `<stem>.json`.

    The weights' file name carries its own digest and the JSON names it, so replacing the JSON, one rename, switches
    from the old pair to the new one. Weights that no JSON names any more are removed last.
    """
    content = save_safetensors({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    weights = record.with_name(f"{record.stem}.{digest[:8]}.safetensors")
    write_atomic(weights, content)
    document = {"schema": SCHEMA, **provenance, "weights": {"file": weights.name, "sha256": digest}}
    write_atomic(record, (json.dumps(document, indent=1) + "\n").encode())
    for stale in record.parent.glob(f"{record.stem}.????????.safetensors"):
        if stale != weights:
            stale.unlink(missing_ok=True)


def read_provenance(record: Path) -> dict[str, Any]:
    """The provenance JSON of an artifact.

    Raises:
        ArtifactError: missing, not JSON, another schema, or without the weights' name and digest.
    """
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{record}: expected a readable JSON record: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise ArtifactError(f"{record}: expected schema {SCHEMA}, got {found!r}")
    named = document.get("weights")
    entries = [named.get(key) for key in ("file", "sha256")] if isinstance(named, dict) else [None]
    if not all(isinstance(entry, str) and Path(entry).name for entry in entries):
        raise ArtifactError(f"{record}: expected an entry `weights` with `file` and `sha256`, got {named!r}")
    return document


def load_artifact(record: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and provenance of an artifact, verified against the digest.

    Raises:
        ArtifactError: missing, truncated, corrupt or foreign weights.
    """
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
        return load_safetensors(content), document
    except SafetensorError as error:
        raise ArtifactError(f"{weights}: expected a safetensors file: {error}") from error
