"""What a run verifies: the models and factories that were asked for, or else the project's own trained models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ace.extract import Extractor, extract_core
from ace.files import default_cache
from ace.study.language_subjects import several_scales
from ace.study.subject import LazySubject
from ace.suite.parametrize import require_different_names
from ace.zoo.fixtures import StoredFixtures
from ace.zoo.named import ModelSource, lazy_factory, lazy_model
from ace.zoo.obtain import Store
from ace.zoo.real_models import family_name


@dataclass(frozen=True)
class Asked:
    """What a run was asked to verify, as plain values.

    Attributes:
        models: causal language models, each a subject; several are compared with each other as well.
        factories: functions that give subjects, as "package.module:function".
        fixtures: folder of the project's recipes and weights; used where no model and no factory is given.
        scale: one scale of the fixtures only.
        retrain, seed, device, cache, since, progress, showing: see `ace.zoo.obtain.Store`.
        extractor: the extraction function that cores come from.
        rerun: subject -> the command that verifies a claim on it again, with `{claim}` in the claim's place.
    """

    models: Sequence[ModelSource] = ()
    factories: Sequence[str] = ()
    fixtures: Path | None = None
    scale: str | None = None
    retrain: bool = False
    seed: int | None = None
    device: str | None = None
    cache: Path | None = None
    since: datetime | None = None
    progress: bool = True
    showing: Callable[[], AbstractContextManager[None]] = nullcontext
    extractor: Extractor = extract_core
    rerun: Callable[[str], str] = lambda subject: f'pytest -k "{{claim}}-{subject}"'


def asked_subjects(asked: Asked) -> tuple[LazySubject, ...]:
    """The subjects of a run; none of the models is loaded yet.

    Raises:
        InputError: a factory that does not exist or gives something else, or two subjects of one name.
    """
    if asked.models or asked.factories:
        models = [
            lazy_model(model, extractor=asked.extractor, rerun=asked.rerun(model.full_name)) for model in asked.models
        ]
        made = [lazy_factory(name, extractor=asked.extractor, rerun=asked.rerun) for name in asked.factories]
        require_different_names((*models, *made))
        return (*models, *_together(models, asked), *made)
    if asked.fixtures is None:
        return ()
    store = Store(
        asked.fixtures,
        asked.cache or default_cache(),
        retrain=asked.retrain,
        seed=asked.seed,
        since=asked.since,
        device=asked.device or "cpu",
        progress=asked.progress,
        # Hours of training are meant only where the published setting alone is asked for anew.
        patient=asked.retrain and asked.scale == "paper",
        showing=asked.showing,
    )
    return StoredFixtures(store, asked.extractor, asked.rerun).subjects(asked.scale)


def _together(models: Sequence[LazySubject], asked: Asked) -> tuple[LazySubject, ...]:
    """The models as one subject, named after them in any order; of one alone its claims are INAPPLICABLE."""
    if not models:
        return ()
    name = family_name(model.name for model in models)
    return (several_scales(name, models, rerun=asked.rerun(name)),)
