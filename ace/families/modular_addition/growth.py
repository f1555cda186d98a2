"""How cores of modular addition form at grokking and grow after it, with weight decay and without."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ace.errors import Inapplicable
from ace.families.modular_addition.ablation import chance_bound, kept_accuracy, random_kept, removed_accuracy
from ace.families.modular_addition.as_published import published_sizes
from ace.families.modular_addition.scans import (
    TOLERANCE,
    addition_of,
    necessary_at,
    resampled_accuracy,
    scan_at,
    sufficient_at,
)
from ace.model.intervene import RankScan
from ace.stats import Estimate, exact, resample_counts
from ace.study.measurement import Measurement, measures
from ace.study.replicates import REPLICATES
from ace.study.run_history import LEARNT, RunHistory
from ace.study.tokens import TokenStudy, TokenSubject
from ace.training.transformer import SmallTransformer

Sizes = NDArray[np.int64]


@measures("training pairs held out")
def grok(subject: TokenSubject) -> Measurement:
    """Points of the curve from memorisation to generalisation; none where held-out accuracy ends below .99."""
    history = subject.training()
    step = history.course.evaluate

    def delay(index: int, kind: str) -> float:
        first, then = history.learnt("train", index), history.learnt(kind, index)
        ends = history.accuracy(kind, index)[-1][1] >= LEARNT
        return (then - first) / step if ends and first is not None and then is not None else 0.0

    members = history.members
    return Measurement(
        tuple(exact(str(k), delay(k, "test")) for k in members),
        {"training pairs held out": tuple(exact(str(k), delay(k, "train")) for k in members)},
        details={
            "epochs a point": step,
            "memorised": [history.learnt("train", k) for k in members],
            "generalised": [history.learnt("test", k) for k in members],
            "trained to": history.last,
            "curve": {
                "epochs": [epoch for epoch, _ in history.accuracy("test", 0)],
                **{kind: [[v for _, v in history.accuracy(kind, k)] for k in members] for kind in ("train", "test")},
            },
            "accuracy at the end": [history.accuracy("test", k)[-1][1] for k in members],
        },
    )


@measures("memorised", "random, Haar")
def formation(subject: TokenSubject) -> Measurement:
    """1 where the core carries the task at the first checkpoint after grokking and not at the last before, else 0."""
    history = subject.training()
    stages = [history.stages(k) for k in history.members]
    after = history.study(tuple(stage.after for stage in stages))
    before = history.study(tuple(stage.before for stage in stages))
    memorised = subject.companion("memorised")

    def formed(study: TokenStudy, index: int) -> bool:
        """Whether the accuracy with the core kept may be .99, and without it is at chance, by their intervals."""
        kept = kept_accuracy(study, index).interval()
        removed = removed_accuracy(study, index).interval()
        return kept[1] >= LEARNT and removed[1] <= chance_bound(study)

    def value(late: TokenStudy, early: TokenStudy, index: int) -> Estimate:
        return exact(str(index), float(formed(late, index) and not formed(early, index)))

    best = [random_kept(after, k) for k in history.members]
    return Measurement(
        tuple(value(after, before, k) for k in history.members),
        {
            "memorised": tuple(value(memorised, memorised, k) for k in history.members),
            "random, Haar": tuple(exact(str(k), float(accuracy >= LEARNT)) for k, accuracy in enumerate(best)),
        },
        details={
            "before": [stage.before for stage in stages],
            "after": [stage.after for stage in stages],
            "dimensions before": [before.core(k).dimension for k in history.members],
            "dimensions after": [after.core(k).dimension for k in history.members],
            "accuracy before, after": [
                [float(study.base(k)[0].mean()) for study in (before, after)] for k in history.members
            ],
            "course": _ablations(history),
            "kept, before": [kept_accuracy(before, k).value for k in history.members],
            "kept, after": [kept_accuracy(after, k).value for k in history.members],
            "removed, before": [removed_accuracy(before, k).value for k in history.members],
            "removed, after": [removed_accuracy(after, k).value for k in history.members],
        },
    )


@measures("without weight decay", "random subspaces", "reset, with weight decay")
def inflation(subject: TokenSubject) -> Measurement:
    """r_nec at the end over r_nec at the first checkpoint after grokking, with weight decay all along."""
    history = subject.training()
    early = [history.stages(k).after for k in history.members]

    def grown(arm: str) -> tuple[Estimate, ...]:
        return tuple(
            _ratio(history, k, scan_at(history, history.last, k, arm).core, scan_at(history, early[k], k).core)
            for k in history.members
        )

    def beside(index: int) -> Estimate:
        late, first = scan_at(history, history.last, index, "decay"), scan_at(history, early[index], index)
        return _ratio(history, index, late.random, first.random)

    return Measurement(
        grown("decay"),
        {
            "without weight decay": grown("free"),
            "random subspaces": tuple(beside(k) for k in history.members),
            "reset, with weight decay": grown("reset"),
        },
        details={**_sizes(history, early), "branch": history.branch, "course": _growth(history)},
    )


@measures("reset, with weight decay", "random subspaces at the end", "weight decay all along")
def no_inflation(subject: TokenSubject) -> Measurement:
    """r_nec at the end over r_nec at the branch, without weight decay since; the control differs in decay alone."""
    history = subject.training()

    def grown(arm: str) -> tuple[Estimate, ...]:
        return tuple(
            _ratio(history, k, scan_at(history, history.last, k, arm).core, scan_at(history, history.branch, k).core)
            for k in history.members
        )

    def random(index: int) -> Estimate:
        late, early = scan_at(history, history.last, index, "free"), scan_at(history, history.branch, index)
        return _ratio(history, index, late.random, early.core)

    return Measurement(
        grown("free"),
        {
            "reset, with weight decay": grown("reset"),
            "random subspaces at the end": tuple(random(k) for k in history.members),
            "weight decay all along": grown("decay"),
        },
        details=_sizes(history, [history.branch] * len(history)),
    )


@measures("without weight decay", "no training between")
def redundancy(subject: TokenSubject) -> Measurement:
    """By how many dimensions r_nec - r_suf has grown from the first checkpoint after grokking to the end."""
    history = subject.training()
    early = [history.stages(k).after for k in history.members]

    def widened(index: int, arm: str, start: int | None = None) -> Estimate:
        first = early[index] if start is None else start
        scans = scan_at(history, history.last, index, arm).core, scan_at(history, first, index, arm).core
        drawn, whole = (
            [_nec(history, scan, counts) - _suf(scan, counts) for scan in scans] for counts in _draws(scans[0], index)
        )
        return Estimate(
            str(index), float((whole[0] - whole[1])[0]), (drawn[0] - drawn[1]).astype(float), count=scans[0].count
        )

    return Measurement(
        tuple(widened(k, "decay") for k in history.members),
        {
            "without weight decay": tuple(widened(k, "free") for k in history.members),
            "no training between": tuple(widened(k, "decay", history.last) for k in history.members),
        },
        details=_sizes(history, early),
    )


def _draws(scan: RankScan, seed: int) -> tuple[Sizes, Sizes]:
    """(b, n) how often each held-out pair is drawn in each resample, and (1, n) each pair once."""
    return resample_counts(scan.count, REPLICATES, seed), np.ones((1, scan.count), dtype=np.int64)


def _first(met: NDArray[np.bool_]) -> Sizes:
    """(b) smallest rank at which a condition (b, r) is met; one beyond the last where it never is."""
    return np.where(met.any(axis=1), met.argmax(axis=1) + 1, met.shape[1] + 1).astype(np.int64)


def _nec(history: RunHistory, scan: RankScan, counts: Sizes) -> Sizes:
    return _first(resampled_accuracy(scan.remove_hits, counts) <= 2 / addition_of(history).modulus + 1e-12)


def _suf(scan: RankScan, counts: Sizes) -> Sizes:
    base = resampled_accuracy(scan.base_hits[None], counts)
    return _first(resampled_accuracy(scan.keep_hits, counts) >= base - TOLERANCE - 1e-12)


def _ratio(history: RunHistory, index: int, late: RankScan, early: RankScan) -> Estimate:
    """r_nec at one checkpoint over that at another, with resampled held-out pairs.

    Where the late one is not reached it counts as one more than all ranks: the ratio is at least that.

    Raises:
        Inapplicable: the early one is not reached, so there is nothing to compare with.
    """
    drawn, whole = ((_nec(history, late, c), _nec(history, early, c)) for c in _draws(late, index))
    if whole[1][0] > len(early.remove_hits):
        raise Inapplicable(f"model {index}: removal early reaches 2/p at no rank")
    return Estimate(str(index), float(whole[0][0] / whole[1][0]), drawn[0] / drawn[1], count=late.count)


def _sizes(history: RunHistory, early: list[int]) -> dict[str, Any]:
    """r_nec and r_suf of every model, early and at the end of every arm."""

    def both(epoch: int, index: int, arm: str | None = None) -> list[int | None]:
        choices = (necessary_at(history, epoch, index, arm), sufficient_at(history, epoch, index, arm))
        return [choice.value for choice in choices]

    def published(epoch: int, index: int, arm: str | None = None) -> list[int | None]:
        return published_sizes(history.study(epoch, arm).expect_model(index, SmallTransformer), addition_of(history))

    ranks: dict[str, Any] = {"epochs": [*early, history.last]}
    for suffix, sizes in (("", both), (", one split and logits not centred", published)):
        ranks[f"r_nec, r_suf early{suffix}"] = [sizes(early[k], k) for k in history.members]
        for arm in history.course.arms:
            ranks[f"r_nec, r_suf late, {arm}{suffix}"] = [sizes(history.last, k, arm) for k in history.members]
    return ranks


def _growth(history: RunHistory) -> dict[str, Any]:
    """r_nec and r_suf of every model at every checkpoint of every arm; None is "not reached"."""
    by_arm = {}
    for arm in history.course.arms:
        epochs = history.epochs
        by_arm[arm] = {
            "epochs": epochs,
            "r_nec": [[necessary_at(history, epoch, k, arm).value for epoch in epochs] for k in history.members],
            "r_suf": [[sufficient_at(history, epoch, k, arm).value for epoch in epochs] for k in history.members],
        }
    return by_arm


def _ablations(history: RunHistory) -> dict[str, Any]:
    """Accuracy as it is, with the core kept and with it removed, and its size, at every checkpoint."""
    course: dict[str, Any] = {"epochs": history.epochs, "base": [], "kept": [], "removed": [], "dimensions": []}
    for k in history.members:
        scans = [scan_at(history, epoch, k).core for epoch in history.epochs]
        sizes = [history.study(epoch).core(k).dimension for epoch in history.epochs]
        course["base"].append([scan.base for scan in scans])
        # Scans pool cores of three splits and have the ranks that all of them have.
        ranks = [min(size, len(scan.keep)) for scan, size in zip(scans, sizes, strict=True)]
        course["kept"].append([float(scan.keep[rank - 1]) for scan, rank in zip(scans, ranks, strict=True)])
        course["removed"].append([float(scan.remove[rank - 1]) for scan, rank in zip(scans, ranks, strict=True)])
        course["dimensions"].append(sizes)
    return course
