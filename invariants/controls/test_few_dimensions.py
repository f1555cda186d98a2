"""Extractors that have fewer dimensions than a study would look at."""

from __future__ import annotations

from torch import Tensor

from ace.core import Core
from ace.errors import Inapplicable
from ace.extract import extract_core
from ace.rank import RankRule
from ace.study.site_choice import rank_of
from invariants.controls.planted_language import STRONG
from invariants.controls.synthetic import synthetic_subject, verdict
from invariants.controls.worlds import World, world


class Bent(World):
    """A world whose sensitivities are not all in one direction, so that larger cores can be asked for."""

    def gradients(self, states: Tensor) -> Tensor:
        """Each entry a little with the state's."""
        return super().gradients(states) * (1 + 0.01 * states)


def test_an_extractor_of_one_direction_is_judged_by_it() -> None:
    """The ranks that are looked at end where its dimensions do, as those of a mean difference of two classes."""
    asked: list[int] = []

    def single(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
        core = extract_core(states, sensitivities, rank=rank)
        asked.append(core.dimension)
        if core.dimension > 1:
            raise Inapplicable("one direction")
        return core

    of = world(STRONG, 0)
    bent = Bent(of.law, of.mixing, of.centre, of.read, of.seed)
    subject, whole = (synthetic_subject([bent], extractor=one, fixed=False) for one in (single, extract_core))
    assert rank_of(subject.trained.studies[0].choice()) == 1
    found, same = (verdict("agreement.flip", one) for one in (subject, whole))
    assert max(asked) == 2
    assert (found.status, found.estimate) == (same.status, same.estimate)
