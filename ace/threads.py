"""How many threads torch uses for a piece of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, torch uses so many threads; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch: for small matrices, starting others takes longer than they save."""
    with threads(1):
        yield


def fair_share(workers: int) -> int:
    """Threads for each of several processes at work side by side: all of them together have as many as torch has."""
    return max(1, torch.get_num_threads() // max(1, workers)) if workers > 1 else torch.get_num_threads()
