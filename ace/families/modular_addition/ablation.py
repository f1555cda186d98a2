"""Keeping and removing cores of modular addition, and carrying their coordinates from one model to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ace.alternatives.methods import own_readers
from ace.arrays import Array
from ace.core import OBLIQUE, ORTHOGONAL, Core
from ace.families.core.alignment import oblique
from ace.families.core.likeness import outputs
from ace.families.core.transplant import transplants
from ace.families.modular_addition.clock_or_pizza import distance_irrelevance, gradient_symmetricity
from ace.families.modular_addition.means import class_means
from ace.families.modular_addition.the_rest import rest_hits, rest_of
from ace.rotation import leading_modes, mode_energy
from ace.stats import Estimate, bootstrap_mean, proportion
from ace.study.alternatives import alternative_cores
from ace.study.controls import edited
from ace.study.measurement import Measurement, measures
from ace.study.subspaces import REST
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.training.transformer import SmallTransformer

WHEN = "at the first checkpoint after grokking"
PAIRS = 200  # whose gradients say which algorithm a model runs


def published_bound(study: TokenStudy) -> float:
    """2 / p: what the paper allows to be left without the core."""
    return 2 / study.task.vocabulary


def kept_margin(study: TokenStudy, index: int, core: Core, mode: str = "keep", projector: str = ORTHOGONAL) -> Estimate:
    """Accuracy with a core kept, or its complement, minus that of the whole model, on the same pairs."""
    hits = study.performance(index, edited(core, mode, projector))[0]
    return bootstrap_mean(str(index), (hits - study.base(index)[0]).mean(axis=1))


def accuracy(study: TokenStudy, index: int, core: Core, mode: str, projector: str = ORTHOGONAL) -> Estimate:
    """Accuracy with a core kept or removed, with its exact binomial interval: pairs are independent draws."""
    hits = study.performance(index, edited(core, mode, projector))[0]
    return proportion(str(index), int(hits.sum()), hits.size)


@measures(REST, "complement")
def sufficiency(subject: TokenSubject) -> Measurement:
    """Accuracy with the core kept, minus base, on the same pairs, at the first checkpoint after grokking."""
    study, late = subject.trained, at_the_end(subject)

    def lost(index: int, numbers: Sequence[int]) -> Array:
        own = study.base(index)[0]
        return (rest_hits(study, index, "keep", numbers) - own.sum()) / own.size

    return Measurement(
        each(study, kept_margin),
        {"complement": each(study, partial(kept_margin, mode="remove"))},
        details={
            "dimensions": [study.core(k).dimension for k in study.members],
            "base": [float(study.base(k)[0].mean()) for k in study.members],
        },
        site=f"{study.site}, {WHEN}",
        rest=rest_of(study, lost),
        beside=_beside(study, late, kept_margin),
    )


@measures(REST)
def necessity(subject: TokenSubject) -> Measurement:
    """Accuracy with the core removed, at the first checkpoint after grokking, against 2 / p."""
    study, late = subject.trained, at_the_end(subject)
    removed = partial(accuracy, mode="remove")
    return Measurement(
        each(study, removed),
        {},
        {"2 / p": published_bound(study)},
        {
            "dimensions": [study.core(k).dimension for k in study.members],
            "dimensions at the end": [late.core(k).dimension for k in late.members],
            "chance": 1 / study.task.vocabulary,
        },
        site=f"{study.site}, {WHEN}",
        rest=rest_of(
            study, lambda index, numbers: rest_hits(study, index, "remove", numbers) / study.base(index)[0].size
        ),
        beside=_beside(study, late, removed),
    )


def at_the_end(subject: TokenSubject) -> TokenStudy:
    """The models at the end of their training."""
    history = subject.training()
    return history.study(history.last)


def each(study: TokenStudy, value: Callable[[TokenStudy, int, Core], Estimate]) -> tuple[Estimate, ...]:
    """A value of every model's core."""
    return tuple(value(study, k, study.core(k)) for k in study.members)


def _beside(study: TokenStudy, late: TokenStudy, value: Callable[..., Estimate]) -> dict[str, tuple[Estimate, ...]]:
    """The same by the oblique projector, at the end of training, and with every alternative in the core's place."""
    obliquely = partial(value, projector=OBLIQUE)
    ways = {
        OBLIQUE: each(study, obliquely),
        "at the end": each(late, value),
        "at the end, oblique": each(late, obliquely),
    }
    cores = {k: alternative_cores(study, k) for k in study.members}
    for name in dict.fromkeys(name for found in cores.values() for name in found):
        ways[name] = tuple(value(study, k, found[name]) for k, found in cores.items() if name in found)
        if not all(own_readers(found[name]) for found in cores.values() if name in found):
            ways[f"{name}, oblique"] = tuple(
                obliquely(study, k, found[name]) for k, found in cores.items() if name in found
            )
    return ways


@measures("outputs", "memorised donor")
def universality(subject: TokenSubject) -> Measurement:
    """Accuracy of each host on every donor's core coordinates, mapped affinely, minus the host's own."""
    history = subject.training()
    study, late = subject.trained, history.study(history.last)
    memorised = subject.companion("memorised")
    stages = {"untrained": subject.twins(), "memorised": memorised, "after grokking": study, "at the end": late}
    return Measurement(
        transplants(study, study),
        {
            "outputs": transplants(study, study, view=outputs),
            "memorised donor": transplants(memorised, study),
        },
        details={stage: _algorithm(models) for stage, models in stages.items()},
        beside={
            "at the end": transplants(late, late),
            "at the end, outputs": transplants(late, late, view=outputs),
            "shuffled map": transplants(study, study, shuffled=True),
            OBLIQUE: transplants(study, study, view=oblique, projector=OBLIQUE),
        },
        site=f"{study.site}, {WHEN}",
    )


def _algorithm(study: TokenStudy) -> dict[str, Any]:
    """Which algorithm each model runs, as far as the published measures tell, and by which frequencies."""
    models = [study.expect_model(k, SmallTransformer) for k in range(len(study))]
    pairs = study.batch(Split.SELECTION).inputs[:PAIRS]
    return {
        "gradient symmetricity": [gradient_symmetricity(model, pairs, seed=0) for model in models],
        "distance irrelevance": [distance_irrelevance(model) for model in models],
        "frequencies, strongest first": [
            leading_modes(mode_energy(class_means(study, k))).tolist() for k in range(len(study))
        ],
    }
