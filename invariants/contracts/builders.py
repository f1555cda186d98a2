"""Shared builders: the smallest models, cores, recipes and measurements that still behave like the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ace.core import Core
from ace.extract import extract_core
from ace.families.family import find_claim as claim
from ace.model.sites import Site, find_sites
from ace.rank import Fixed
from ace.stats import Estimate, exact
from ace.study.measurement import Measurement
from ace.training.recipe import Recipe, parse_recipe
from ace.training.transformer import Architecture, SmallTransformer, initialise
from ace.verify import Status, Verdict, judge

WIDTH = 8


def gaussian(seed: int, *shape: int) -> Tensor:
    """Independent standard normal entries, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def holed(*shape: int, row: int = 1, value: float = float("nan")) -> Tensor:
    """Gaussian entries with one that is not finite, in row `row`."""
    found = gaussian(0, *shape)
    found[row].view(-1)[0] = value
    return found


def core(rank: int = 3, width: int = WIDTH) -> Core:
    """A core of `rank` dimensions, oblique, in a space of `width`."""
    return extract_core(gaussian(1, 4 * width, width) + gaussian(2, width), gaussian(3, width, width), rank=Fixed(rank))


def model(blocks: int = 2, dtype: torch.dtype = torch.float64, dropout: float = 0.0) -> SmallTransformer:
    """A random transformer of width 8 over 5 tokens and 6 positions, in evaluation mode."""
    made = SmallTransformer(Architecture(5, 6, blocks, width=WIDTH, heads=2, hidden=12, dropout=dropout))
    initialise(made, torch.Generator().manual_seed(7))
    return made.to(dtype).eval().requires_grad_(False)


def untrained(
    sizes: Architecture, count: int = 2, kind: type[SmallTransformer] = SmallTransformer
) -> list[SmallTransformer]:
    """Transformers of one size that nobody trained, model k drawn from seed k, in evaluation mode."""
    models = [kind(sizes) for _ in range(count)]
    for seed, made in enumerate(models):
        initialise(made, torch.Generator().manual_seed(seed))
    return [made.eval().requires_grad_(False) for made in models]


def site(index: int = -1, of: nn.Module | None = None) -> Site:
    """A site of `model()`, by default the one below the head."""
    return find_sites(of if of is not None else model()).site(index)


def tokens(sequences: int = 4, length: int = 5) -> Tensor:
    """(sequences, length) token ids for `model()`."""
    return torch.randint(5, (sequences, length), generator=torch.Generator().manual_seed(11))


class Blockless(nn.Module):
    """A model that is no transformer: it has no list of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, 5)


class Headless(nn.Module):
    """Blocks, but no linear head under a known name."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)])


def entries(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's tables that train in a fraction of a second, with keys of some tables changed, or removed by None."""
    tables: dict[str, Any] = {
        "scales": ["compact"],
        "task": {"kind": "circulant", "states": 4, "stay": 0.75, "length": 8},
        "model": {"context": 8, "blocks": 1, "width": 16, "heads": 2, "hidden": 24, "dropout": 0.1},
        "optimiser": {"learning_rate": 1e-2, "weight_decay": 0.1, "decay": "linear"},
        "schedule": {"sequences": 60, "batch": 16, "epochs": 4, "test_sequences": 20},
        "ensemble": {"models": 2},
    }
    for table, entries in changes.items():
        merged = {**tables.get(table, {}), **entries}
        tables[table] = {key: value for key, value in merged.items() if value is not None}
    return tables


def recipe(name: str = "tiny", /, **changes: Mapping[str, Any]) -> Recipe:
    """The recipe of `entries`; 60 sequences in batches of 16 leave a smaller last batch in every epoch."""
    return parse_recipe(name, entries(**changes))


def chain() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A row-stochastic, irreducible (2, 2) matrix."""
    return np.array([[0.75, 0.25], [0.25, 0.75]])


def same_weights(first: Mapping[int, Mapping[str, Tensor]], second: Mapping[int, Mapping[str, Tensor]]) -> bool:
    """Whether two sets of checkpoints hold the same bits under the same names."""
    return first.keys() == second.keys() and all(
        first[epoch].keys() == second[epoch].keys()
        and all(torch.equal(value, second[epoch][name]) for name, value in first[epoch].items())
        for epoch in first
    )


SITE = "site 1 (input of head)"
COMMAND = 'pytest invariants -k "{claim}-compact"'
SEEDS: dict[str, tuple[Estimate, ...]] = {  # of markov.sufficiency, whose bound is >= -0.01
    "HOLDS": (exact("0", -0.001), exact("1", 0.002)),
    "VACUOUS": (exact("0", -0.001), exact("1", 0.002)),
    "FAILS": (exact("0", -0.001), exact("1", -0.25)),
    "UNDECIDED": (exact("0", -0.001), Estimate("1", -0.009, replicates=np.linspace(-0.03, 0.01, 99))),
}


def verdict(status: str, subject: str = "tiny-compact", *, identifier: str = "markov.sufficiency") -> Verdict:
    """A verdict of that status, judged on a measurement made for it; the claim needs a bound like >= -0.01."""
    sentence = claim(identifier)
    if status == "INAPPLICABLE":
        found = Verdict(sentence, subject, Status.INAPPLICABLE, "model 0 lacks the behaviour")
    else:
        controls = {name: (exact("0", -0.4375),) for name in sentence.controls}
        if status == "VACUOUS":
            controls[sentence.controls[0]] = (exact("0", 0.0),)
        found = judge(sentence, Measurement(SEEDS[status], controls, details={"spread": [0.5, 0.25]}), subject)
    assert found.status == status
    return replace(found, site=SITE, command=COMMAND.format(claim=identifier), seconds=0.25)
