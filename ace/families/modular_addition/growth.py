"""How cores of modular addition grow after grokking, with weight decay and without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ace.families.modular_addition.as_published import published_sizes
from ace.families.modular_addition.scans import addition_of, necessary_at, scan_at, sufficient_at
from ace.families.modular_addition.sizes import (
    BOUNDS,
    Size,
    grown,
    keeping_area,
    once,
    redundancy_area,
    redundancy_rank,
    removal_area,
    removal_rank,
    widened,
)
from ace.model.intervene import RankScan
from ace.rank import necessary_rank
from ace.stats import Estimate
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.run_history import HALFWAY, RunHistory
from ace.study.tokens import TokenSubject

NO_DECAY, RESET = "without weight decay, from the branch", "reset, with weight decay"
BY_RANK = "by r_nec at 2 / p"
BY_RANKS = "by r_nec at 2 / p and r_suf"

Compare = Callable[[int, Size, RankScan, RankScan], Estimate]


@measures(NO_DECAY, "random subspaces")
def inflation(subject: TokenSubject) -> Measurement:
    """How many times as many dimensions accuracy is spread over at the end as just after grokking."""
    history = subject.training()
    area, rank, after = _area(history), _rank(history), _grokked(history)
    since = partial(_compared, history, grown)
    return Measurement(
        since(area, after, "decay"),
        {
            NO_DECAY: since(area, _branch(history), "free"),
            "random subspaces": since(area, after, "decay", "random"),
        },
        details={**_sizes(history, after), "branch": history.branch, "course": _growth(history)},
        beside={
            BY_RANK: since(rank, after, "decay"),
            "oblique": since(area, after, "decay", "oblique"),
            RESET: since(area, after, "reset"),
            "without weight decay": since(area, after, "free"),
        },
    )


@measures(RESET)
def no_inflation(subject: TokenSubject) -> Measurement:
    """The same from the branch to the end without weight decay; the control differs in weight decay alone."""
    history = subject.training()
    area, rank, branch = _area(history), _rank(history), _branch(history)
    since = partial(_compared, history, grown)
    return Measurement(
        since(area, branch, "free"),
        {RESET: since(area, branch, "reset")},
        details=_sizes(history, branch),
        beside={
            BY_RANK: since(rank, branch, "free"),
            "oblique": since(area, branch, "free", "oblique"),
            "weight decay all along": since(area, branch, "decay"),
        },
    )


@measures(NO_DECAY)
def redundancy(subject: TokenSubject) -> Measurement:
    """By how many dimensions what accuracy is spread over has outgrown what it takes, since grokking."""
    history = subject.training()
    modulus, after = addition_of(history).modulus, _grokked(history)
    area = partial(redundancy_area, chance=1 / modulus)
    since = partial(_compared, history, widened)
    return Measurement(
        since(area, after, "decay"),
        {NO_DECAY: since(area, _branch(history), "free")},
        details=_sizes(history, after),
        beside={
            BY_RANKS: since(partial(redundancy_rank, bound=2 / modulus), after, "decay"),
            "oblique": since(area, after, "decay", "oblique"),
            RESET: since(area, after, "reset"),
            "without weight decay": since(area, after, "free"),
        },
    )


def _area(history: RunHistory) -> Size:
    return partial(removal_area, chance=1 / addition_of(history).modulus)


def _rank(history: RunHistory) -> Size:
    return partial(removal_rank, bound=2 / addition_of(history).modulus)


def _grokked(history: RunHistory) -> list[int]:
    """Each model's first checkpoint after grokking."""
    return [history.stages(k).after for k in history.members]


def _branch(history: RunHistory) -> list[int]:
    return [history.branch] * len(history)


def _compared(
    history: RunHistory, compare: Compare, size: Size, early: list[int], arm: str, chain: str = "core"
) -> tuple[Estimate, ...]:
    """A size of each model at the end of an arm, compared with that at its early checkpoint."""
    return tuple(
        compare(
            k, size, scan_at(history, history.last_of(arm), k, arm, chain), scan_at(history, early[k], k, chain=chain)
        )
        for k in history.members
    )


def _sizes(history: RunHistory, early: list[int]) -> dict[str, Any]:
    """Areas, and r_nec and r_suf by several bounds, of every model, early and at the end of every arm."""
    modulus = addition_of(history).modulus

    def areas(epoch: int, index: int, arm: str | None = None) -> list[float]:
        scan = scan_at(history, epoch, index, arm)
        return [float(area(scan, once(scan), 1 / modulus)[0]) for area in (removal_area, keeping_area)]

    def ranks(epoch: int, index: int, arm: str | None = None) -> list[int | None]:
        return [necessary_at(history, epoch, index, arm).value, sufficient_at(history, epoch, index, arm).value]

    def bounds(epoch: int, index: int, arm: str | None = None) -> list[int | None]:
        removed = scan_at(history, epoch, index, arm).remove
        return [necessary_rank(removed, bound).value for bound in BOUNDS]

    ends = {arm: history.last_of(arm) for arm in history.course.arms}
    sizes: dict[str, Any] = {"epochs": [*early, history.last], "ends": ends, "bounds": list(BOUNDS)}
    for name, measured in (
        ("areas of removal, keeping", areas),
        ("r_nec, r_suf", ranks),
        ("r_nec by bounds", bounds),
        ("r_nec, r_suf as published", partial(published_sizes, history)),
    ):
        sizes[f"{name}, early"] = [measured(early[k], k) for k in history.members]
        for arm, end in ends.items():
            sizes[f"{name}, late, {arm}"] = [measured(end, k, arm) for k in history.members]
    return sizes


@remembered
def _curves(history: RunHistory, epoch: int, index: int, arm: str) -> dict[str, float | None]:
    """Areas, r_nec and r_suf of one model; None is "not reached", or not learnt."""
    chance, scan = 1 / addition_of(history).modulus, scan_at(history, epoch, index, arm)
    learnt = scan.base > HALFWAY
    return {
        "removal": float(removal_area(scan, once(scan), chance)[0]) if learnt else None,
        "keeping": float(keeping_area(scan, once(scan), chance)[0]) if learnt else None,
        "r_nec": necessary_at(history, epoch, index, arm).value,
        "r_suf": sufficient_at(history, epoch, index, arm).value,
    }


def _growth(history: RunHistory) -> dict[str, Any]:
    """The same of every model at every checkpoint of every arm."""
    by_arm: dict[str, Any] = {}
    for arm in history.course.arms:
        epochs = history.epochs_of(arm)
        curves = [[_curves(history, epoch, k, history.arm_at(epoch, arm)) for epoch in epochs] for k in history.members]
        names = ("removal", "keeping", "r_nec", "r_suf")
        by_arm[arm] = {"epochs": epochs, **{name: [[at[name] for at in each] for each in curves] for name in names}}
    return by_arm
