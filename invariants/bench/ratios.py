"""Each fast path against its naive twins, in turn in one process: medians and their ratio. Wants idle cores.

python -m invariants.bench.ratios [small | sweep | whole-sweep | language] [--record FILE]

Language models of real size and steps of a stack are timed by processor time of one thread, the others by wall time.
`docs/speed.md` has its table from fixtures/speed.json, which `--record` writes, a kind of work at a time or all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ace.threads import one_thread
from invariants.bench import cases, language, sweeps
from invariants.bench.compared import Compared, record

Clock = Callable[[], float]


def seconds(work: Callable[[], object], clock: Clock) -> float:
    """Time of one call."""
    started = clock()
    work()
    return clock() - started


def compare(work: str, ways: cases.Ways, rounds: int, clock: Clock = time.perf_counter) -> Compared:
    """Run all ways once unheeded, then in turn."""
    for one in ways.values():
        one()
    found = [[seconds(one, clock) for one in ways.values()] for _ in range(rounds)]
    return Compared(work, dict(zip(ways, zip(*found, strict=True), strict=True)), clock is time.process_time)


def small() -> Iterator[Compared]:
    """All but sweeps and language models of real size."""
    for size, (width, states, sensitivities) in cases.SIZES.items():
        sizes = f"core of {states:,} states, d = {width}, {sensitivities:,} sensitivities"
        yield compare(sizes, cases.extraction(size), 5)
    yield compare("keep and remove at all 128 ranks, 53 classes, 2,809 inputs", cases.scan(), 3)
    yield compare("a whole checkpoint of modular addition, p = 53", cases.checkpoint(), 3)
    for name, models, sequences in cases.TRAININGS:
        yield compare(f"an epoch of {name}, {models} models", cases.training(name, models, sequences), 9)
    yield compare("keep, remove and flip at each site, 12 blocks of d = 768", cases.sweep(), 3)
    for strengths in cases.STRENGTHS:
        yield compare(f"50 steered tokens, {strengths}, 12 blocks of d = 768", cases.writing(strengths), 3)
    yield compare("bootstrap interval of 3,000 rows", cases.interval(), 3)


def sweep() -> Iterator[Compared]:
    """A sweep in stacks."""
    with one_thread():
        yield compare("10 epochs of 6 runs of the published sweep", sweeps.ways(), 3, time.process_time)


def whole_sweep() -> Iterator[Compared]:
    """All runs of a sweep on all cores, a step of one run: a quarter of an hour on two cores."""
    rounds = [sweeps.whole() for _ in range(3)]
    taken = {way: [found[way] for found in rounds] for way in rounds[0]}
    yield Compared("a step of one of the 72 runs of the published sweep", taken)


def language_models() -> Iterator[Compared]:
    """Language models of real size; of one that is not there, what it would take."""
    with one_thread():
        for name in (language.REAL, language.RANDOM):
            if reason := language.missing(name):
                sys.stdout.write(f"{reason}\n")
                continue
            model = language.language(name)
            edits = f"keep, remove and flip at each site of {name}"
            yield compare(edits, language.sweep(model), 1, time.process_time)
            yield compare(f"50 steered tokens of {name}", language.writing(model), 1, time.process_time)


WORKS: Mapping[str, Callable[[], Iterator[Compared]]] = {
    "small": small,
    "sweep": sweep,
    "whole-sweep": whole_sweep,
    "language": language_models,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, of one kind of work or of all."""
    parser = argparse.ArgumentParser(prog="python -m invariants.bench.ratios")
    parser.add_argument("work", nargs="?", choices=WORKS, help="what is timed; all by default")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the times in a file, each round's")
    chosen = parser.parse_args(arguments)
    sys.stdout.write(f"{'work':64} {'way':24} {'median':>12} {'ratio':>7}\n")
    for name, time_all in WORKS.items():
        if chosen.work in (None, name):
            rows = []
            for row in time_all():
                sys.stdout.write(f"{row}\n")
                sys.stdout.flush()
                rows.append(row)
            if chosen.record is not None:
                record(chosen.record, name, rows, tuple(WORKS))


if __name__ == "__main__":
    main()
