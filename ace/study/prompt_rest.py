"""The rest in the place of a language model's core: random subspaces pushed through the evaluation prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.model.continuation import Encoded, scattered
from ace.model.prefix import PrefixRun, run_together
from ace.model.sites import Site
from ace.progress import told
from ace.study.memory import remembered
from ace.study.prompts import FEW, PromptStudy, encoded_once, plain
from ace.study.rest import DRAWS, Rest, jackknife
from ace.study.site_choice import Choice, rank_of
from ace.study.subspaces import Subspaces, rest_subspaces
from ace.tasks.base import Split
from ace.tasks.prompt import Contrast, Prompts

ROWS = 1536  # states pushed at a time

# Contrasts (g, n) under each mode, the model's own (n) and the labels (n) of the same prompts -> (g, parts).
Value = Callable[[Mapping[str, Array], Array, Ints], Array]
Runs = tuple[Sequence[Encoded], Sequence[PrefixRun]]


@remembered
def rest_at(study: PromptStudy, site: Site, rank: int, projector: str) -> Subspaces:
    """Draws of the rest at a site, from the states of the extraction split."""
    states = study.observed[0][site.index]
    return rest_subspaces(study.core(site, rank), states, DRAWS, seed=site.index, projector=projector)


def rest_of(
    study: PromptStudy,
    label: str,
    parts: tuple[str, ...],
    choice: Choice,
    modes: Sequence[str | float],
    value: Value,
    contrast: Contrast | None = None,
) -> Rest:
    """Draws of the rest in the core's place at a choice's site, rank and projector.

    Args:
        parts: labels of the estimates that `value` gives.
        modes: the edits that `value` needs: keep, remove, flip or strengths.
        contrast: in place of the study's own.
    """
    labels = study.labels(Split.EVALUATION)
    few = study.few_rows(Split.EVALUATION)

    def contrasts(numbers: Sequence[int], runs: Runs) -> dict[str, Array]:
        drawn = rest_at(study, choice.site, rank_of(choice), choice.projector).take(torch.tensor(numbers))
        return {str(mode): pushed_subspaces(study, runs, choice, drawn, mode) for mode in modes}

    def on_all(numbers: Sequence[int]) -> Array:
        runs = evaluation_runs(study, contrast)
        return value(contrasts(numbers, runs), own_contrasts(runs), labels)

    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        runs = few_runs(study, contrast)
        edited, own, classes = contrasts(numbers, runs), own_contrasts(runs), labels[few]

        def of_rows(rows: Ints) -> Array:
            return value({mode: each[:, rows] for mode, each in edited.items()}, own[rows], classes[rows])

        return jackknife(of_rows, len(few), len(few))

    return Rest(label, parts, on_all, on_few if len(labels) > 2 * FEW else None)


@remembered
def few_runs(study: PromptStudy, contrast: Contrast | None) -> Runs:
    """The few evaluation prompts on which draws are judged first, run once."""
    if contrast is None:
        return study.few(Split.EVALUATION)
    prompts = study.prompts(Split.EVALUATION).take(study.few_rows(Split.EVALUATION))
    return read_under(study, few_runs(study, None), prompts.under(contrast))


def evaluation_runs(study: PromptStudy, contrast: Contrast | None = None) -> Runs:
    """The evaluation prompts, run once, read by the study's own contrast or by another."""
    own = study.encoded(Split.EVALUATION), study.runs(Split.EVALUATION)
    return own if contrast is None else read_under(study, own, study.prompts(Split.EVALUATION).under(contrast))


def read_under(study: PromptStudy, runs: Runs, prompts: Prompts) -> Runs:
    """The same prompts with other continuations; where tokens allow, nothing is run again but rows of the head."""
    groups = encoded_once(study, prompts)
    if len(groups) != len(runs[1]):
        return groups, list(run_together(study.language, groups))
    return groups, [run.under(group) for run, group in zip(runs[1], groups, strict=True)]


def own_contrasts(runs: Runs) -> Array:
    """(n) contrasts of the model as it is."""
    groups, each = runs
    return plain(scattered(groups, (run.base for run in each)))


def pushed_subspaces(study: PromptStudy, runs: Runs, choice: Choice, drawn: Subspaces, mode: str | float) -> Array:
    """(g, n) contrasts under an edit with each of g subspaces about the core's mean."""
    mean, site = study.core(choice.site, rank_of(choice)).mean, choice.site

    def contrasts(run: PrefixRun) -> Tensor:
        states = run.states(site)
        size = max(1, ROWS // (len(states) * run.tails))
        parts = torch.arange(len(drawn)).split(size)
        return torch.cat([run.push(site, drawn.take(part).edited(states, mean, mode)) for part in parts])

    groups, each = runs
    return plain(scattered(groups, (contrasts(run) for run in told(each, "lengths of prompts")), axis=1))
