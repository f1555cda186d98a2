"""Each fast path against its naive twins, in turn in one process: medians and their ratio. Wants idle cores.

python -m invariants.bench.ratios [small | sweep | whole-sweep | language]

Language models of real size and steps of a stack are timed by processor time of one thread, the others by wall time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
    _tell(name, [dict(zip(ways, found, strict=True)) for found in _rounds(ways, rounds, clock)])


def _tell(name: str, rounds: Sequence[Mapping[str, float]]) -> None:
    """Print the median seconds of each way, and how many times longer than the first it takes."""
    times = {way: median(found[way] for found in rounds) for way in rounds[0]}
    fast = next(iter(times.values()))
    for way, found in times.items():
        sys.stdout.write(f"{name:24} {way:24} {found * 1e3:9.1f} ms {found / fast:7.1f}\n")
    sys.stdout.flush()


def _rounds(ways: cases.Ways, rounds: int, clock: Clock) -> list[list[float]]:
    return [[seconds(work, clock) for work in ways.values()] for _ in range(rounds)]


def small() -> None:
    """All but sweeps and language models of real size."""
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


def sweep() -> None:
    """A sweep in stacks."""
    with one_thread():
        compare("sweep", sweeps.ways(), 3, time.process_time)


def whole_sweep() -> None:
    """All runs of a sweep on all cores, a step of one run: a quarter of an hour on two cores."""
    _tell("whole sweep, a step", [sweeps.whole() for _ in range(3)])


def language_models() -> None:
    """Language models of real size; of one that is not there, what it would take."""
    with one_thread():
        for name in (language.REAL, language.RANDOM):
            if reason := language.missing(name):
                sys.stdout.write(f"{reason}\n")
                continue
            model = language.language(name)
            compare(f"edits, {name}", language.sweep(model), 1, time.process_time)
            compare(f"50 tokens, {name}", language.writing(model), 1, time.process_time)


WORKS: Mapping[str, Callable[[], None]] = {
    "small": small,
    "sweep": sweep,
    "whole-sweep": whole_sweep,
    "language": language_models,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, of one kind of work or of all."""
    parser = argparse.ArgumentParser(prog="python -m invariants.bench.ratios")
    parser.add_argument("work", nargs="?", choices=WORKS, help="what is timed; all by default")
    chosen = parser.parse_args(arguments).work
    sys.stdout.write(f"{'work':24} {'way':24} {'median':>12} {'ratio':>7}\n")
    for name, time_all in WORKS.items():
        if chosen in (None, name):
            time_all()


if __name__ == "__main__":
    main()
