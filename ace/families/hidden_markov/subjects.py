"""Subjects of the claims about hidden Markov processes."""

from __future__ import annotations

from collections.abc import Iterator

from ace.families.family import Fixtures
from ace.families.trained import ensemble_subject
from ace.study.subject import LazySubject


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    yield ensemble_subject(fixtures, "hidden-markov", "hidden_markov", "hidden_markov")
