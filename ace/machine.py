"""Which processor this is: the last digits of sums hang on it, and with them every step of a long training."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")  # on Linux, where the standard library knows no more than the architecture


@cache
def processor() -> str:
    """The processor's name as far as it is told, and the vector instructions that torch uses on it."""
    import torch  # what only reads records is not kept waiting for it

    return f"{_name() or platform.processor() or platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"


def _name() -> str:
    """The first processor's name from the kernel, or nothing."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
