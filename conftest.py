"""Wiring of the tests: Hypothesis profiles, the zoo, and the subjects of claims."""

from __future__ import annotations

import os

# Read by OpenMP when torch loads. Threads that spin while they wait cost a busy two-core machine most of its time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ace.errors import AceError, NotTrained, TokenizerError
from ace.extract import Extractor
from ace.families.agreement.scales import FamilySubject
from ace.families.agreement.subject import AgreementSubject, fresh_twin
from ace.model.language import load_language_model, wrap_model
from ace.plugin import SESSION, options, parametrize_claims, refuse
from ace.study.prompts import LanguageStudy
from ace.study.run_history import History, grokking_subject, one_thread
from ace.study.tokens import ClaimSubject, Study, Subject
from ace.tasks.agreement import TASKS, AgreementTask
from ace.tasks.pairs import read_pairs
from ace.training.language.trainer import untrained_model
from ace.training.result import TrainedEnsemble
from fixtures.language_zoo import language_recipe, obtain_language_models
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
    "agreement": ("small", "medium", "large"),
    "agreement_family": (),
}
MODEL = {"agreement": ("model",), "agreement_family": ("model",)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    subjects = SUBJECTS | (MODEL if options(metafunc.config).models else {})
    parametrize_claims(metafunc, subjects, {"paper": [pytest.mark.paper_scale]})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a model to verify, the project's other tests say nothing about it."""
    if options(config).models:
        others = [item for item in items if not item.get_closest_marker("ace_claim")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.get_closest_marker("ace_claim")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip gpu tests, with the reason, where there is no CUDA device."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device; torch sees none")


@pytest.fixture(scope="session")
def zoo(request: pytest.FixtureRequest) -> Zoo:
    config, chosen = request.config, options(request.config)
    return Zoo(
        cache=chosen.cache or CACHE,
        retrain=chosen.retrain,
        seed=chosen.seed,
        since=config.stash[SESSION].started,
        device=chosen.device or "cpu",
        progress=not hasattr(config, "workerinput"),
        # Hours of training are meant only where the published setting alone is asked for anew.
        patient=chosen.retrain and chosen.scale == "paper",
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


class Languages:
    """Subjects of agreement: the embedded family by size, or the model that the command line names."""

    def __init__(
        self, config: pytest.Config, extractor: Extractor, uncaptured: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._config, self._extractor, self._uncaptured = config, extractor, uncaptured
        self._subjects: dict[str, ClaimSubject] = {}

    def subject(self, size: str) -> ClaimSubject:
        """The models of one size, or for "model" the user's own."""
        if size not in self._subjects:
            self._subjects[size] = self._users_model() if size == "model" else self._embedded(size)
        return self._subjects[size]

    def family(self, sizes: tuple[str, ...]) -> FamilySubject:
        """Several sizes as one subject."""
        scales = tuple(self.subject(size) for size in sizes)
        name = "agreement-family" if len(scales) > 1 else scales[0].name
        return FamilySubject(name, scales, 'pytest invariants -k "{claim}"')

    def _embedded(self, size: str) -> AgreementSubject:
        wanted, chosen = language_recipe(f"agreement-{size}"), options(self._config)
        with self._uncaptured():
            models = obtain_language_models(
                wanted,
                cache=chosen.cache or CACHE,
                retrain=chosen.retrain,
                seed=chosen.seed,
                since=self._config.stash[SESSION].started,
                progress=not hasattr(self._config, "workerinput"),
            )
        task = AgreementTask()
        wrapped = [wrap_model(found.model, found.tokenizer, wanted.name) for found in models]
        return AgreementSubject(
            wanted.name,
            tuple(LanguageStudy(language, task, extractor=self._extractor) for language in wrapped),
            lambda k: wrap_model(untrained_model(wanted, k), wrapped[k].tokenizer, wanted.name),
            task.transfers,
            f'pytest invariants -k "{{claim}}-{size}"',
            exact_judge=True,
        )

    def _users_model(self) -> ClaimSubject:
        chosen = options(self._config)
        name = chosen.models[0]
        task, source = TASKS.get(chosen.task or "agreement"), None
        if task is None:
            try:
                source = read_pairs(Path(chosen.task or ""))
            except AceError as error:
                refuse(self._config, f"{chosen.given['task']}: one of {', '.join(TASKS)}, or a file: {error}")
        try:
            language = load_language_model(
                name,
                revision=chosen.revision,
                dtype=chosen.dtype or "auto",
                device=chosen.device,
                tokenizer=chosen.tokenizer,
            )
        except TokenizerError as error:
            refuse(self._config, f"{chosen.given['models']}: {error}; name one with --ace-tokenizer")
        except AceError as error:
            refuse(self._config, f"{chosen.given['models']}: {error}")
        return AgreementSubject(
            Path(name).name,
            (LanguageStudy(language, task or source, extractor=self._extractor),),
            lambda k: fresh_twin(language, k),
            task.transfers if task else {},
            chosen.rerun("{claim}"),
            attractors=task is not None and task.attractors,
        )


@pytest.fixture(scope="session")
def languages(ace_extractor: Extractor, request: pytest.FixtureRequest) -> Languages:
    capture = request.config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else nullcontext
    return Languages(request.config, ace_extractor, uncaptured)


@pytest.fixture
def few_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Matrices of the embedded models are too small to share out: a second thread makes them slower by a quarter."""
    with nullcontext() if options(request.config).models else one_thread():
        yield


@pytest.fixture
def agreement(request: pytest.FixtureRequest, languages: Languages, few_threads: None) -> ClaimSubject:
    return languages.subject(request.param)


@pytest.fixture
def agreement_family(request: pytest.FixtureRequest, languages: Languages, few_threads: None) -> FamilySubject:
    return languages.family(("model",) if request.param == "model" else SUBJECTS["agreement"])


@pytest.fixture(scope="session")
def subjects(zoo: Zoo, ace_extractor: Extractor, request: pytest.FixtureRequest) -> Subjects:
    capture = request.config.pluginmanager.getplugin("capturemanager")
    return Subjects(zoo, ace_extractor, capture.global_and_fixture_disabled if capture else nullcontext)


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
