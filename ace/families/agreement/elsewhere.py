"""What edits of several axes do elsewhere: to other contrasts of the same prompts, and to neutral text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ace.arrays import Array
from ace.auc import discriminate
from ace.families.agreement.axes import Axis, edited_states, place
from ace.families.agreement.collateral import LOGITS, divergences, neutral_runs, next_logits
from ace.model.continuation import Encoded, scattered
from ace.model.prefix import run_together
from ace.study.memory import remembered
from ace.study.prompt_rest import read_under
from ace.study.prompts import PromptStudy, Runs, encoded_once
from ace.tasks.base import Split
from ace.tasks.prompt import Prompts

FEW = 100  # prompts of the evaluation split


def few_prompts(study: PromptStudy) -> Prompts:
    """The first prompts of the evaluation split."""
    every = study.prompts(Split.EVALUATION)
    return every.take(range(min(FEW, len(every))))


def few_encoded(study: PromptStudy) -> list[Encoded]:
    """Token ids of these prompts, group by group."""
    return encoded_once(study, few_prompts(study))


@remembered
def few_runs(study: PromptStudy) -> Runs:
    """These prompts, run once."""
    return Runs(run_together(study.language, few_encoded(study)))


def transfer_aucs(study: PromptStudy, axes: Sequence[Axis]) -> dict[str, Array]:
    """Name of each other contrast of the task -> (m) AUC of the number under each axis's flip."""
    few, site = few_prompts(study), place(study)[0]
    found = {}
    for name, contrast in study.source.transfers.items():
        groups, runs = read_under(study, (few_encoded(study), few_runs(study)), few.under(contrast))
        parts = (run.push(site, edited_states(axes, "flip", run.states(site))) for run in runs)
        scores = scattered(groups, parts, axis=1).double().numpy()
        found[name] = discriminate(scores, few.labels, few.clusters, resamples=1).auc
    return found


def neutral_nats(study: PromptStudy, axes: Sequence[Axis]) -> Array:
    """(m, n) KL in nats of the next token on neutral text with each axis removed from the clean model's."""
    site = place(study)[0]
    groups, runs = neutral_runs(study)
    parts = []
    for group, run in zip(groups, runs, strict=True):
        states = run.states(site)
        clean = next_logits(run.push_logits(site, states[None]), group.tails.shape)[0]
        nats = []
        for some in torch.arange(len(axes)).split(max(1, LOGITS // (len(states) * study.language.vocabulary))):
            edited = edited_states([axes[row] for row in some.tolist()], "remove", states)
            nats.append(divergences(clean, next_logits(run.push_logits(site, edited), group.tails.shape)))
        parts.append(torch.cat(nats))
    return scattered(groups, iter(parts), axis=1).double().numpy()
