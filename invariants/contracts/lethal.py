"""What kills the process that runs it. Without torch, whose import by each new worker would take most of a test."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def lethal(folder: Path, item: str) -> str:
    """Kills its process for items that say so, some only the first time, and notes each try."""
    tries = len(list(folder.glob(f"{item}.*")))
    (folder / f"{item}.{tries}").touch()
    if item == "kills" or (item == "kills once" and not tries):
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "raises":
        raise ValueError("out of luck\nin two lines")
    if item == "slow":
        time.sleep(1)
    return item.upper()
