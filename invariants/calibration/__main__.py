"""python -m invariants.calibration --trials 2000: run every simulation and write docs/calibration.md."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from invariants.calibration.registry import SECTIONS
from invariants.calibration.section import Row
from invariants.calibration.table import page

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


def main(arguments: list[str] | None = None) -> int:
    """Write the table; 1 where a row is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m invariants.calibration")
    parser.add_argument("--trials", type=int, default=2000, help="trials of each simulation")
    parser.add_argument("--only", default="", help="run and print entries whose name contains this, write nothing")
    options = parser.parse_args(arguments)
    results = []
    for section in SECTIONS:
        rows: list[Row] = []
        for entry in section.entries:
            if options.only not in entry.name:
                continue
            started = time.perf_counter()
            rows.extend(made := entry.run(options.trials))
            sys.stderr.write(f"{entry.name}: {time.perf_counter() - started:.0f} s\n")
            for row in made:
                sys.stderr.write(f"    {' | '.join(row.cells)}\n")
        results.append((section, rows))
    if not options.only:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(f"python -m invariants.calibration --trials {options.trials}", results), encoding="utf-8")
    return int(any(row.amiss for _, rows in results for row in rows))


if __name__ == "__main__":
    sys.exit(main())
