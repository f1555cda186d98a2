"""How fast a machine is at the two things that a verification does: matrix products, and many small operations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

SIDE, ROWS = 1024, 256  # of the product: a weight, and as many rows as prompts that run together
SMALL = 64
SECONDS, TIMES = 0.3, 20  # that each of the two takes, and calls a part


@dataclass(frozen=True)
class Speed:
    """Attributes: flops of matrix products a second, seconds a small operation, and what was measured."""

    flops: float
    operation: float
    device: str
    dtype: str
    threads: int


def measure_speed(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Speed:
    """Time products of (256, 1024) by (1024, 1024), and sums of (64, 64), for .3 s each; the fastest part counts.

    On a CPU it is processor time over the number of threads: what it would be if nothing else ran.

    Raises:
        RuntimeError: torch has no such device.
    """
    device = torch.device(device)
    on_cpu = device.type == "cpu"
    weight = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
    rows = torch.ones(ROWS, SIDE, dtype=dtype, device=device)
    small = torch.ones(SMALL, SMALL, dtype=dtype, device=device)

    threads = torch.get_num_threads()

    def clock() -> float:
        return time.process_time() / threads if on_cpu else time.perf_counter()

    def best(call: Callable[[], object]) -> float:
        """Seconds of one call, in the fastest of many parts."""
        fastest, ended = float("inf"), time.perf_counter() + SECONDS
        while time.perf_counter() < ended:
            started = clock()
            for _ in range(TIMES):
                call()
            if not on_cpu:
                torch.cuda.synchronize(device)
            fastest = min(fastest, (clock() - started) / TIMES)
        return fastest

    product = best(lambda: rows @ weight)
    return Speed(
        2.0 * ROWS * SIDE * SIDE / product,
        best(lambda: small + small),
        "cpu" if on_cpu else str(device),
        str(dtype).removeprefix("torch."),
        threads,
    )
