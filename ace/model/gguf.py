"""Models in GGUF files: quantised weights are made float32 once, and kept as an ordinary folder of the hub's layout.

De-quantising takes most of a minute for a few hundred million parameters; the folder loads in a second.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

from ace.errors import ArtifactError, InputError, first_line
from ace.files import remove_cut_off, sha256_of, write_json

SUFFIX = ".gguf"
RECORD = "source.json"
SCHEMA = 1


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


def converted_gguf(path: Path, cache: Path, *, progress: bool = True) -> Path:
    """Folder with the model and tokenizer of a GGUF file, in float32; made in `cache` where it is not there yet.

    Args:
        path: the file.
        cache: folder of such folders; each is named after the file and its content's SHA-256.
        progress: show how far it is.

    Raises:
        ArtifactError: no such file, no GGUF of a causal language model that transformers knows, or a cache that
            cannot be written.
        InputError: the package gguf is not installed.
    """
    check_gguf(path)
    digest = sha256_of(path)
    folder = cache / f"{path.stem}-{digest[:12]}"
    if (folder / RECORD).exists():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not (folder / RECORD).exists():
                with _new_folder(folder) as unfinished:
                    _convert(path, unfinished, progress)
                    made = {"file": path.name, "sha256": digest, "dtype": "float32"}
                    versions = {name: version(name) for name in ("torch", "transformers", "gguf")}
                    write_json(unfinished / RECORD, {"schema": SCHEMA, **made, "versions": versions})
    except OSError as error:
        raise ArtifactError(f"cache: expected a folder that can be written, got {cache}: {error}") from error
    return folder


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name when the body has ended; a body that fails leaves nothing.

    What a process that was killed left of the same folder is removed: there is one writer at a time.
    """
    remove_cut_off(folder)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        yield unfinished
        if folder.exists():  # of an earlier attempt that was cut off
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
