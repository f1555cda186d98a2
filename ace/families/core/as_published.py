"""The claims about any task by the published protocol, on the models of a subject: what its choices do to its figures.

It differs from ours in this. A core is extracted from the evaluation sequences that it is then judged on, by ACE at
0.999 of the energy whatever extractor and rule the subject has. Outputs are not centred, so that a shift of all logits
counts as one. What is kept or removed is kept or removed about zero, by the orthogonal projector. Canonical
correlations are those of the sequences that they are fitted on. Nothing is resampled: one number a model or pair.

The paper reads its models below a linear head and has the head's weight for the sensitivities. Where more than that
follows a site, the gradients of the uncentred outputs stand for it, as `Tail.sensitivities` takes them.
"""

from __future__ import annotations

from collections.abc import Callable

from ace.arrays import Array
from ace.compare import canonical_correlations, overlap
from ace.core import Core
from ace.errors import Inapplicable
from ace.extract import extract_core
from ace.families.core.operator import known_eigenvalues, spectrum_distance, steps
from ace.model.intervene import Intervention
from ace.model.tail import Edit
from ace.rank import Energy
from ace.study.memory import remembered
from ace.study.tokens import ENERGY, TokenStudy, TokenSubject
from ace.tasks.base import Split

TEST = Split.EVALUATION  # 3,000 sequences, as published

Figure = Callable[[TokenSubject], tuple[float, ...]]


@remembered
def published_core(study: TokenStudy, index: int) -> Core:
    """One model's core from the evaluation sequences and the sensitivities of its outputs as they are.

    Raises:
        Inapplicable: there is no energy in them, so that the core has no dimensions.
    """
    batch = study.batch(TEST)
    sensitivities = study.tail(index).sensitivities(study.inputs(TEST), batch.scored, centred=False, seed=index)
    core = extract_core(study.states(index, TEST).flatten(0, 1), sensitivities, rank=Energy(ENERGY))
    if core.dimension == 0:
        raise Inapplicable(f"model {index} has a core of no dimensions by the published rule {core.rank.rule!r}")
    return core


def published_coordinates(study: TokenStudy, index: int) -> Array:
    """(n, s, r) float64 coordinates of the evaluation sequences in that core."""
    return published_core(study, index).coordinates(study.states(index, TEST)).numpy()


def published_edit(core: Core, mode: str) -> Edit:
    """What keeps or removes a core about zero."""
    return Intervention(core, mode, reference="zero").apply


def of_each(figure: Callable[[TokenStudy, int], float]) -> Figure:
    """A figure of every model."""
    return lambda subject: tuple(float(figure(subject.trained, k)) for k in subject.trained.members)


def of_pairs(figure: Callable[[TokenStudy, int, int], float]) -> Figure:
    """A figure of every pair of models, i < j."""
    return lambda subject: tuple(float(figure(subject.trained, i, j)) for i, j in subject.trained.pairs)


def _score(study: TokenStudy, index: int, mode: str) -> float:
    return float(study.scores(index, published_edit(published_core(study, index), mode)).mean())


def _kept(study: TokenStudy, index: int) -> float:
    return _score(study, index, "keep") - float(study.base_scores(index).mean())


def _left(study: TokenStudy, index: int) -> float:
    return _score(study, index, "remove") - float(study.chance.mean())


def _overlap(study: TokenStudy, i: int, j: int) -> float:
    return overlap(published_core(study, i).basis, published_core(study, j).basis)


def _smallest_correlation(study: TokenStudy, i: int, j: int) -> float:
    views = [published_core(study, k).coordinates(study.states(k, TEST)).flatten(0, 1) for k in (i, j)]
    return float(canonical_correlations(*views).min())


def _spectrum_distance(study: TokenStudy, index: int) -> float:
    """From the task's eigenvalues, of the operator fitted to the sequences that it is judged on."""
    wanted = known_eigenvalues(study.task)
    return float(spectrum_distance(steps(published_coordinates(study, index)).mean(axis=0), wanted))


rank = of_each(lambda study, k: published_core(study, k).dimension)
"""Dimensions of each core."""

sufficiency = of_each(_kept)
"""Score of each model with its core kept, minus its own."""

necessity = of_each(_left)
"""Score of each model without its core, minus chance: of any task 0 is chance."""

divergence = of_pairs(_overlap)
"""Overlap of the cores of each pair, whose states are of one width."""

alignment = of_pairs(_smallest_correlation)
"""Smallest canonical correlation of the coordinates of each pair, whose states have the same positions."""

spectrum = of_each(_spectrum_distance)
"""Largest distance of the fitted operator's eigenvalues to the task's own, best matched."""
