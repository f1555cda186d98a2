"""When free memory goes back to the system."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from ace.study import memory


def library(free: int | None, held: int, trimmed: list[int]) -> SimpleNamespace:
    """A C library that holds so many bytes, half of them in mappings, and so many free ones, or does not say."""

    def malloc_trim(pad: int) -> int:
        trimmed.append(pad)
        return 1

    def mallinfo2() -> SimpleNamespace:
        return SimpleNamespace(fordblks=free, arena=held - held // 2, hblkhd=held // 2)

    return SimpleNamespace(malloc_trim=malloc_trim, **({} if free is None else {"mallinfo2": mallinfo2}))


@pytest.mark.parametrize(
    ("free", "held", "given_back"),
    [
        (0, 2**40, False),
        (memory.KEPT, 2**40, False),
        (memory.KEPT + 1, 2**40, True),
        (memory.KEPT + 1, memory.SMALL + 1, True),
        (memory.KEPT + 1, memory.SMALL, False),
        (2**40, 2**40, True),
        (None, 0, True),
    ],
)
def test_free_memory_goes_back_where_there_is_much_of_it_in_a_large_process_or_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, free: int | None, held: int, given_back: bool
) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library(free, held, trimmed))
    memory.return_freed()
    assert trimmed == [0] * given_back


def test_a_c_library_without_either_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    memory.return_freed()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library than glibc 2.33 and later")
def test_free_bytes_are_those_that_the_c_library_counts() -> None:
    told = ctypes.CDLL(None).mallinfo2
    told.restype = memory._Heap
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    blocks = [libc.malloc(60_000) for _ in range(1000)]  # each too small to be a mapping of its own
    before = told().fordblks
    for block in blocks[:-1]:  # the last one keeps the heap from shrinking
        libc.free(block)
    assert told().fordblks - before >= 50_000_000
    libc.free(blocks[-1])
