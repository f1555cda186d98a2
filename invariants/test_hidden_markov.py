"""Claims about transformers trained on a hidden Markov process: the core carries what the current token cannot show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ace.measure import Subject
from ace.verify import Verdict, verify_claim

Settle = Callable[[Verdict], None]

pytestmark = pytest.mark.claim


@pytest.mark.ace_claim("hidden_markov.belief")
def test_the_core_linearly_carries_the_belief_state(hidden_markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, hidden_markov))


@pytest.mark.ace_claim("hidden_markov.alignment")
def test_cores_agree_beyond_the_current_token(hidden_markov: Subject, ace_claim: str, ace_settle: Settle) -> None:
    ace_settle(verify_claim(ace_claim, hidden_markov))
