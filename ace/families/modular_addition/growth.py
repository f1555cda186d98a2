"""How cores of modular addition grow after grokking, with weight decay and without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ace.families.modular_addition.as_published import published_sizes
from ace.families.modular_addition.scans import addition_of, held_out_at, necessary_at, scan_at, sufficient_at
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
from ace.study.run_history import HALFWAY, RunHistory
from ace.study.tokens import TokenSubject

BY_RANK = "by r_nec at 2 / p"
BY_RANKS = "by r_nec at 2 / p and r_suf"

Compare = Callable[[int, Size, RankScan, RankScan], Estimate]


@measures("without weight decay, from the branch", "random subspaces", "reset, with weight decay", BY_RANK, "oblique")
def inflation(subject: TokenSubject) -> Measurement:
    """How many times as many dimensions accuracy is spread over at the end as just after grokking."""
    history = subject.training()
    area, rank, after = _area(history), _rank(history), _grokked(history)
    since = partial(_compared, history, grown)
    return Measurement(
        since(area, after, "decay"),
        {
            "without weight decay, from the branch": since(area, _branch(history), "free"),
            "random subspaces": since(area, after, "decay", "random"),
            "reset, with weight decay": since(area, after, "reset"),
            BY_RANK: since(rank, after, "decay"),
            "oblique": since(area, after, "decay", "oblique"),
        },
        details={**_sizes(history, after), "branch": history.branch, "course": _growth(history)},
    )


@measures("reset, with weight decay", "weight decay all along", BY_RANK, "oblique")
def no_inflation(subject: TokenSubject) -> Measurement:
    """The same from the branch to the end without weight decay; the control differs in weight decay alone."""
    history = subject.training()
    area, rank, branch = _area(history), _rank(history), _branch(history)
    since = partial(_compared, history, grown)
    return Measurement(
        since(area, branch, "free"),
        {
            "reset, with weight decay": since(area, branch, "reset"),
            "weight decay all along": since(area, branch, "decay"),
            BY_RANK: since(rank, branch, "free"),
            "oblique": since(area, branch, "free", "oblique"),
        },
        details=_sizes(history, branch),
    )


@measures("without weight decay, from the branch", "reset, with weight decay", BY_RANKS, "oblique")
def redundancy(subject: TokenSubject) -> Measurement:
    """By how many dimensions what accuracy is spread over has outgrown what it takes, since grokking."""
    history = subject.training()
    modulus, after = addition_of(history).modulus, _grokked(history)
    area = partial(redundancy_area, chance=1 / modulus)
    since = partial(_compared, history, widened)
    return Measurement(
        since(area, after, "decay"),
        {
            "without weight decay, from the branch": since(area, _branch(history), "free"),
            "reset, with weight decay": since(area, after, "reset"),
            BY_RANKS: since(partial(redundancy_rank, bound=2 / modulus), after, "decay"),
            "oblique": since(area, after, "decay", "oblique"),
        },
        details=_sizes(history, after),
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
        compare(k, size, scan_at(history, history.last, k, arm, chain), scan_at(history, early[k], k, chain=chain))
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

    def published(epoch: int, index: int, arm: str | None = None) -> list[int | None]:
        return published_sizes(held_out_at(history, epoch, index, arm))

    sizes: dict[str, Any] = {"epochs": [*early, history.last], "bounds": list(BOUNDS)}
    for name, measured in (
        ("areas of removal, keeping", areas),
        ("r_nec, r_suf", ranks),
        ("r_nec by bounds", bounds),
        ("r_nec, r_suf as published", published),
    ):
        sizes[f"{name}, early"] = [measured(early[k], k) for k in history.members]
        for arm in history.course.arms:
            sizes[f"{name}, late, {arm}"] = [measured(history.last, k, arm) for k in history.members]
    return sizes


def _growth(history: RunHistory) -> dict[str, Any]:
    """Areas, r_nec and r_suf of every model at every checkpoint of every arm; None is "not reached", or not learnt."""
    chance = 1 / addition_of(history).modulus

    def area(size: Callable[..., Any], epoch: int, index: int, arm: str) -> float | None:
        scan = scan_at(history, epoch, index, arm)
        return float(size(scan, once(scan), chance)[0]) if scan.base > HALFWAY else None

    by_arm = {}
    epochs = history.epochs
    for arm in history.course.arms:
        by_arm[arm] = {
            "epochs": epochs,
            "removal": [[area(removal_area, epoch, k, arm) for epoch in epochs] for k in history.members],
            "keeping": [[area(keeping_area, epoch, k, arm) for epoch in epochs] for k in history.members],
            "r_nec": [[necessary_at(history, epoch, k, arm).value for epoch in epochs] for k in history.members],
            "r_suf": [[sufficient_at(history, epoch, k, arm).value for epoch in epochs] for k in history.members],
        }
    return by_arm
