"""Cores in files: one safetensors file whose metadata hold one JSON document. Written whole or not at all, sealed by a
digest over the document and every array, and read back to the bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ace.core_arrays import ARRAYS, array_fault, dual_fault
from ace.errors import ArtifactError, InputError
from ace.files import write_atomic
from ace.rank import RankChoice

SCHEMA = 1
ENTRY = "ace.core"
USE = "use"  # optional entry of the document
PROVENANCE: Mapping[str, type] = {"samples": int, "site": str, "task": str, "split": str}


def write_core(
    path: Path,
    arrays: Mapping[str, Tensor],
    rank: RankChoice,
    provenance: Mapping[str, Any],
    use: Mapping[str, Any] | None = None,
) -> None:
    """Write arrays, rank choice and provenance (`samples`, `site`, `task`, `split`).

    Args:
        use: plain values that whoever edits a model with the core needs beside it; sealed with the rest.

    Raises:
        InputError: they would not be read back, because they make no core.
        ArtifactError: the file cannot be written.
    """
    fault = array_fault(arrays) or dual_fault(arrays) or _provenance_fault(provenance)
    if fault:
        raise InputError(f"core: {fault}")
    copies = {name: array.detach().cpu().clone(memory_format=torch.contiguous_format) for name, array in arrays.items()}
    chosen = {"value": rank.value, "rule": rank.rule, "evidence": {k: float(v) for k, v in rank.evidence.items()}}
    document: dict[str, Any] = {"schema": SCHEMA, "rank": chosen, **provenance}
    if use is not None:
        document[USE] = dict(use)
    document["sha256"] = _digest(document, copies)
    try:
        write_atomic(path, save_safetensors(copies, metadata={ENTRY: json.dumps(document)}))
    except OSError as error:
        raise ArtifactError(f"{path}: expected a place to write a core to: {error}") from error


def read_core(path: Path) -> tuple[dict[str, Any], RankChoice, dict[str, Any]]:
    """Arrays, rank choice and provenance that `write_core` wrote, checked.

    Raises:
        ArtifactError: no such file, or one that is truncated, corrupt, foreign, of another schema, or no core.
    """
    try:
        content = path.read_bytes()
        arrays = load_safetensors(content)
    except OSError as error:
        raise ArtifactError(f"{path}: expected a saved core: {error}") from error
    except SafetensorError as error:
        raise ArtifactError(f"{path}: expected a whole safetensors file: {error}") from error
    document = _document(path, content)
    if document.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: expected schema {SCHEMA}, got {document.get('schema')!r}")
    if document.pop("sha256", None) != _digest(document, arrays):
        raise ArtifactError(f"{path}: corrupt: expected the SHA-256 that it was saved with, got another")
    if set(arrays) - {"sigma"} != set(ARRAYS):
        raise ArtifactError(f"{path}: expected arrays {', '.join(ARRAYS)} and perhaps sigma, got {sorted(arrays)}")
    fault = array_fault(arrays) or dual_fault(arrays) or _provenance_fault(document)
    if fault:
        raise ArtifactError(f"{path}: {fault}")
    return arrays, _rank(path, document.get("rank")), {name: document[name] for name in PROVENANCE}


def read_use(path: Path) -> dict[str, Any] | None:
    """What was written as `use` with a core, or None. Whether the file is whole and unchanged `read_core` says.

    Raises:
        ArtifactError: no file that holds a core.
    """
    try:
        content = path.read_bytes()
        load_safetensors(content)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: expected a saved core: {error}") from error
    use = _document(path, content).get(USE)
    return use if isinstance(use, dict) else None


def _document(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON document of a safetensors file that is known to be whole: 8 bytes of length, then the header."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    text = header.get("__metadata__", {}).get(ENTRY)
    try:
        document = json.loads(text) if text is not None else None
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path}: expected JSON in the entry {ENTRY}: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path}: expected a saved core, got a safetensors file without a document {ENTRY}")
    return document


def _provenance_fault(entries: Mapping[str, Any]) -> str | None:
    for name, kind in PROVENANCE.items():
        if type(entries.get(name)) is not kind:
            return f"expected {name} as {kind.__name__}, got {entries.get(name)!r}"
    return None


def _rank(path: Path, entry: object) -> RankChoice:
    if isinstance(entry, dict) and set(entry) == {"value", "rule", "evidence"}:
        value, rule, evidence = entry["value"], entry["rule"], entry["evidence"]
        numbers = isinstance(evidence, dict) and all(type(number) in (int, float) for number in evidence.values())
        if (value is None or type(value) is int) and isinstance(rule, str) and numbers:
            return RankChoice(value, rule, evidence)
    raise ArtifactError(f"{path}: expected a rank with value, rule and evidence, got {entry!r}")


def _digest(document: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> str:
    seal = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(arrays):
        seal.update(f"{name} {arrays[name].dtype} {tuple(arrays[name].shape)}".encode())
        seal.update(arrays[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return seal.hexdigest()
