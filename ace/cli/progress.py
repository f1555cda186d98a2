"""How far a command is, on stderr: nothing for the first seconds, then a line that is kept up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

DELAY = 5.0  # seconds before anything is shown
EACH = 1.0  # seconds between two updates of the time that has passed


class Progress:
    """A line with the step, a bar and the time that has passed, cleared at the end.

    Args:
        steps: how many there will be.
    """

    def __init__(self, steps: int) -> None:
        from tqdm import tqdm

        text = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}"
        self._bar = tqdm(total=steps, delay=float("inf"), leave=False, file=sys.stderr, bar_format=text, ncols=80)

    def step(self, name: str = "") -> None:
        """The next step begins."""
        if name:
            self._bar.set_description_str(f"{name}:", refresh=False)
        self._bar.n = min(self._bar.n + 1, self._bar.total)

    def keep_showing(self, stop: Event) -> None:
        """Show the line again and again until told to stop."""
        wait = DELAY
        while not stop.wait(wait):
            self._bar.refresh()
            wait = EACH
        if wait == EACH:
            self._bar.clear()

    def close(self) -> None:
        """Nothing more is shown."""
        self._bar.close()


@contextmanager
def progress(steps: int) -> Iterator[Progress]:
    """Inside, a line on stderr says which step it is, from some seconds on."""
    shown, stop = Progress(steps), Event()
    thread = Thread(target=shown.keep_showing, args=(stop,), daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        stop.set()
        thread.join()
        shown.close()
