"""Sweeps whose delays follow a law that is planted, as outcomes of trainings that nobody ran."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ace.study.sweep import SweepSubject, subject_of
from ace.training.sweep.recipe import Run, SweepRecipe, parse_sweep
from ace.training.sweep.state import Crossing, Outcome
from ace.training.sweep.table import SweepTable

MODULI = [29, 31, 37, 41, 47, 53, 59]
DECAYS = [0.3, 0.5, 1.0, 1.5, 2.0, 3.0]
MEMORISED = 80
LIMIT = 40_000

Law = Callable[[Run], float]  # the log of the typical delay


def recipe(
    seeds: int = 12, modulus: int = 31, given: int | None = None, free: int | None = None, batch: int = 0
) -> SweepRecipe:
    """All parts that the claims ask for, weight decays at one modulus.

    Args:
        given, free: seeds of the parts that start from given weights, and of those without weight decay.
        batch: of the weight decays, which are then there once more with full batches.
    """
    given, free = seeds if given is None else given, seeds if free is None else free
    moduli = {"moduli": MODULI, "weight_decays": [1.0], "seeds": seeds}
    decays: dict[str, Any] = {"moduli": [modulus], "weight_decays": DECAYS, "seeds": seeds}
    full = {"decays-full-batch": decays} if batch else {}
    decays = {**decays, "batch": batch} if batch else decays
    return parse_sweep(
        "planted",
        {
            "scales": ["compact"],
            "task": {"share": 0.5},
            "model": {"blocks": 1, "width": 16, "heads": 2, "hidden": 16},
            "optimiser": {"learning_rate": 1e-3},
            "search": {"threshold": 0.99, "every": 20, "limit": LIMIT},
            "parts": {
                "moduli": moduli,
                "decays": decays,
                **full,
                "moduli-own-split": {**moduli, "split": "own"},
                "decays-own-split": {**decays, "split": "own"},
                "moduli-no-decay": {**moduli, "weight_decays": [0.0], "seeds": free},
                "moduli-given": {**moduli, "start": "given", "seeds": given},
                "decays-given": {**decays, "start": "given", "seeds": given},
            },
        },
    )


def redundant(run: Run, omega: float = 600.0, critical: float = 26.0) -> float:
    """Both laws of the paper."""
    return float(np.log(-omega * np.log1p(-critical / run.modulus)) - np.log(max(run.weight_decay, 1e-9)))


def at_once(run: Run) -> float:
    """Nothing is left to be found."""
    return float(np.log(3.0))


def planted(
    law: Law = redundant,
    *,
    given: Law = at_once,
    spread: float = 0.08,
    seeds: int = 12,
    modulus: int = 31,
    sweep: SweepRecipe | None = None,
) -> SweepSubject:
    """A sweep in which delays follow `law`, those from given weights follow `given`, with noise of each run's own."""
    sweep, rng = sweep or recipe(seeds, modulus), np.random.default_rng(0)
    outcomes = []
    for run in sweep.runs:
        typical = (given if run.start == "given" else law)(run)
        delay = round(math.exp(min(typical, 30.0) + spread * rng.standard_normal()))
        ended = MEMORISED + delay <= LIMIT
        last = Crossing(MEMORISED + delay, 20.0 + rng.standard_normal()) if ended else None
        steps = MEMORISED + delay if ended else LIMIT
        outcomes.append(Outcome(run, Crossing(MEMORISED, 40.0), last, steps))
    return subject_of(sweep, SweepTable(sweep.settings, tuple(outcomes)))
