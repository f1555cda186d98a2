"""A process that dies at any of its system calls, as by kill -9: what is on the disk then must be enough to go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Crash(BaseException):
    """The process is gone: no clean-up that catches `Exception` may count on seeing it."""


class Dying:
    """Runs a few system calls, then dies: from there on every call fails, those of any clean-up too, as after kill."""

    def __init__(self, patch: pytest.MonkeyPatch, alive: int) -> None:
        self.left, self.died = alive, False
        calls = ((os, "fsync"), (os, "replace"), (os, "chmod"), (os, "unlink"), (os, "rmdir"), (Path, "unlink"))
        for owner, name in calls:
            patch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.left == 0:
                self.died = True
                raise Crash
            self.left -= 1
            return real(*arguments, **options)

        return call


def every_crash_point(act: Callable[[Path], object], folder: Path, most: int = 500) -> Iterator[Path]:
    """Folders in which `act` died at its first system call, at its second and so on; in the last it did not die.

    It is up to the caller to act again in each, and to see what came out.
    """
    for alive in range(most):
        place = folder / str(alive)
        place.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            dying = Dying(patch, alive)
            try:
                act(place)
            except Crash:
                assert dying.died
        yield place
        if not dying.died:
            return
    raise AssertionError(f"more than {most} system calls")
