"""Each fast path against its naive twin, measured in turn in one process: medians and their ratio.

python -m invariants.bench.ratios
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ace.training.trainer import EnsembleTrainer
from invariants.bench import cases, naive
from invariants.bench.test_bench import CORES, fast_scan, slow_scan


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, fast: Callable[[], object], slow: Callable[[], object], rounds: int) -> None:
    """Run both in turn and print their medians."""
    fast()
    pairs = [(seconds(fast), seconds(slow)) for _ in range(rounds)]
    ours, theirs = (median(times) for times in zip(*pairs, strict=True))
    sys.stdout.write(f"{name:58} {ours * 1e3:10.1f} ms {theirs * 1e3:10.1f} ms {theirs / ours:8.1f} x\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    sys.stdout.write(f"{'':58} {'fast':>13} {'naive':>13} {'ratio':>10}\n")
    for size, rounds in (("d64", 5), ("d128", 5), ("d1280", 5)):
        inputs = cases.factors(*cases.EXTRACTIONS[size])
        fast = partial(CORES["factors"], *inputs)
        compare(
            f"extraction {size}, against Gramians, symmetric root", fast, partial(CORES["gramians"], *inputs), rounds
        )
        times = 1 if size == "d1280" else rounds
        compare(f"extraction {size}, against eigenvectors of C O", fast, partial(CORES["product"], *inputs), times)
    cases.scan()
    compare("rank scan d128, against one evaluation a rank and mode", fast_scan, slow_scan, 3)
    for models in (3, 5):
        recipe = cases.training(models)
        trainer = EnsembleTrainer(recipe)
        slow = partial(naive.train_separately, recipe, *trainer.training_data)
        compare(f"training, {models} models, one epoch, against separate loops", trainer.advance, slow, 5)


if __name__ == "__main__":
    main()
