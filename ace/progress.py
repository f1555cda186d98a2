"""How far something long is: whatever takes long tells it, and a line on the terminal shows it where one was asked for.

Nothing is shown by itself, and telling costs next to nothing where nobody listens. The line comes after some seconds,
is kept up to date by a thread of its own, so that the time goes on where nothing is told, and is cleared at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Lock, Thread
from typing import Any, TextIO, TypeVar

DELAY = 5.0  # seconds before anything is shown
EACH = 1.0  # seconds between two updates
WIDTH = 80  # columns, where no terminal says how many it has
COUNTED, TIMED = "{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}", "{desc}: {elapsed}"

Item = TypeVar("Item")


class Line:
    """What is being done, a bar, and the time since it began.

    Args:
        title: of the whole.
        steps: how many there are, where they are counted by `step`.
        opened: gives the file to write to; called when the line is shown first, and after each pause.
    """

    def __init__(self, title: str, steps: int, opened: Callable[[], TextIO]) -> None:
        self._title, self._steps, self._opened = title, steps, opened
        self._done, self._began = 0, time.time()
        self.within: tuple[str, int, int] | None = None
        self._bar: Any = None
        self._file: Any = None
        self._lock, self._held = Lock(), False

    def step(self, name: str = "") -> None:
        """The next step begins."""
        self._title, self._done = name or self._title, min(self._done + 1, self._steps)

    def keep_showing(self, stop: Event) -> None:
        """Show the line again and again until told to stop."""
        wait = DELAY
        while not stop.wait(wait):
            wait = EACH
            with self._lock:
                if not self._held:
                    self._show()
        with self._lock:
            self._clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, the line leaves the terminal to others."""
        with self._lock:
            self._clear()
            self._held = True
        try:
            yield
        finally:
            self._held = False

    def write(self, text: str) -> None:
        """Write a text above the line."""
        with self.paused():
            file = self._opened()
            file.write(f"{text}\n")
            file.flush()

    def _show(self) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._file = self._opened()
            self._bar = tqdm(delay=float("inf"), leave=False, file=self._file, ncols=_columns(self._file))
            self._bar.start_t = self._began
        what, done, total = self.within or ("", self._done, self._steps)
        counted = f"{self._title} {self._done}/{self._steps}" if what and self._steps else self._title
        self._bar.set_description_str(", ".join(part for part in (counted, what) if part), refresh=False)
        self._bar.n, self._bar.total = done, total
        self._bar.bar_format = COUNTED if total else TIMED
        self._bar.refresh()

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()
            self._bar.close()
            if not _is_terminal(self._file):  # there nothing is cleared: what comes next has a line of its own
                self._file.write("\n")
            self._bar = None


def _is_terminal(file: TextIO) -> bool:
    try:
        return file.isatty()
    except ValueError:  # it is closed
        return True


def _columns(file: TextIO) -> int:
    try:
        return os.get_terminal_size(file.fileno()).columns or WIDTH  # some say 0
    except (OSError, ValueError):  # no terminal, or no file of the system's
        return WIDTH


_LINE: ContextVar[Line | None] = ContextVar("line", default=None)


@contextmanager
def shown(title: str = "", *, steps: int = 0, opened: Callable[[], TextIO]) -> Iterator[Line]:
    """Inside, from some seconds on, a line says what is being done and how far it is: see `Line`."""
    line, stop = Line(title, steps, opened), Event()
    thread = Thread(target=line.keep_showing, args=(stop,), daemon=True)
    token = _LINE.set(line)
    thread.start()
    try:
        yield line
    finally:
        stop.set()
        thread.join()
        _LINE.reset(token)


def told(items: Collection[Item], what: str) -> Iterator[Item]:
    """The same items one by one; before each, a line that is shown learns how many of them are done.

    Args:
        what: the items, in words.
    """
    line = _LINE.get()
    if line is None:
        yield from items
        return
    before = line.within
    try:
        for done, item in enumerate(items):
            line.within = what, done, len(items)
            yield item
    finally:
        line.within = before


def note(text: str) -> None:
    """Write a line of its own where a line is shown or would be, as before something that may take long."""
    line = _LINE.get()
    if line is not None:
        line.write(text)


@contextmanager
def aside() -> Iterator[None]:
    """Inside, no line is shown, so that something else can have the terminal."""
    line = _LINE.get()
    if line is None:
        yield
    else:
        with line.paused():
            yield
