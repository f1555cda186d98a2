"""Subjects of the claims about modular addition: models just after grokking, with the whole of their training."""

from __future__ import annotations

from collections.abc import Iterator

from ace.errors import Inapplicable
from ace.families.family import Fixtures
from ace.study.memory import Memory
from ace.study.run_history import RunHistory
from ace.study.subject import LazySubject
from ace.study.tokens import TokenSubject


def subjects(fixtures: Fixtures) -> Iterator[LazySubject]:
    """The project's own subjects."""
    for scale in ("compact", "paper"):
        name = f"modadd-{scale}"
        yield _lazy(fixtures, name, scale)


def _lazy(fixtures: Fixtures, name: str, scale: str) -> LazySubject:
    memory, rerun = fixtures.memory(name), fixtures.rerun(name)

    def make() -> TokenSubject:
        history = RunHistory(fixtures.ensemble(name), extractor=fixtures.extractor, memory=memory)
        return grokking_subject(name, history, rerun=rerun, memory=memory)

    return LazySubject(name, "modadd", make, scale, name, rerun, memory=memory)


def grokking_subject(name: str, history: RunHistory, *, rerun: str = "", memory: Memory | None = None) -> TokenSubject:
    """The subject of a training's claims: each model at its first checkpoint after grokking, and what it was before.

    A model that did not generalise stands there at its last checkpoint, so that claims about the training itself can
    still be judged; all others are INAPPLICABLE to it (`RunHistory.require_generalised`). Where no checkpoint has all
    models memorised, the subject has no "memorised" companion.
    """

    def after(index: int) -> int:
        try:
            return history.stages(index).after
        except Inapplicable:
            return history.last

    memorised = [history.learnt("train", k) for k in history.members]
    all_memorised = [e for e in history.epochs if all(learnt is not None and e >= learnt for learnt in memorised)]
    return TokenSubject(
        name,
        "modadd",
        history.study(tuple(map(after, history.members))),
        history.study(0),
        {"memorised": history.study(all_memorised[0])} if all_memorised else {},
        history=history,
        rerun=rerun,
        memory=memory or Memory(),
    )
