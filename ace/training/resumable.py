"""Trainings that stop and go on: taken up from a file, stored every few seconds, watched on the terminal."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from ace.errors import ArtifactError

PARTIAL_SECONDS = 10.0
PARTIAL_SHARE = 20  # storing an unfinished training takes at most one part in so many of its time


class Resumable(Protocol):
    """A trainer that counts epochs or steps and can be stored between any two of them."""

    @property
    def done(self) -> int:
        """Epochs or steps trained so far."""

    @property
    def status(self) -> str:
        """What a progress bar shows."""

    def advance(self) -> None:
        """Train one more epoch or step."""

    def save(self, record: Path) -> None:
        """Store everything that `restore` needs."""

    def restore(self, record: Path) -> None:
        """Go on from what `save` stored, or raise `ArtifactError` and stay as it was."""


def take_up(trainer: Resumable, partial: Path | None) -> int:
    """Go on from an unfinished training where there is one; return how far it had come.

    One that cannot be continued to the same weights is worth nothing: the trainer then starts from its beginning.
    """
    if partial is not None and partial.exists():
        with suppress(ArtifactError):
            trainer.restore(partial)
    return trainer.done


def advance_to(
    trainer: Resumable,
    last: int,
    *,
    partial: Path | None,
    title: str,
    unit: str,
    progress: bool,
    line: int | None = None,
) -> None:
    """Train up to `last` epochs or steps.

    Args:
        partial: record to store the unfinished training in, every few seconds and once more at the end, so that it
            survives until the result is stored.
        title, unit: of the progress bar. line: its line on a terminal that shows several.
        progress: whether it is shown.
    """
    begun, stored, wait = trainer.done, time.perf_counter(), PARTIAL_SECONDS
    with tqdm(total=last, initial=begun, desc=title, unit=unit, position=line, disable=not progress) as bar:
        while trainer.done < last:
            trainer.advance()
            bar.update()
            bar.set_postfix_str(trainer.status, refresh=False)
            if partial is not None and time.perf_counter() - stored > wait:
                before = time.perf_counter()
                trainer.save(partial)
                stored = time.perf_counter()
                wait = max(PARTIAL_SECONDS, PARTIAL_SHARE * (stored - before))
    if partial is not None and trainer.done > begun:
        trainer.save(partial)
