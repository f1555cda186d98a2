"""Trained language models as ordinary Hugging Face folders with provenance: written whole or not at all, verified.

A recipe's models lie in one folder, a folder each, named by index. Any tool that reads Hugging Face models reads them.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from ace.errors import ArtifactError
from ace.files import read_json, remove_artifact, sha256_of, write_json
from ace.model.quiet import quiet_transformers
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.trainer import TrainedLanguageModel, train_language_model

PROVENANCE = "provenance.json"
SCHEMA = 1


def store_language_model(folder: Path, trained: TrainedLanguageModel) -> None:
    """Write model, tokenizer and provenance to `folder`, in place of what was there; a crash leaves the old or none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        with quiet_transformers():
            trained.model.save_pretrained(fresh)  # type: ignore[operator]
            trained.tokenizer.save_pretrained(fresh)
        files = {path.name: sha256_of(path) for path in sorted(fresh.iterdir())}
        write_json(fresh / PROVENANCE, {"schema": SCHEMA, **trained.provenance, "files": files})
        os.chmod(fresh, 0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
            os.replace(folder, old / "old")
            os.replace(fresh, folder)
            shutil.rmtree(old)
        else:
            os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def partial_of(recipe: LanguageRecipe, index: int, partials: Path) -> Path:
    """Record of the unfinished training of a model."""
    return partials / f"{recipe.address}-{index}-partial.json"


def load_language_folder(folder: Path, recipe: LanguageRecipe, index: int) -> TrainedLanguageModel:
    """A stored model of a recipe, verified against its digests.

    Raises:
        ArtifactError: missing, corrupt, truncated, or of another recipe or index.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    document = read_folder_provenance(folder)
    for key, value in (("recipe", recipe.digest), ("index", index)):
        if document.get(key) != value:
            raise ArtifactError(f"{folder}: expected {key} {value!r}, got {document.get(key)!r}")
    for name, digest in document["files"].items():
        path = folder / Path(name).name
        if not path.is_file() or sha256_of(path) != digest:
            raise ArtifactError(f"{path}: missing, corrupt or truncated: expected SHA-256 {digest[:12]}")
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return TrainedLanguageModel(model, tokenizer, document)


def read_folder_provenance(folder: Path) -> dict[str, Any]:
    """The provenance of a stored model.

    Raises:
        ArtifactError: missing, not JSON, of another schema, or without the files' digests.
    """
    path = folder / PROVENANCE
    document = read_json(path, SCHEMA)
    files = document.get("files")
    if (
        not isinstance(files, dict)
        or "model.safetensors" not in files
        or not all(isinstance(digest, str) for digest in files.values())
    ):
        raise ArtifactError(f"{path}: expected an entry `files` with digests of the model's files, got {files!r}")
    return document


def train_side_by_side(
    recipe: LanguageRecipe, folder: Path, indices: Sequence[int], partials: Path, *, progress: bool = False
) -> None:
    """Train models of a recipe, a process with one thread each, and store every one in `folder` when it is ready.

    Args:
        folder: holds the recipe's models, a folder each, named by index.
        partials: folder of unfinished trainings, which a later call resumes.
    """
    tasks = [(recipe, index, folder / str(index), partials, progress) for index in indices]
    if not tasks:
        return
    processes = min(len(tasks), os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for finished in [pool.submit(_train_and_store, *task) for task in tasks]:
            finished.result()


def _train_and_store(recipe: LanguageRecipe, index: int, folder: Path, partials: Path, progress: bool) -> None:
    torch.set_num_threads(1)
    _end_with_parent()
    partial = partial_of(recipe, index, partials)
    store_language_model(folder, train_language_model(recipe, index, partial=partial, progress=progress))
    remove_artifact(partial)


def _end_with_parent() -> None:
    """End this process when the one that started it has died: it would train on unseen, beside whoever asks again."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
