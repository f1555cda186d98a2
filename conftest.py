"""Wiring of the tests: Hypothesis profiles, the zoo, and the subjects of claims."""

from __future__ import annotations

import os

# Read by OpenMP when torch loads. Threads that spin while they wait cost a busy two-core machine most of its time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ace.errors import NotTrained
from ace.extract import Extractor
from ace.measure.history import History, grokking_subject
from ace.measure.subject import Study, Subject
from ace.plugin import SESSION, parametrize_claims
from ace.training.result import TrainedEnsemble
from fixtures.zoo import CACHE, Zoo
from fixtures.zoo import recipe as find_recipe

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SUBJECTS: dict[str, tuple[str, ...]] = {
    "markov": ("compact", "paper"),
    "low_rank": (),
    "hidden_markov": (),
    "modadd": ("compact", "paper"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_claims(metafunc, SUBJECTS)


@pytest.fixture(scope="session")
def zoo(request: pytest.FixtureRequest) -> Zoo:
    config = request.config
    return Zoo(
        cache=Path(config.getoption("--ace-cache") or CACHE),
        retrain=config.getoption("--ace-retrain"),
        seed=int(config.getoption("--ace-seed")) if config.getoption("--ace-seed") else None,
        since=config.stash[SESSION].started,
        device=config.getoption("--ace-device") or "cpu",
        progress=not hasattr(config, "workerinput"),
        # Hours of training are meant only where the published setting alone is asked for anew.
        patient=config.getoption("--ace-retrain") and config.getoption("--ace-scale") == "paper",
    )


class Subjects:
    """Subjects by recipe, each studied once in a process."""

    def __init__(self, zoo: Zoo, extractor: Extractor, uncaptured: Callable[[], AbstractContextManager[None]]) -> None:
        self._zoo, self._extractor, self._uncaptured = zoo, extractor, uncaptured
        self._studies: dict[str, tuple[Study, Study]] = {}
        self._subjects: dict[str, Subject] = {}

    def _obtain(self, recipe: str) -> TrainedEnsemble:
        try:
            with self._uncaptured():  # progress bars of a training are for the user, not for the captured output
                return self._zoo.obtain(find_recipe(recipe))
        except NotTrained as reason:
            pytest.skip(str(reason))

    def studies(self, recipe: str) -> tuple[Study, Study]:
        """The trained and the untrained ensemble of a recipe."""
        if recipe not in self._studies:
            ensemble = self._obtain(recipe)
            task = ensemble.recipe.build_task()
            trained, untrained = (Study(ensemble.models(epoch), task, extractor=self._extractor) for epoch in (None, 0))
            self._studies[recipe] = (trained, untrained)
        return self._studies[recipe]

    def subject(self, recipe: str, scale: str | None, **companions: str) -> Subject:
        """A subject; companions are recipes by the name that a claim's control has for them."""
        name = f"{recipe}-{scale}" if scale else recipe
        if name not in self._subjects:
            trained, untrained = self.studies(name)
            others = {control: self.studies(other)[0] for control, other in companions.items()}
            selector = f"{{claim}}-{scale}" if scale else "{claim}"
            self._subjects[name] = Subject(name, trained, untrained, others, f'pytest invariants -k "{selector}"')
        return self._subjects[name]

    def grokking(self, recipe: str, scale: str) -> Subject:
        """A subject with the history of its training."""
        name = f"{recipe}-{scale}"
        if name not in self._subjects:
            history = History(self._obtain(name), extractor=self._extractor)
            self._subjects[name] = grokking_subject(name, history, f'pytest invariants -k "{{claim}}-{scale}"')
        return self._subjects[name]


@pytest.fixture(scope="session")
def subjects(zoo: Zoo, extractor: Extractor, request: pytest.FixtureRequest) -> Subjects:
    capture = request.config.pluginmanager.getplugin("capturemanager")
    return Subjects(zoo, extractor, capture.global_and_fixture_disabled if capture else nullcontext)


@pytest.fixture(scope="session")
def markov(request: pytest.FixtureRequest, subjects: Subjects) -> Subject:
    return subjects.subject("markov", request.param, **{"low-rank chain": "low-rank"})


@pytest.fixture(scope="session")
def modadd(request: pytest.FixtureRequest, subjects: Subjects) -> Subject:
    return subjects.grokking("modadd", request.param)


@pytest.fixture(scope="session")
def low_rank(request: pytest.FixtureRequest, subjects: Subjects) -> Subject:
    return subjects.subject("low-rank", request.param)


@pytest.fixture(scope="session")
def hidden_markov(request: pytest.FixtureRequest, subjects: Subjects) -> Subject:
    return subjects.subject("hidden-markov", request.param)
