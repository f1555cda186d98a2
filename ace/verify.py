"""Claim + subject -> Measurement -> Verdict."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ace.errors import ClaimError, Inapplicable
from ace.families.family import find_claim
from ace.study.claim import Claim
from ace.study.fingerprint import fingerprint
from ace.study.memory import return_freed
from ace.study.subject import LazySubject, Subject
from ace.verdict import Status, Verdict, judge

__all__ = ["Status", "Verdict", "judge", "verify_claim"]


def verify_claim(identifier: str, subject: Subject[Any] | LazySubject) -> Verdict:
    """Measure a claim on a subject and its controls, and judge it.

    A subject that is yet to be made is made here: whatever it lacks is the verdict INAPPLICABLE with its reason.

    Raises:
        ClaimError: no such claim, or a subject that it does not speak about.
        NotTrained: the subject's models would take hours to train, and nobody asked for that.
    """
    sentence = find_claim(identifier)
    if sentence.about != subject.about:
        raise ClaimError(
            f"{identifier}: expected a subject about {sentence.about}, got {subject.name}: {subject.about}"
        )
    try:
        made = subject.subject() if isinstance(subject, LazySubject) else subject
    except Inapplicable as reason:
        return Verdict(sentence, subject.name, Status.INAPPLICABLE, str(reason), command=subject.command(identifier))
    verdict, seconds = made.memory.get(("verdict", identifier, made), lambda: _timed(sentence, made))
    return_freed()
    return replace(verdict, command=made.command(identifier), seconds=seconds, fingerprint=fingerprint(made))


def _timed(sentence: Claim, subject: Subject[Any]) -> tuple[Verdict, float]:
    """The verdict, and the seconds it took."""
    started = time.perf_counter()
    try:
        if sentence.needs_behaviour:
            subject.require_behaviour()
        measured = sentence.measure(subject)
        verdict = judge(sentence, measured, subject.name)
    except Inapplicable as reason:
        verdict = Verdict(sentence, subject.name, Status.INAPPLICABLE, str(reason))
        return _with_left_out(verdict, subject), time.perf_counter() - started
    if subject.history is not None:
        verdict = replace(verdict, details={**verdict.details, "trained": subject.history.progress})
    # Only now: a subject may have to be analysed before it can say where.
    verdict = replace(verdict, site=measured.site or subject.site, replication=_replicated(sentence, subject))
    return _with_left_out(verdict, subject), time.perf_counter() - started


def _with_left_out(verdict: Verdict, subject: Subject[Any]) -> Verdict:
    """The verdict with the models that it is not about, where some were left out, in its reason and its details."""
    if not subject.left_out:
        return verdict
    told = f"{verdict.reason}; left out: {'; '.join(subject.left_out.values())}"
    return replace(verdict, reason=told, details={**verdict.details, "left out": dict(subject.left_out)})


def _replicated(sentence: Claim, subject: Subject[Any]) -> tuple[float, ...] | str:
    """What the published protocol gives for a sentence of the paper."""
    if sentence.replication is None:
        return ()
    try:
        return sentence.replication.protocol(subject)
    except Inapplicable as reason:
        return str(reason)
