"""Subjects of the claims about Markov chains: the published chain at both scales, and the low-rank chain."""

from __future__ import annotations

from collections.abc import Iterator

from ace.families.family import Fixtures
from ace.families.trained import ensemble_subject
from ace.study.subject import LazySubject

LOW_RANK = "low-rank"


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    companions = {"low-rank chain": LOW_RANK}
    for scale in ("compact", "paper"):
        name = f"markov-{scale}"
        yield ensemble_subject(fixtures, name, "markov", name, scale=scale, companions=companions)
    yield ensemble_subject(fixtures, LOW_RANK, "low_rank", LOW_RANK)
