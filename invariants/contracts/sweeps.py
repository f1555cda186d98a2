"""A small sweep for tests: seconds of training, in which some runs generalise and some do not."""

from __future__ import annotations

from typing import Any

from ace.training.sweep.recipe import SweepRecipe, parse_sweep


def entries(**parts: dict[str, Any]) -> dict[str, Any]:
    """A recipe as parsed; by default four runs of one part."""
    return {
        "scales": ["compact"],
        "task": {"share": 0.6},
        "model": {"blocks": 1, "width": 32, "heads": 2, "hidden": 32, "dropout": 0.05},
        "optimiser": {"learning_rate": 1e-2},
        "search": {"threshold": 0.3, "every": 10, "limit": 300},
        "parts": parts or {"some": part()},
    }


def part(**changed: Any) -> dict[str, Any]:
    return {"moduli": [17], "weight_decays": [3.0, 1.0], "seeds": 2, **changed}


def sweep(**parts: dict[str, Any]) -> SweepRecipe:
    return parse_sweep("small", entries(**parts))


TOML = """
scales = ["compact"]

[task]
share = 0.6

[model]
blocks = 1
width = 32
heads = 2
hidden = 32
dropout = 0.05

[optimiser]
learning_rate = 1e-2

[search]
threshold = 0.3
every = 10
limit = 300

[parts.some]
moduli = [17, 19]
weight_decays = [3.0, 1.0]
seeds = 3
"""
