"""python -m invariants.bench.scale: what verifying a language model takes, by its size, measured and fitted.

`measure` verifies random models of four sizes, each in a process of its own with one thread, and writes
fixtures/scale.json: processor seconds, counted operations and memory. `real NAME` adds a model that others trained.
`fit` reads the record and writes ace/zoo/plan.json, what `ace verify --plan` estimates with, and docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ace.files import read_json, write_json
from invariants.bench.scale_fit import fitted
from invariants.bench.scale_page import page

ROOT = Path(__file__).parents[2]
RECORD, CONSTANTS, PAGE = (
    ROOT / "fixtures" / "scale.json",
    ROOT / "ace" / "zoo" / "plan.json",
    ROOT / "docs" / "scale.md",
)
SIZES = (("llama", 64, 4, 2048), ("gpt2", 64, 20, 8192), ("llama", 192, 8, 4096), ("gpt2", 384, 16, 16384))
SCHEMA = 1
ALL_DRAWS = 1  # of the smallest sizes all draws are counted as well


def process(*words: object) -> Any:
    """What one process measured."""
    command = [sys.executable, "-m", "invariants.bench.random_models", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Measure, add a real model, or fit and write the page."""
    parser = argparse.ArgumentParser(prog="python -m invariants.bench.scale")
    parser.add_argument("action", choices=("measure", "real", "fit"))
    parser.add_argument("names", nargs="*", help="of real models")
    chosen = parser.parse_args(arguments)
    if chosen.action == "measure":
        models = []
        for place, size in enumerate(SIZES):
            models.append(process(*size, "all" if place < ALL_DRAWS else "few"))
            sys.stderr.write(f"{size}: {sum(one['seconds'] for one in models[-1]['claims'].values()):.0f} s\n")
        real = read_json(RECORD, SCHEMA)["real"] if RECORD.exists() else {}  # takes longer than all the random ones
        write_json(RECORD, {"schema": SCHEMA, "models": models, "real": real})
        return 0
    record = read_json(RECORD, SCHEMA)
    if chosen.action == "real":
        for name in chosen.names:
            record["real"][name] = process("real", name)
            write_json(RECORD, record)
        return 0
    found = fitted(record)
    write_json(CONSTANTS, found)
    PAGE.write_text(page(record, found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
