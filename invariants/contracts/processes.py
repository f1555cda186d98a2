"""Processes that a test starts and must not leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from invariants import FIXTURES

# One thread, as here: how sums are split among threads may show in their last bits.
ALONE = {"PYTHONPATH": str(FIXTURES.parent), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@contextmanager
def processes(words: Sequence[str], count: int, patience: float) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of this Python that do the same; killed at the end whatever happens.

    Args:
        words: of their command line, without the interpreter.
        patience: seconds to wait for one that is killed.
    """
    running = [
        subprocess.Popen(
            [sys.executable, *words],
            cwd=FIXTURES.parent,
            env={**os.environ, **ALONE},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(count)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate(timeout=patience)
