"""Stacks of a sweep that are not done, in files: one for each, named after its runs.

Stacks of other runs have other names, so that none is ever written over what holds runs that it lacks.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ace.errors import ArtifactError
from ace.files import load_artifact, read_provenance, remove_artifact, save_artifact
from ace.training.sweep.recipe import Run, SweepRecipe
from ace.training.sweep.state import Crossing, StackState


class Unfinished:
    """Stacks in a folder, with what their end depends on: settings, version of torch, kind of device."""

    def __init__(self, folder: Path, sweep: SweepRecipe, device: str) -> None:
        self._folder = folder
        self._identity = {"sweep": sweep.digest, "torch": torch.__version__, "device": torch.device(device).type}

    def load(self, wanted: Set[Run]) -> list[StackState]:
        """The stored stacks without the runs that are not wanted, each run once, from where it had come farthest.

        A file that cannot be read, or is of another version of torch, is left out: its runs begin anew. All files
        stay: they may hold runs of parts that are not asked for now.
        """
        found = []
        for record in sorted(self._folder.glob("*.json")):
            try:
                found.append(self._read(record))
            except ArtifactError:
                continue
        stacks, open_runs = [], set(wanted)
        for stack in sorted(found, key=lambda one: (not one.given, -one.epoch)):
            kept = stack.only(open_runs)
            if kept is not None:
                open_runs -= set(kept.all_runs)
                stacks.append(kept)
        return stacks

    def replace(self, old: StackState, new: Iterable[StackState]) -> None:
        """Store what became of a stack, then forget it."""
        stored = set()
        for stack in new:
            self._save(stack)
            stored.add(self._record(stack))
        if self._record(old) not in stored:
            remove_artifact(self._record(old))

    def remove(self, done: Set[Run]) -> None:
        """Forget the stacks all of whose runs are done, and those that cannot be read, of which nothing comes."""
        kept = False
        for record in self._folder.glob("*.json"):
            if _runs(record) <= done:
                remove_artifact(record)
            else:
                kept = True
        if not kept:
            shutil.rmtree(self._folder, ignore_errors=True)  # with what a process that was killed left half written

    def _record(self, stack: StackState) -> Path:
        runs = hashlib.sha256(" ".join(map(str, stack.all_runs)).encode()).hexdigest()
        return self._folder / f"{stack.all_runs[0]}-{runs[:8]}.json"

    def _save(self, stack: StackState) -> None:
        tensors = {
            "rows": stack.rows,
            "first": stack.moments[0],
            "second": stack.moments[1],
            "generators": stack.generators,
        }
        entries: dict[str, Any] = {
            "epoch": stack.epoch,
            "runs": [asdict(run) for run in stack.runs],
            "memorised": [None if one is None else asdict(one) for one in stack.memorised],
            "generalised": [None if one is None else asdict(one) for one in stack.generalised],
            "given": stack.given,
        }
        if stack.waiting is not None:
            tensors["waiting"] = stack.waiting[1]
            entries["waiting"] = [asdict(run) for run in stack.waiting[0]]
        save_artifact(self._record(stack), tensors, {**self._identity, **entries})

    def _read(self, record: Path) -> StackState:
        tensors, entries = load_artifact(record)
        for key, value in self._identity.items():
            if entries.get(key) != value:
                raise ArtifactError(f"{record}: expected {key} {value!r}, got {entries.get(key)!r}")
        try:
            waiting: tuple[tuple[Run, ...], Tensor] | None = None
            if "waiting" in entries:
                waiting = tuple(Run(**run) for run in entries["waiting"]), tensors["waiting"]
            return StackState(
                runs=tuple(Run(**run) for run in entries["runs"]),
                epoch=entries["epoch"],
                rows=tensors["rows"],
                moments=(tensors["first"], tensors["second"]),
                generators=tensors["generators"],
                memorised=tuple(_crossing(one) for one in entries["memorised"]),
                generalised=tuple(_crossing(one) for one in entries["generalised"]),
                given=entries["given"],
                waiting=waiting,
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{record}: expected a stack of a sweep: {error!r}") from error


def _runs(record: Path) -> set[Run]:
    """The runs of a stored stack, of whatever version it is; none where that cannot be read."""
    try:
        entries = read_provenance(record)
        return {Run(**run) for run in (*entries["runs"], *entries.get("waiting", ()))}
    except (ArtifactError, KeyError, TypeError):
        return set()


def _crossing(entries: dict[str, Any] | None) -> Crossing | None:
    return None if entries is None else Crossing(**entries)
