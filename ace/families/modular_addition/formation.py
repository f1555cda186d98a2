"""When modular addition is learnt, and whether the core appears with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ace.arrays import Array
from ace.families.modular_addition.ablation import WHEN, accuracy, each, published_bound
from ace.families.modular_addition.scans import scan_at
from ace.families.modular_addition.the_rest import rest_hits, rest_of
from ace.stats import Estimate, exact, proportion
from ace.study.measurement import Measurement, measures
from ace.study.run_history import LEARNT, RunHistory
from ace.study.subspaces import REST
from ace.study.tokens import TokenStudy, TokenSubject

SCATTER = "memorisation, slowest seed over fastest"


@measures(SCATTER)
def grok(subject: TokenSubject) -> Measurement:
    """Epochs to generalisation over epochs to memorisation; 0 where held-out accuracy ends below .99.

    The control is what two crossings of .99 differ by where both are of learning by heart.
    """
    history = subject.training()
    members, first_point = history.members, history.course.evaluate
    memorised = [history.learnt("train", k) for k in members]
    generalised = [history.learnt("test", k) for k in members]
    reached = [max(epoch, first_point) for epoch in memorised if epoch is not None]

    def delay(index: int) -> float:
        """How many times as long; an epoch before the curve's first point counts as that point."""
        first, then = memorised[index], generalised[index]
        ends = history.accuracy("test", index)[-1][1] >= LEARNT
        return 0.0 if first is None or then is None or not ends else then / max(first, first_point)

    scatter = max(reached) / min(reached) if reached else 1.0
    return Measurement(
        tuple(exact(str(k), delay(k)) for k in members),
        {SCATTER: (exact("all", scatter),)},
        details={
            "epochs a point": first_point,
            "memorised": memorised,
            "generalised": generalised,
            "trained to": history.last,
            "curve": {
                "epochs": [epoch for epoch, _ in history.accuracy("test", 0)],
                **{kind: [[v for _, v in history.accuracy(kind, k)] for k in members] for kind in ("train", "test")},
            },
            "accuracy at the end": [history.accuracy("test", k)[-1][1] for k in members],
        },
    )


@measures("memorised", REST)
def formation(subject: TokenSubject) -> Measurement:
    """1 where the core carries the task at the first checkpoint after grokking and not at the last before, else 0."""
    history = subject.training()
    stages = [history.stages(k) for k in history.members]
    after = history.study(tuple(stage.after for stage in stages))
    before = history.study(tuple(stage.before for stage in stages))
    memorised, untrained = subject.companion("memorised"), subject.twins()

    def formed(study: TokenStudy, index: int, projector: str) -> bool:
        core = study.core(index)
        return _carries(study, *(accuracy(study, index, core, mode, projector) for mode in ("keep", "remove")))

    def appears(late: TokenStudy, early: TokenStudy, projector: str = "orthogonal") -> tuple[Estimate, ...]:
        return tuple(
            exact(str(k), float(formed(late, k, projector) and not formed(early, k, projector)))
            for k in history.members
        )

    def drawn(index: int, numbers: Sequence[int]) -> Array:
        """Of draws of the rest it is only asked whether they carry the task after grokking."""
        hits = np.stack([rest_hits(after, index, mode, numbers) for mode in ("keep", "remove")], axis=1)
        pairs = after.base(index)[0].size
        return np.array([float(_carries(after, *(proportion("", int(n), pairs) for n in both))) for both in hits])

    return Measurement(
        appears(after, before),
        {"memorised": appears(memorised, untrained)},
        rest=rest_of(after, drawn),
        beside={"oblique": appears(after, before, "oblique")},
        details={
            "before": [stage.before for stage in stages],
            "after": [stage.after for stage in stages],
            "dimensions before": [before.core(k).dimension for k in history.members],
            "dimensions after": [after.core(k).dimension for k in history.members],
            "accuracy before, after": [
                [float(study.base(k)[0].mean()) for study in (before, after)] for k in history.members
            ],
            "course": _ablations(history),
            **{
                f"{name}, {when}": [estimate.value for estimate in each(study, partial(accuracy, mode=mode))]
                for name, mode in (("kept", "keep"), ("removed", "remove"))
                for when, study in (("before", before), ("after", after))
            },
        },
        site=f"{after.site}, {WHEN}",
    )


def _carries(study: TokenStudy, kept: Estimate, removed: Estimate) -> bool:
    """Whether accuracy with a core kept may be .99, and without it is at most 2 / p, by their intervals."""
    return kept.interval()[1] >= LEARNT and removed.interval()[1] <= published_bound(study)


def _ablations(history: RunHistory) -> dict[str, Any]:
    """Accuracy as it is, with the core kept and with it removed, and its size, at every checkpoint."""
    course: dict[str, Any] = {"epochs": history.epochs, "base": [], "kept": [], "removed": [], "dimensions": []}
    for k in history.members:
        scans = [scan_at(history, epoch, k) for epoch in history.epochs]
        sizes = [history.study(epoch).core(k).dimension for epoch in history.epochs]
        course["base"].append([scan.base for scan in scans])
        # Scans pool cores of three splits and have the ranks that all of them have.
        ranks = [min(size, len(scan.keep)) for scan, size in zip(scans, sizes, strict=True)]
        course["kept"].append([float(scan.keep[rank - 1]) for scan, rank in zip(scans, ranks, strict=True)])
        course["removed"].append([float(scan.remove[rank - 1]) for scan, rank in zip(scans, ranks, strict=True)])
        course["dimensions"].append(sizes)
    return course
