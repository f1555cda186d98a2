"""Whole verdicts, by the code that judges real models, about systems whose truth is known.

Trials are systems of numbers (`invariants.controls.synthetic`): states of very uneven spread, heads crossed with
attractors, prompts that share a noun, a mildly nonlinear contrast. Cores, edits, intervals, the rest and the judge are
those of any other subject.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from torch import Tensor

from ace.core import Core
from ace.model.intervene import Intervention
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts
from ace.verify import Status
from invariants.calibration.axes import covariance_axis, dual_axis, haar_axis, read_axis
from invariants.calibration.coverage import ERRORS
from invariants.calibration.section import Entry, Row, Section
from invariants.controls.synthetic import EACH, SITES, Source, Synthetic, replaced, synthetic_subject, verdict
from invariants.controls.worlds import FIRST_COMPONENT, LARGEST, PLAIN, Shape, World, true_axis, world

CLAIMS = ("sufficiency", "necessity", "flip", "mirror")
STATUSES = (Status.HOLDS, Status.VACUOUS, Status.UNDECIDED, Status.FAILS, Status.INAPPLICABLE)

Trial = Callable[[int], PromptSubject]  # seed -> subject


@dataclass(frozen=True)
class Asked:
    """What share of trials a claim is asked to hold in, and to be vacuous in; None where nothing is asked."""

    least: float | None = None
    most: float | None = None
    vacuous: float | None = None

    def __str__(self) -> str:
        parts = [f"HOLDS >= {self.least:.0%}"] if self.least is not None else []
        parts += [f"HOLDS <= {self.most:.0%}"] if self.most is not None else []
        parts += [f"VACUOUS <= {self.vacuous:.0%}"] if self.vacuous is not None else []
        return ", ".join(parts) or "-"

    def amiss(self, shares: Mapping[Status, float], trials: int) -> str:
        """What differs from what is asked for by more than Monte Carlo error, or ""."""

        def beyond(status: Status, limit: float | None, sign: int) -> str:
            if limit is None:
                return ""
            slack = ERRORS * math.sqrt(limit * (1 - limit) / trials)
            far = sign * (shares[status] - limit) > slack + 1e-12
            return f"{status} in {shares[status]:.1%}, limit {limit:.0%}" if far else ""

        found = (
            beyond(Status.HOLDS, self.least, -1),
            beyond(Status.HOLDS, self.most, 1),
            beyond(Status.VACUOUS, self.vacuous, 1),
        )
        return "; ".join(filter(None, found))


RARELY = Asked(most=0.01)
ON_BOUND = Asked(most=0.05)
FOUND = Asked(least=0.95, vacuous=0.01)
ANYTHING = Asked(vacuous=0.01)


def seeds(name: str, trials: int) -> list[int]:
    """A seed for each trial, the same whatever their number."""
    first = zlib.crc32(name.encode()) % 2**30
    return [first + 17 * trial for trial in range(trials)]


def row(what: str, claim: str, found: Counter[Status], asked: Asked, note: str = "") -> Row:
    """Shares of each verdict in the trials of one claim."""
    trials = found.total()
    shares = {status: found[status] / trials for status in STATUSES}
    amiss = asked.amiss(shares, trials)
    marked = " ".join(filter(None, (note, amiss and f"**{amiss}**")))
    return Row((what, claim, f"{trials}", *(f"{shares[status]:.1%}" for status in STATUSES), str(asked), marked), amiss)


def verdicts(
    name: str,
    trial: Trial,
    asked: Asked,
    claims: Sequence[str] = CLAIMS,
    *,
    note: str = "",
    beside: Callable[[PromptSubject], float] | None = None,
    cost: float = 6.0,
    thorough: bool = False,
) -> Entry:
    """An entry whose trials are judged by each of the claims `agreement.*`.

    Args:
        beside: the mean of this is shown.
    """

    def run(trials: int) -> tuple[Row, ...]:
        found: dict[str, Counter[Status]] = {claim: Counter() for claim in claims}
        values = []
        for seed in seeds(name, trials):
            subject = trial(seed)
            if beside is not None:
                values.append(beside(subject))
            for claim in claims:
                found[claim][verdict(f"agreement.{claim}", subject).status] += 1
            subject.memory.clear()
        words = f"cosine with the injected axis {np.mean(values):.3f}" if values else note
        return tuple(row(name, claim, found[claim], asked, words) for claim in claims)

    return Entry(name, run, cost, thorough)


# --- a random axis in the core's place --------------------------------------------------------------------------------
HALF = replace(PLAIN, stretch=LARGEST / 2)


def _with_axis(draw: Callable[[Core, PromptStudy, int], Core], seed: int) -> PromptSubject:
    subject = synthetic_subject([world(HALF, seed)])
    return replaced(subject, lambda core, study: draw(core, study, seed))


# --- an injected core -------------------------------------------------------------------------------------------------
def _injected(shape: Shape, seed: int) -> PromptSubject:
    return synthetic_subject([world(shape, seed)])


APART = replace(PLAIN, stretch=0.75 * LARGEST, tilt=0.0)
SPREADS = {"1/4": 0.25, "1/2": 0.5, "1": 1.0, "2": 2.0, "4": 4.0}  # of number, over that of the largest other direction
ENOUGH = 4.0


def leaning(subject: PromptSubject) -> float:
    """Cosine of the angle between the axis that was injected and the one that was found."""
    study = subject.trained.study(0)
    assert isinstance(study, Synthetic)
    return float((study.core(SITES[0]).basis[:, 0] @ true_axis(study.world)).abs())


def _core(name: str, shape: Shape, asked: Asked, *, thorough: bool = False) -> Entry:
    return verdicts(name, partial(_injected, shape), asked, beside=leaning, cost=10.0, thorough=thorough)


# --- truth on the bound -----------------------------------------------------------------------------------------------
ELSEWHERE = 5  # a coordinate that carries number too
MANY = 5000  # nouns of the population


@cache
def _population() -> Prompts:
    rows = np.arange(EACH * MANY)
    text = ("-",) * len(rows)
    nouns = tuple(f"{row // EACH}" for row in rows)
    return Prompts(text, rows % 2, Source.names, nouns, (Source.contrast,), Split.EVALUATION, rows // 2 % 2)


def _with_a_part_elsewhere(base: World, weight: float) -> World:
    """The world with `weight` times another coordinate that carries number added to its contrast."""

    def law(prompts: Prompts, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        coordinates = base.law(prompts, rng)
        coordinates[:, ELSEWHERE] = 2.0 * prompts.labels - 1 + 0.25 * coordinates[:, ELSEWHERE]
        return np.asarray(coordinates)

    def read(coordinates: Tensor) -> Tensor:
        return base.read(coordinates) + weight * coordinates[..., ELSEWHERE]

    return replace(base, law=law, read=read)


def on_bound(mode: str, projector: str, bound: float, inside: int, seed: int) -> PromptSubject:
    """A subject whose first seed's separation under an edit is exactly the bound in the population.

    The core is that of a world where number lies nowhere else; how much of the contrast comes from elsewhere follows
    from the bound, for the contrast is linear in it.

    Args:
        inside: how many seeds there are beside it whose separation has nothing from elsewhere.
    """
    plain = world(replace(PLAIN, stretch=LARGEST), seed)
    core = synthetic_subject([plain]).trained.study(0).core(SITES[0])
    nothing, one = (_with_a_part_elsewhere(plain, weight) for weight in (0.0, 1.0))
    prompts = _population()
    states = replace(nothing, seed=seed + 1).states(prompts)
    edited = Intervention(core, mode, projector=projector).apply(states)
    apart = partial(_apart, prompts.labels)
    own, left = apart(nothing.contrasts(states)), apart(nothing.contrasts(edited))
    own_more, left_more = apart(one.contrasts(states)) - own, apart(one.contrasts(edited)) - left
    weight = (bound * own - left) / (left_more - bound * own_more)
    worlds = [_with_a_part_elsewhere(plain, part) for part in (weight, *[0.0] * inside)]
    worlds = [replace(each, seed=seed + place) for place, each in enumerate(worlds)]
    return replaced(synthetic_subject(worlds), lambda extracted, study: core)


def _apart(labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]], contrasts: Tensor) -> float:
    values = contrasts.numpy()
    return float(values[labels == 1].mean() - values[labels == 0].mean())


def _on_bound(claim: str, mode: str, projector: str, bound: float, inside: int = 0, *, thorough: bool = False) -> Entry:
    name = f"separation {bound:g} under {mode}{f', {inside} more seeds inside' if inside else ''}"
    trial = partial(on_bound, mode, projector, bound, inside)
    return verdicts(name, trial, ON_BOUND, (claim,), cost=6.0 * (1 + inside), thorough=thorough)


COLUMNS = ("system", "agreement.", "trials", *map(str, STATUSES), "asked", "")

SECTION = Section(
    "Verdicts",
    "Systems of 24 dimensions, four of whose spreads reach from .1 to 4 and more, 400 prompts to extract from and 96"
    " about 24 nouns to evaluate on. **A random axis** in the core's place should not hold. **An injected core** should"
    " be found and hold, with power that grows with the spread of number along its axis; also where that axis is the"
    " first principal component of the states, of which random subspaces are full, and where it is nearly orthogonal to"
    " it. Where number varies less than the largest other direction the *orthogonal* projector loses first: an axis"
    " found from 400 prompts leans by chance towards what varies most. **Truth on the bound**: part of number lies"
    " elsewhere, as much as puts the population's separation on the claim's bound.",
    COLUMNS,
    (
        verdicts("random axis, Haar", partial(_with_axis, haar_axis), RARELY),
        verdicts("random axis, by the states' covariance", partial(_with_axis, covariance_axis), RARELY),
        verdicts(
            "random axis by covariance, reader dual in it",
            partial(_with_axis, dual_axis),
            RARELY,
            ("mirror",),
            cost=4.0,
        ),
        verdicts(
            "random axis, Haar, readers from sensitivities",
            partial(_with_axis, read_axis),
            Asked(),
            ("mirror",),
            note="not asked: in a nearly linear tail any axis mirrors what its reader reads",
            cost=4.0,
            thorough=True,
        ),
        *(
            _core(
                f"core, spread {name} of the largest other",
                replace(PLAIN, stretch=share * LARGEST),
                FOUND if share >= ENOUGH else ANYTHING,
                thorough=True,
            )
            for name, share in SPREADS.items()
        ),
        _core("core is the first principal component", FIRST_COMPONENT, FOUND),
        _core("core apart from the first principal component", APART, FOUND),
        _on_bound("sufficiency", "keep", "orthogonal", 0.8),
        _on_bound("sufficiency", "keep", "orthogonal", 1.25, thorough=True),
        _on_bound("necessity", "remove", "orthogonal", 0.1),
        _on_bound("necessity", "remove", "orthogonal", 0.1, 2, thorough=True),
        _on_bound("necessity", "remove", "orthogonal", -0.1, thorough=True),
        _on_bound("mirror", "flip", "oblique", -0.8),
    ),
)
