"""Each fast path against its naive twins, in turn in one process: medians and their ratio. Wants idle cores.

python -m invariants.bench.ratios [language | sweep]

Language models of real size and sweeps are timed by processor time of one thread, the others by wall time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from ace.threads import one_thread
from invariants.bench import cases, language, sweeps

Clock = Callable[[], float]


def seconds(work: Callable[[], object], clock: Clock) -> float:
    """Time of one call."""
    started = clock()
    work()
    return clock() - started


def compare(name: str, ways: cases.Ways, rounds: int, clock: Clock = time.perf_counter) -> None:
    """Run all ways in turn and print their medians, and how many times longer than the first each takes."""
    for work in ways.values():
        work()
    times = {
        way: median(found) for way, found in zip(ways, zip(*_rounds(ways, rounds, clock), strict=True), strict=True)
    }
    fast = next(iter(times.values()))
    for way, found in times.items():
        sys.stdout.write(f"{name:24} {way:24} {found * 1e3:9.1f} ms {found / fast:7.1f}\n")
    sys.stdout.flush()


def _rounds(ways: cases.Ways, rounds: int, clock: Clock) -> list[list[float]]:
    return [[seconds(work, clock) for work in ways.values()] for _ in range(rounds)]


def main(words: Sequence[str]) -> None:
    """Print the table; under "language" that of language models of real size alone, under "sweep" that of sweeps."""
    sys.stdout.write(f"{'work':24} {'way':24} {'median':>12} {'ratio':>7}\n")
    if not words:
        small()
    with one_thread():
        if list(words) in ([], ["sweep"]):
            compare("sweep", sweeps.ways(), 3, time.process_time)
        if list(words) == ["sweep"]:
            return
        for name in (language.REAL, language.RANDOM):
            if reason := language.missing(name):
                sys.stdout.write(f"{reason}\n")
                continue
            model = language.language(name)
            compare(f"edits, {name}", language.sweep(model), 1, time.process_time)
            compare(f"50 tokens, {name}", language.writing(model), 1, time.process_time)


def small() -> None:
    """All but language models of real size."""
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
    main(sys.argv[1:])
