"""Each fast path against its naive twins, in turn in one process: medians and their ratio. Wants idle cores.

python -m invariants.bench.ratios
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

from invariants.bench import cases


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, ways: cases.Ways, rounds: int) -> None:
    """Run all ways in turn and print their medians, and how many times longer than the first each takes."""
    for work in ways.values():
        work()
    times = {way: median(found) for way, found in zip(ways, zip(*_rounds(ways, rounds), strict=True), strict=True)}
    fast = next(iter(times.values()))
    for way, found in times.items():
        sys.stdout.write(f"{name:24} {way:24} {found * 1e3:9.1f} ms {found / fast:7.1f}\n")
    sys.stdout.flush()


def _rounds(ways: cases.Ways, rounds: int) -> list[list[float]]:
    return [[seconds(work) for work in ways.values()] for _ in range(rounds)]


def main() -> None:
    """Print the table."""
    sys.stdout.write(f"{'work':24} {'way':24} {'median':>12} {'ratio':>7}\n")
    for size in cases.SIZES:
        compare(f"extraction {size}", cases.extraction(size), 5)
    compare("rank scan d128", cases.scan(), 3)
    compare("checkpoint, p = 53", cases.checkpoint(), 3)
    for name, models, sequences in cases.TRAININGS:
        compare(f"{name}, {models} models", cases.training(name, models, sequences), 9)
    compare("layer sweep, 12 x d768", cases.sweep(), 3)
    for strengths in cases.STRENGTHS:
        compare(f"steering, {strengths}", cases.writing(strengths), 3)
    compare("bootstrap interval", cases.interval(), 3)


if __name__ == "__main__":
    main()
