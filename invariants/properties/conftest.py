"""The extractor under test, as the properties of balanced readers see it."""

from __future__ import annotations

import pytest

from ace.extract import Extractor, wants_labels
from ace.rank import Fixed
from invariants.properties.strategies import Planted


@pytest.fixture(scope="session")
def extractor(ace_extractor: Extractor) -> Extractor:
    """The extraction function under test: the project's own, or the one that `--ace-extractor` names."""
    if wants_labels(ace_extractor):
        pytest.skip("asks for labels, which properties of states and sensitivities do not have")
    return ace_extractor


@pytest.fixture(scope="session")
def balanced_extractor(extractor: Extractor) -> Extractor:
    """The extractor under test, where its cores are balanced; others are skipped, with the reason."""
    system = Planted(seed=0, ratios=(1.5, 2.0), inert=2, condition=2.0)
    if not extractor(system.states, system.sensitivities, rank=Fixed(2)).balanced:
        pytest.skip("speaks about sigma and balanced readers; this extractor gives a basis without sensitivities")
    return extractor
