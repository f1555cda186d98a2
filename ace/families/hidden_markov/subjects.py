"""Subjects of the claims about hidden Markov processes."""

from __future__ import annotations

from collections.abc import Iterator

from ace.families.family import Fixtures
from ace.families.trained import ensemble_subject
from ace.study.subject import LazySubject
from ace.tasks.base import Split

INNER = "hidden_markov_inner"  # what claims about a site below other blocks are about
DEEP = "hidden-markov-deep"
SITES = (1, 2)  # blocks whose input is asked: all but the embedding and what the head reads
SIZES = {Split.EXTRACTION: 600, Split.SELECTION: 1000, Split.EVALUATION: 600}


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    yield ensemble_subject(fixtures, "hidden-markov", "hidden_markov", "hidden_markov")
    for block in SITES:
        name, site = f"{DEEP}-{block}", f"blocks.{block}"
        yield ensemble_subject(fixtures, DEEP, INNER, DEEP, name=name, site=site, sizes=SIZES)
