"""The one cache of what was computed: explicit, bounded, and cleared when a subject is no longer needed."""

from __future__ import annotations

import ctypes
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache, wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ace.check import check_count

LIMIT = 640 * 2**20  # bytes
KEPT = 128 * 2**20  # bytes that may be free without being given back
SMALL = 5 * 2**28  # bytes allocated, free or not, up to which a process gives none back

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")


class Memory:
    """Values by key. Those with an attribute `nbytes` are large: beyond a limit the least recently used are dropped.

    Args:
        limit: bytes that all large values but the largest may take together; the largest is kept while it is in use,
            whatever its size. Values without `nbytes`, such as cores and estimates, are small and stay until `clear`.

    Raises:
        InputError: a limit that is no number of bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = check_count("limit", limit, smallest=0)
        self._small: dict[Hashable, Any] = {}
        self._large: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of a key, kept from before or computed now. A key always stands for the same kind of value."""
        if key in self._small:
            small: Value = self._small[key]
            return small
        if key not in self._large:
            value = compute()
            if getattr(value, "nbytes", None) is None:
                self._small[key] = value
                return value
            self._large[key] = value
            while len(self._large) > 1 and self._taken() > self._limit:
                self._large.popitem(last=False)
            return_freed()  # computing something large leaves more free than it keeps
        self._large.move_to_end(key)
        large: Value = self._large[key]
        return large

    def put(self, key: Hashable, value: object) -> None:
        """Keep a value in the place of what `get` would compute."""
        self._small[key] = value

    def holds(self, key: Hashable) -> bool:
        """Whether a value is kept for this key now."""
        return key in self._small or key in self._large

    def release(self, owner: object) -> None:
        """Drop the large values that were remembered of an owner; see `remembered`."""
        for key in [key for key in self._large if isinstance(key, tuple) and len(key) > 1 and key[1] is owner]:
            del self._large[key]

    def clear(self) -> None:
        """Drop everything."""
        self._small.clear()
        self._large.clear()

    def _taken(self) -> int:
        sizes = [int(value.nbytes) for value in self._large.values()]
        return sum(sizes) - max(sizes)


class _Heap(ctypes.Structure):
    """`mallinfo2` of glibc: in blocks `arena`, of which `fordblks` are free and kept, in mappings `hblkhd` bytes."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    )


def return_freed() -> None:
    """Give memory that is free back to the system, where the C library keeps it: glibc, whose blocks grow with use.

    Not where little is free or the process small: what is given back is soon asked for again, page by page.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    trim, told = (getattr(library, name, None) for name in ("malloc_trim", "mallinfo2"))
    if told is not None:
        told.restype = _Heap
        heap = told()
        if heap.fordblks <= KEPT or heap.arena + heap.hblkhd <= SMALL:
            return
    if trim is not None:
        trim(0)


class Remembering(Protocol):
    """Something with a memory of its own."""

    @property
    def memory(self) -> Memory: ...  # noqa: D102


Owner = TypeVar("Owner", bound=Remembering)


def remembered(
    function: Callable[Concatenate[Owner, Arguments], Value],
) -> Callable[Concatenate[Owner, Arguments], Value]:
    """A function of something with a memory, computed once for each set of (hashable) arguments until it is cleared.

    Serves methods and functions alike: the first argument is the owner, compared by identity. An argument is the same
    whether it is given by name, by place or by its default.
    """

    @wraps(function)
    def call(owner: Owner, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Value:
        key = key_of(function, owner, *arguments, **named)
        return owner.memory.get(key, lambda: function(owner, *arguments, **named))

    return call


def key_of(function: Callable[..., object], owner: object, /, *arguments: object, **named: object) -> Hashable:
    """Under which a call of a remembered function is kept, given what it wraps."""
    usual = _defaults(function)
    given = {**usual, **dict(zip(usual, arguments, strict=False)), **named}
    too_many = arguments[len(usual) :]  # for the function itself to refuse
    return function, owner, tuple(given.items()), too_many


@cache
def _defaults(function: Callable[..., object]) -> dict[str, object]:
    """Names of a function's arguments but for the first, with their defaults, or a class where there is none."""
    return {parameter.name: parameter.default for parameter in list(signature(function).parameters.values())[1:]}
