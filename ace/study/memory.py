"""What was computed last is kept, within a budget of bytes that all studies of a process share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

BYTES = 256 * 2**20


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def nbytes(self) -> int: ...  # noqa: D102


Kept = TypeVar("Kept", bound=Sized)


class Budget:
    """Values by key, the least recently used of which give way to new ones.

    Args:
        limit: bytes that all values but the largest may take: what is larger than any budget is kept while it is used.
    """

    def __init__(self, limit: int = BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, Sized] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Kept]) -> Kept:
        """The value of a key, kept or computed now. A key always comes with the same kind of value."""
        if key not in self._kept:
            self._kept[key] = compute()
            while len(self._kept) > 1 and self._taken() > self._limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]  # type: ignore[return-value]

    def _taken(self) -> int:
        sizes = [value.nbytes for value in self._kept.values()]
        return sum(sizes) - max(sizes)


SHARED = Budget()
