"""The project's own sweeps, subjects of the claims about the grokking delay."""

from __future__ import annotations

from collections.abc import Iterator

from ace.families.family import Fixtures
from ace.study.subject import LazySubject
from ace.study.sweep import SweepSubject, subject_of

SCALES = {"grokking-compact": "compact", "grokking-paper": "paper"}


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    for name, scale in SCALES.items():
        yield _lazy(fixtures, name, scale)


def _lazy(fixtures: Fixtures, name: str, scale: str) -> LazySubject:
    memory, rerun = fixtures.memory(name), fixtures.rerun(name)

    def make() -> SweepSubject:
        return subject_of(*fixtures.sweep(name), rerun=rerun, memory=memory)

    return LazySubject(name, "law", make, scale, name, rerun, memory=memory)
