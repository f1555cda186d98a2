"""Unfinished trainings in files: stored with what their end depends on, and verified before they go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ace.errors import ArtifactError
from ace.files import load_artifact, save_artifact


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        done: epochs or steps, by the trainer's unit.
        seconds: wall time of all sessions together.
        curve: points measured so far, plain values.
    """

    done: int
    seconds: float
    curve: list[dict[str, Any]]


def save_unfinished(
    record: Path, tensors: Mapping[str, Tensor], identity: Mapping[str, Any], unit: str, progress: Progress
) -> None:
    """Store an unfinished training, atomically.

    Args:
        identity: what the weights at the end depend on beside the tensors: recipe, versions, kind of device.
        unit: "epoch" or "step"; the name of the entry that holds `progress.done`.
    """
    entries = {unit: progress.done, "seconds": progress.seconds, "curve": progress.curve}
    save_artifact(record, tensors, {**identity, **entries})


def load_unfinished(
    record: Path, identity: Mapping[str, Any], unit: str, last: int
) -> tuple[dict[str, Tensor], Progress]:
    """What `save_unfinished` stored.

    Args:
        last: how many epochs or steps the whole training has.

    Raises:
        ArtifactError: missing, corrupt, of another identity, so that the result could differ from an uninterrupted
            training, or without its progress.
    """
    tensors, stored = load_artifact(record)
    for key, value in identity.items():
        if stored.get(key) != value:
            raise ArtifactError(f"{record}: expected {key} {value!r}, got {stored.get(key)!r}")
    done, seconds, curve = (stored.get(key) for key in (unit, "seconds", "curve"))
    if type(done) is not int or not 0 <= done <= last:
        raise ArtifactError(f"{record}: expected an entry `{unit}` in 0..{last}, got {done!r}")
    if not isinstance(seconds, int | float) or not isinstance(curve, list):
        raise ArtifactError(f"{record}: expected entries `seconds` and `curve`, got {seconds!r} and {curve!r}")
    return tensors, Progress(done, float(seconds), curve)


def require_shapes(record: Path, tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Refuse tensors under other names or of other shapes than those of an unfinished training.

    Raises:
        ArtifactError: naming the first difference.
    """
    for name in (*shapes, *sorted(tensors)):  # a file gives its tensors in any order
        expected = tuple(shapes[name]) if name in shapes else "none"
        stored = tuple(tensors[name].shape) if name in tensors else "none"
        if expected != stored:
            raise ArtifactError(
                f"{record}: expected the tensors of an unfinished training: {name!r} of shape {expected}, got {stored}"
            )
