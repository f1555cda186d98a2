"""Models in GGUF files: quantised weights are made float32 once, and kept as an ordinary folder of the hub's layout.

De-quantising takes most of a minute for a few hundred million parameters; the folder loads in a second.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from ace.errors import ArtifactError, InputError, first_line
from ace.files import read_json, remove_cut_off, sha256_of, write_json

SUFFIX = ".gguf"
RECORD = "source.json"
SCHEMA = 2  # 1 had no digests of the files


def is_gguf(name: str | Path) -> bool:
    """Whether a name is that of a GGUF file."""
    return str(name).lower().endswith(SUFFIX)


def check_gguf(path: Path) -> None:
    """Refuse a GGUF file that is not there, or that nothing here can read.

    Raises:
        ArtifactError: no such file.
        InputError: the package gguf is not installed.
    """
    if not path.is_file():
        raise ArtifactError(f"model: expected a GGUF file at {str(path)!r}, found none")
    if find_spec("gguf") is None:
        raise InputError(
            f"model: expected the package gguf to read {path.name}: pip install 'ace-invariants[language]'"
        )


def conversion_fault(folder: Path, sha256: str, *, thorough: bool = False) -> str | None:
    """What is wrong with a folder that a GGUF file was converted to, or None where it can be used.

    Args:
        sha256: of the GGUF file.
        thorough: read every file, as is done by itself where its size or time of change is another than at writing.
    """
    try:
        document = read_json(folder / RECORD, SCHEMA)
    except ArtifactError as error:
        return str(error)
    if document.get("sha256") != sha256:
        return f"{folder}: expected what was made of a file of SHA-256 {sha256[:12]}, got {document.get('sha256')!r}"
    files = document.get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        return f"{folder / RECORD}: expected files with their digests, got {files!r}"
    try:
        return _changed(folder, files, thorough)
    except OSError as error:
        return f"{folder}: expected files that can be read: {error}"


def _changed(folder: Path, files: Mapping[str, Mapping[str, Any]], thorough: bool) -> str | None:
    there = {path.name for path in folder.iterdir()} - {RECORD}
    if there != set(files):
        return f"{folder}: expected the files that were written, got otherwise {', '.join(sorted(there ^ set(files)))}"
    for name, entry in files.items():
        known, now = entry.get("sha256"), _written(folder / name, thorough=False)
        if now["bytes"] != entry.get("bytes"):
            return f"{folder / name}: expected {entry.get('bytes')} bytes, got {now['bytes']}"
        if (thorough or now["mtime_ns"] != entry.get("mtime_ns")) and sha256_of(folder / name) != known:
            return f"{folder / name}: expected the SHA-256 that it was written with, {str(known)[:12]}, got another"
    return None


def _written(path: Path, *, thorough: bool = True) -> dict[str, Any]:
    """What a file is known by: its size and time of change, and its digest where all of it is read."""
    state = path.stat()
    return {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns} | ({"sha256": sha256_of(path)} if thorough else {})


def converted_gguf(path: Path, cache: Path, *, progress: bool = True, thorough: bool = False) -> Path:
    """Folder with the model and tokenizer of a GGUF file, in float32; made in `cache` where it is not there yet.

    A folder that is there and damaged, or made of another file, is made again.

    Args:
        path: the file.
        cache: folder of such folders; each is named after the file and its content's SHA-256.
        progress: show how far it is.
        thorough: read all files of a folder that is there.

    Raises:
        ArtifactError: no such file, no GGUF of a causal language model that transformers knows, or a cache that
            cannot be written.
        InputError: the package gguf is not installed.
    """
    check_gguf(path)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ArtifactError(f"model: expected a GGUF file that can be read: {error}") from error
    folder = cache / f"{path.stem}-{digest[:12]}"
    if conversion_fault(folder, digest, thorough=thorough) is None:
        return folder
    lock = cache / f"{folder.name}.lock"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if conversion_fault(folder, digest, thorough=thorough) is not None:
                try:
                    _make(folder, path, digest, progress)
                except BaseException:
                    lock.unlink(missing_ok=True)  # while it is held; who waits for it sees that, and makes another
                    raise
    except ArtifactError:  # of the file; it is an OSError too
        raise
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"cache: expected a folder that can be written, got {cache}: {error}") from error
    return folder


def _make(folder: Path, path: Path, digest: str, progress: bool) -> None:
    """Convert a file, and write beside what came of it where it is from and what each file is known by."""
    with _new_folder(folder) as unfinished:
        _convert(path, unfinished, progress)
        made = {"file": path.name, "sha256": digest, "dtype": "float32"}
        files = {one.name: _written(one) for one in sorted(unfinished.iterdir())}
        versions = {name: version(name) for name in ("torch", "transformers", "gguf")}
        write_json(unfinished / RECORD, {"schema": SCHEMA, **made, "files": files, "versions": versions})


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name when the body has ended; a body that fails leaves nothing.

    What a process that was killed left of the same folder is removed: there is one writer at a time.
    """
    remove_cut_off(folder)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        yield unfinished
        if folder.exists():  # damaged, or made of another file
            shutil.rmtree(folder)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _convert(path: Path, folder: Path, progress: bool) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ace.model.quiet import quiet_transformers

    given: dict[str, Any] = {"gguf_file": path.name}
    try:
        with quiet_transformers(bars=progress):
            model = AutoModelForCausalLM.from_pretrained(str(path.parent), dtype=torch.float32, **given)
            tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **given)
    except Exception as error:  # the reader's errors share no base
        raise ArtifactError(
            f"model: expected a GGUF file of a causal language model, got {path}: {first_line(error)}"
        ) from error
    # The weights are ordinary ones now; as long as the model is marked as quantised, it refuses to be saved.
    setattr(model, "hf_quantizer", None)  # noqa: B010 - a module's attributes are typed as tensors
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
