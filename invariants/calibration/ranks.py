"""The rank test of a core against the rest: as rarely wrong as its level says, and not misled by few rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.families.agreement.ablation import rest_separation
from ace.families.family import find_claim
from ace.study.prompt_rest import rest_at, rest_of
from ace.study.rest import DRAWS, LEVEL, Rest, rank_test
from ace.study.subspaces import Subspaces, rest_subspaces
from ace.tasks.prompt import Prompts
from invariants.calibration.coverage import ERRORS
from invariants.calibration.section import Entry, Row, Section
from invariants.calibration.verdicts import seeds
from invariants.controls.synthetic import SITES, Synthetic, remember
from invariants.controls.worlds import HEAD, LARGEST, PLAIN, SECOND, World, bent, world

FAR = 12.0  # how far the numbers lie apart along the other direction
MODES = {"sufficiency": ("keep", "orthogonal"), "necessity": ("remove", "orthogonal"), "mirror": ("flip", "oblique")}


def margin_of(claim: str) -> Callable[[float], float]:
    """How far inside the bound of `agreement.*` a value lies."""
    bound = find_claim(f"agreement.{claim}").bound
    return lambda value: bound.margin(value, bound.threshold({}))


def rest_among(study: Synthetic, claim: str, drawn: Subspaces) -> Rest:
    """The rest as a claim draws it, with these subspaces as the draws."""
    mode, projector = MODES[claim]

    def value(edited: Mapping[str, Array], base: Array, labels: Ints) -> Array:
        return rest_separation(mode, edited, base, labels)

    remember(study, rest_at, (SITES[0], 1, projector), drawn)
    return rest_of(study, "0", ("0",), study.choice(projector), (mode,), value)


def crowded(claim: str, seed: int) -> Synthetic:
    """A study whose rest lies about the claim's bound, all the way from inside to far outside it.

    Most of what the contrast has to do with number lies along another direction than the core, which varies most.
    """
    product = claim == "mirror"
    # The oblique rest is drawn alike in all directions that states vary in: only of few does one draw in ten find one.
    width = 5 if product else PLAIN.width
    plain = world(replace(PLAIN, width=width, stretch=1.0, tilt=0.0, noise=1.0), seed)

    def law(prompts: Prompts, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        coordinates = plain.law(prompts, rng)
        sign = 2.0 * prompts.labels - 1
        hidden = np.where(rng.random(len(sign)) < 0.5, -1.0, 1.0) if product else np.ones(len(sign))
        coordinates[:, HEAD] *= hidden
        coordinates[:, SECOND] = FAR * (hidden if product else sign) + coordinates[:, SECOND] / LARGEST
        return np.asarray(coordinates)

    def read(coordinates: Tensor) -> Tensor:
        head, second = coordinates[..., HEAD], coordinates[..., SECOND] / FAR
        others = (plain.read(coordinates) - bent(2 * head, PLAIN.bend)) / 2
        return head * second + others if product else bent(0.3 * head + 1.7 * second, PLAIN.bend) + others

    study = Synthetic(World(law, plain.mixing, plain.centre, read, seed))
    axis = plain.mixing[:, HEAD : HEAD + 1]
    study.replace_core(SITES[0], study.core(SITES[0]).with_basis(axis / axis.norm()))
    return study


# --- an axis that is a draw like the others ---------------------------------------------------------------------------
def beats_its_equals(claim: str, seed: int, *, bounded: bool) -> bool:
    """Whether one axis drawn from a core's rest beats the other draws.

    Args:
        bounded: draws inside the claim's bound count too, as in a verdict; else the axis is held against them alone.
    """
    study = crowded(claim, seed)
    core, states = study.core(SITES[0]), study.observed[0][0]
    drawn = rest_subspaces(core, states, DRAWS + 1, seed=seed, projector=MODES[claim][1])
    [[mine]] = rest_among(study, claim, drawn.take(torch.tensor([DRAWS]))).values([0])
    rest, margin = rest_among(study, claim, drawn.take(torch.arange(DRAWS))), margin_of(claim)
    needed = min(0.0, margin(mine)) if bounded else margin(mine)
    return rank_test(replace(rest, few=None), margin, [needed]).beaten


def _equals(claim: str, *, bounded: bool) -> Entry:
    against = "draws inside the bound count too" if bounded else "held against the other draws"

    def run(trials: int) -> tuple[Row, ...]:
        beaten = sum(beats_its_equals(claim, seed, bounded=bounded) for seed in seeds(claim + against, trials))
        share, error = beaten / trials, math.sqrt(LEVEL * (1 - LEVEL) / trials)
        off = share - LEVEL if bounded else abs(share - LEVEL)
        amiss = f"beats the rest in {share:.1%}, limit {LEVEL:.0%}" if off > ERRORS * error else ""
        shown = f"{share:.1%} ± {error:.1%}"
        return (Row((claim, against, f"{trials}", shown, "-", "-", "-", amiss and f"**{amiss}**"), amiss),)

    return Entry(f"{claim}: {against}", run, cost=2.0, thorough=bounded)


# --- draws that are dismissed on few rows -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Dismissed:
    """Draws of one trial: how many count on all rows, how many were dismissed on few, and how many of these count."""

    counting: int
    dismissed: int
    wrongly: int


def dismissals(claim: str, seed: int) -> Dismissed:
    """Every draw of a crowded rest, judged on few rows first as in a verdict whose core lies inside the bound."""
    study = crowded(claim, seed)
    drawn = rest_subspaces(study.core(SITES[0]), study.observed[0][0], DRAWS, seed=seed, projector=MODES[claim][1])
    rest, margin = rest_among(study, claim, drawn), margin_of(claim)
    every = rest.values(range(DRAWS))
    tried: set[int] = set()

    def outside(numbers: Sequence[int]) -> Array:
        """Values with which no draw counts, so that all are drawn."""
        tried.update(numbers)
        return np.full((len(numbers), 1), np.finfo(np.float64).max)

    test = rank_test(replace(rest, values=outside), margin, [0.0])
    assert len(tried) == DRAWS - test.dismissed
    counts = np.array([margin(float(value)) >= 0 for value in every[:, 0]])
    left = np.array([number not in tried for number in range(DRAWS)])
    return Dismissed(int(counts.sum()), test.dismissed, int((counts & left).sum()))


def _dismissals(claim: str) -> Entry:
    what = "draws near the bound, judged on 24 prompts first"

    def run(trials: int) -> tuple[Row, ...]:
        found = [dismissals(claim, seed) for seed in seeds(claim + what, trials)]
        counting, dismissed, wrongly = (
            sum(getattr(each, name) for each in found) for name in Dismissed.__annotations__
        )
        amiss = f"{wrongly} draws dismissed that count" if wrongly else ""
        cells = (claim, what, f"{trials}", "-", f"{counting} of {trials * DRAWS}", f"{dismissed}", f"{wrongly}")
        return (Row((*cells, amiss and f"**{amiss}**"), amiss),)

    return Entry(f"{claim}: {what}", run, cost=3.0)


SECTION = Section(
    "The rank test",
    "An axis drawn from a core's rest and put in the core's place is exchangeable with the other 199 draws: it should"
    " beat them in 1 % of trials, and no more often where draws inside the bound count as well. A draw that misses the"
    " bound by five standard errors on 24 prompts is dismissed and not tried on all 96: none of these should count.",
    ("agreement.", "", "trials", "beats the rest", "draws that count", "dismissed", "wrongly", ""),
    (
        *(_equals(claim, bounded=bounded) for bounded in (False, True) for claim in MODES),
        *(_dismissals(claim) for claim in MODES),
    ),
)
