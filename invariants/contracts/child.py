"""A process of its own that asks a store for a recipe: python -m invariants.contracts.child PLAN.

The plan is a JSON file: `entries` of the recipe, `cache` and `log` paths, `company`, how many processes must have asked
before this one may train, and `seconds` that each epoch is made to last. What happens is noted in the log, a line each.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ace.training import result, resumable, trainer
from ace.training.recipe import Recipe, parse_recipe
from ace.training.train import train as real_train
from ace.zoo import obtain
from invariants import FIXTURES

PATIENCE = 60.0  # seconds; whoever waits longer gives up, so that nothing hangs


def fingerprint(checkpoints: Mapping[int, Mapping[str, Tensor]]) -> str:
    """SHA-256 of all weights, by epoch and name."""
    digest = hashlib.sha256()
    for epoch, weights in sorted(checkpoints.items()):
        for name, value in sorted(weights.items()):
            digest.update(f"{epoch}/{name}".encode() + value.numpy().tobytes())
    return digest.hexdigest()


def main(plan: Mapping[str, Any]) -> None:
    """Ask for the recipe as the plan says."""
    log = Path(plan["log"])

    def note(line: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def train(recipe: Recipe, **options: Any) -> result.TrainedEnsemble:
        note("training")
        deadline = time.monotonic() + PATIENCE
        while log.read_text(encoding="utf-8").count("asking") < plan["company"]:
            if time.monotonic() > deadline:
                raise TimeoutError("the other processes never asked")
            time.sleep(0.01)
        time.sleep(plan["seconds"])  # long enough for the others to come from asking to waiting
        return real_train(recipe, **options)

    def advance(self: trainer.EnsembleTrainer) -> None:
        time.sleep(plan["seconds"])
        real(self)

    real = trainer.EnsembleTrainer.advance
    trainer.EnsembleTrainer.advance = advance  # type: ignore[method-assign]
    resumable.PARTIAL_SECONDS = 0.0
    setattr(obtain, "train", train)  # noqa: B010 a name that the module imports, not one of its own
    note("asking")
    ensemble = obtain.Store(FIXTURES, Path(plan["cache"]), progress=False).ensemble(
        parse_recipe("tiny", plan["entries"])
    )
    note(f"done {fingerprint(ensemble.checkpoints)}")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
