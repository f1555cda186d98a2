"""Does the flip move agreement and little else? Arbitrary contrasts of words that the model finds as likely there.

A flip that moves a contrast does so in units of how much the contrast varies from prompt to prompt anyhow. Words are
matched with those of the contrast by the model's own mean log-probability at the scored position: the logits of words
that cannot come there are free to go anywhere, and many of them go with number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.core import OBLIQUE, ORTHOGONAL
from ace.errors import Inapplicable
from ace.families.agreement.axes import EXTRACTED, Axis, all_axes, best_axes, edited_states, extracted_axis, place
from ace.families.agreement.elsewhere import few_encoded, few_prompts, few_runs
from ace.model.continuation import Encoded, scattered
from ace.model.prefix import PrefixRun
from ace.progress import told
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_rest import rest_at
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import Rest
from ace.tasks.fragment.words import COPULAS, HAVE, PRONOUNS, VERBS, vocabulary

CONTRASTS = 20
SIDE = 2  # words on each side of a contrast, as the copula's has
CALIPER = 2.0  # nats by which a word's mean log-probability may differ from that of the contrast's words
FEWEST = 8  # words, the nearest, where fewer are within
AT_ONCE = 50  # edits pushed at a time
PUBLISHED = EXTRACTED, ORTHOGONAL

# Words that agree with a subject in number, or stand for one: no others to compare with.
NUMBERED = {
    *(form for verb in VERBS for form in verb[:2]),
    *(form for present in (COPULAS["present"], COPULAS["past"], HAVE["present"]) for form in present),
    *PRONOUNS,
}


@dataclass(frozen=True, eq=False)
class Words:
    """Arbitrary words as continuations of a few prompts.

    Attributes:
        words: (c) each with the space before it.
        distance: (c) nats of mean log-probability between each and the contrast's own words.
        groups, runs: the prompts, read by the contrast's own words and then by these.
    """

    words: tuple[str, ...]
    distance: Array
    groups: Sequence[Encoded]
    runs: Sequence[PrefixRun]

    @property
    def nbytes(self) -> int:
        """Bytes that the runs take: they are kept while memory allows."""
        return sum(run.nbytes for run in self.runs)

    def matched(self) -> Ints:
        """Places of the words within the caliper, or of the nearest."""
        order = np.argsort(self.distance, kind="stable")
        return order[: max(FEWEST, int((self.distance <= CALIPER).sum()))]

    def contrasts(self, places: Ints) -> Array:
        """(c, 20) weights of contrasts of two against two words out of some."""
        rng, weights = np.random.default_rng(0), np.zeros((len(self.words), CONTRASTS))
        for column in range(CONTRASTS):
            chosen = rng.choice(places, 2 * SIDE, replace=False)
            weights[chosen[:SIDE], column], weights[chosen[SIDE:], column] = 1 / SIDE, -1 / SIDE
        return weights


@remembered
def arbitrary_words(study: PromptStudy) -> Words:
    """Words of the fragment that are single tokens after the prompts and are told from their number by no verb.

    Raises:
        Inapplicable: too few of them, or a contrast whose own continuations are no single tokens.
    """
    few = few_prompts(study)
    contrasts = (*few.each_contrast, *study.source.transfers.values())
    own = {word.strip() for contrast in contrasts for word in (*contrast.wanted, *contrast.other)}
    candidates = [word for word in vocabulary() if word.isalpha() and word not in NUMBERED | own]
    start, *wholes = study.language.encode_all([few.texts[0], *(f"{few.texts[0]} {word}" for word in candidates)])
    single = {f" {word}": ids[-1] for word, ids in zip(candidates, wholes, strict=True) if ids[:-1] == start}
    if len(single) < FEWEST:
        raise Inapplicable(f"only {len(single)} words of the fragment are single tokens of this model")
    if not all(group.single for group in few_encoded(study)):
        raise Inapplicable("a contrast whose continuations are several tokens has no words of one token to match")
    groups = [_read_too(group, torch.tensor(list(single.values()))) for group in few_encoded(study)]
    runs = [run.under(group) for run, group in zip(few_runs(study), groups, strict=True)]
    top = study.sites[-1]
    parts = [run.push_targets(top, run.states(top)[None]) for run in runs]
    apart = [part[0, :, -len(single) :] - part[0, :, : -len(single)].mean(dim=1, keepdim=True) for part in parts]
    return Words(tuple(single), torch.cat(apart).mean(dim=0).abs().double().numpy(), groups, runs)


def _read_too(group: Encoded, ids: Tensor) -> Encoded:
    """The same prompts with these tokens (c) as further continuations of no weight: only their logits are wanted."""
    more = ids.repeat(len(group.rows), 1, 1, 1)
    weights = torch.cat([group.weights, torch.zeros(more.shape)], dim=-1)
    return replace(group, targets=torch.cat([group.targets, more], dim=-1), weights=weights)


@dataclass(frozen=True, eq=False)
class Changes:
    """What edits do to contrasts of a few prompts.

    Attributes:
        own: (m, n) absolute change of the contrast itself. others: (m, n, 20) of arbitrary contrasts.
        clean: (n, 21) values before, the contrast's own first.
    """

    own: Array
    others: Array
    clean: Array


def changes(study: PromptStudy, edit: Callable[[Tensor], Tensor], weights: Array) -> Changes:
    """Changes under edits: states (n, d) -> (m, n, d), of contrasts with weights (c, 20)."""
    words, site = arbitrary_words(study), place(study)[0]
    mixing = torch.from_numpy(weights).float()
    parts = []
    for run, group in told(list(zip(words.runs, words.groups, strict=True)), "lengths of prompts"):
        states = run.states(site)
        edited = torch.cat([states[None], edit(states)])
        logits = torch.cat([run.push_targets(site, part) for part in edited.split(AT_ONCE)])
        own, others = logits[..., : -len(words.words)], logits[..., -len(words.words) :]
        kept = group.weights[:, 0, 0, : -len(words.words)]  # of the contrast's own continuations
        parts.append(torch.cat([(own * kept).sum(dim=-1, keepdim=True), others @ mixing], dim=-1))
    values = scattered(words.groups, iter(parts), axis=1).double().numpy()
    moved = np.abs(values[1:] - values[0])
    return Changes(moved[..., 0], moved[..., 1:], values[0])


def selectivity(means: Array) -> Array:
    """(...) own effect over the median of the others, each over its s.d., from means (..., 21, 4) of `_columns`."""
    change, value, square, count = np.moveaxis(means, -1, 0)
    effect = change / np.sqrt(np.maximum(square * count - value * value, np.finfo(np.float64).tiny))
    return np.asarray(effect[..., 0] / np.median(effect[..., 1:], axis=-1))


def _columns(moved: Changes, row: int) -> Array:
    """(n, 21, 4) change, value, its square and 1, for the contrast itself and the arbitrary ones."""
    change = np.concatenate([moved.own[row][:, None], moved.others[row]], axis=1)
    return np.stack([change, moved.clean, moved.clean**2, np.ones_like(change)], axis=2)


def axis_selectivities(study: PromptStudy, axes: Sequence[Axis], labels: Sequence[str]) -> list[Estimate]:
    """The ratio for the flip of each axis, bootstrapped over head nouns, under a label for each."""
    words = arbitrary_words(study)
    moved = changes(study, partial(edited_states, axes, "flip"), words.contrasts(words.matched()))
    clusters = few_prompts(study).clusters
    return [
        bootstrap(label, cluster_sums(_columns(moved, row), clusters), selectivity, vectorized=True)
        for row, label in enumerate(labels)
    ]


def rest_selectivities(study: PromptStudy, numbers: Sequence[int]) -> Array:
    """(g, 1) the ratio for the flips of some draws of the rest."""
    (site, rank), words = place(study), arbitrary_words(study)
    drawn, mean = rest_at(study, site, rank, OBLIQUE).take(torch.tensor(numbers)), study.core(site, rank).mean
    moved = changes(study, lambda states: drawn.edited(states, mean, "flip"), words.contrasts(words.matched()))
    return np.array([[selectivity(_columns(moved, row).mean(axis=0))] for row in range(len(numbers))])


@measures("the rest")
def specificity(subject: PromptSubject) -> Measurement:
    """Effect of the flip on the contrast over the median effect on 20 others, each in units of its own s.d."""
    models = subject.trained
    estimates: list[Estimate] = []
    beside: dict[str, list[Estimate]] = {}
    details = []
    for k, study in enumerate(models.studies):
        words, others = arbitrary_words(study), {m: a for m, a in best_axes(study).items() if m != EXTRACTED}
        others |= {axis.projector: axis for axis in all_axes(study) if (axis.method, axis.projector) == PUBLISHED}
        axes = (extracted_axis(study), *others.values())
        own, *rows = axis_selectivities(study, axes, [str(k)] * len(axes))
        estimates.append(own)
        for method, row in zip(others, rows, strict=True):
            beside.setdefault(method, []).append(row)
        details.append({"words": [words.words[place] for place in words.matched()], **_effects(study)})
    return Measurement(
        tuple(estimates),
        {},
        details={"seeds": details},
        site=models.sites(OBLIQUE),
        rest=tuple(
            Rest(str(k), (str(k),), partial(rest_selectivities, study)) for k, study in enumerate(models.studies)
        ),
        beside={method: tuple(rows) for method, rows in beside.items()},
    )


def _effects(study: PromptStudy) -> dict[str, object]:
    """Effects in s.d. on the contrast and on each matched one, and the ratio where words are matched by nothing."""
    words, flip = arbitrary_words(study), partial(edited_states, (extracted_axis(study),), "flip")
    moved = changes(study, flip, words.contrasts(words.matched()))
    any_words = changes(study, flip, words.contrasts(np.arange(len(words.words))))
    return {
        "effect": float(moved.own.mean() / moved.clean[:, 0].std()),
        "other effects": np.sort(moved.others[0].mean(axis=0) / moved.clean[:, 1:].std(axis=0)).tolist(),
        "ratio to any words": selectivity(_columns(any_words, 0).mean(axis=0)),
    }
