"""A language model analysed once: prompts, contrasts, states and cores at every site, and edits pushed from any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ace.auc import Discrimination, discriminate, simple_auc
from ace.core import Core
from ace.errors import Inapplicable
from ace.extract import Extractor, extract_core
from ace.model.continuation import Encoded, encode_prompts, scattered
from ace.model.intervene import Intervention
from ace.model.language import LanguageModel
from ace.model.prefix import PrefixRun
from ace.model.sites import Site
from ace.rank import Fixed, RankChoice, sufficient_rank
from ace.stats import Array
from ace.study.memory import SHARED
from ace.tasks.agreement import Contrast, Prompts
from ace.tasks.base import Split

SIZES = {Split.EXTRACTION: 400, Split.SELECTION: 200, Split.EVALUATION: 400}
MODES = ("keep", "remove", "flip")
RANKS = 8  # the largest rank looked at
MARGIN = 0.02  # of sufficiency, and what counts as a tie between sites
DEEP = 0.8  # "below the top": sites at this depth or less
BEHAVES = 0.7  # AUC from which on a model agrees at all


class PromptSource(Protocol):
    """A task that gives prompts on disjoint splits."""

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """At most `count` prompts of a split."""
        ...


@dataclass(frozen=True, eq=False)
class Choice:
    """The site and rank that the selection split chose.

    Attributes:
        site: where the worst of keep, remove and flip is best; of sites within .02 of that, the lowest.
        rank: smallest rank that suffices there.
    """

    site: Site
    rank: RankChoice


class Runs(tuple[PrefixRun, ...]):
    """The groups of a split, each run once."""

    @property
    def nbytes(self) -> int:
        """Memory that all of them take."""
        return sum(run.nbytes for run in self)


class LanguageStudy:
    """One model on one source of prompts under one contrast.

    Args:
        contrast: in place of the prompts' own.
        own_labels: label prompts by whether the model's own contrast is above its median, instead of by their head:
            what any contrast of any model does about itself.
        extractor: stands in for `ace.extract.extract_core`.
        sizes: prompts of each split.
    """

    def __init__(
        self,
        language: LanguageModel,
        source: PromptSource,
        *,
        contrast: Contrast | None = None,
        own_labels: bool = False,
        extractor: Extractor = extract_core,
        sizes: Mapping[Split, int] | None = None,
    ) -> None:
        self.language, self.source = language, source
        self.contrast, self.own_labels = contrast, own_labels
        self.extractor = extractor
        self.sizes = dict(sizes or SIZES)
        self._prompts: dict[Split, Prompts] = {}
        self._encoded: dict[Split, list[Encoded]] = {}
        self._bases: dict[Split, Array] = {}
        self._cores: dict[tuple[int, int], Core] = {}

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites of the model."""
        return self.language.anatomy.sites

    def prompts(self, split: Split) -> Prompts:
        """The prompts of a split."""
        if split not in self._prompts:
            found = self.source.prompts(split, self.sizes[split])
            self._prompts[split] = found.under(self.contrast) if self.contrast else found
        return self._prompts[split]

    def encoded(self, split: Split) -> list[Encoded]:
        """Token ids of a split, group by group."""
        if split not in self._encoded:
            self._encoded[split] = encode_prompts(self.language, self.prompts(split))
        return self._encoded[split]

    def runs(self, split: Split) -> Runs:
        """The groups of a split, run once while memory lasts. For those of the extraction split see `observed`."""
        return SHARED.get((self, split), lambda: Runs(PrefixRun(self.language, group) for group in self.encoded(split)))

    def base(self, split: Split) -> Array:
        """(n) contrasts of the model as it is."""
        if split not in self._bases:
            parts = (run.base for run in self.runs(split))
            self._bases[split] = _plain(scattered(self.encoded(split), parts))
        return self._bases[split]

    def labels(self, split: Split) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """(n) number of the head, or under `own_labels` whether the contrast is above its median."""
        if not self.own_labels:
            return self.prompts(split).labels
        base = self.base(split)
        return (base > np.median(base)).astype(np.int64)

    @cached_property
    def observed(self) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Site index -> states (n, d) and sensitivities (n, d) on the extraction split, from one backward pass."""
        states: dict[int, list[Tensor]] = {site.index: [] for site in self.sites}
        gradients: dict[int, list[Tensor]] = {site.index: [] for site in self.sites}
        for group in self.encoded(Split.EXTRACTION):
            run = PrefixRun(self.language, group, gradients=True)  # let go at once: its keys and values are large
            for site in self.sites:
                states[site.index].append(run.states(site).cpu())
                gradients[site.index].append(run.gradients[site.index].cpu())
        return (
            {index: torch.cat(parts) for index, parts in states.items()},
            {index: torch.cat(parts) for index, parts in gradients.items()},
        )

    def states(self, split: Split, site: Site) -> Tensor:
        """(n, d) states at a site at the scored position, in the order of the prompts."""
        return scattered(self.encoded(split), (run.states(site) for run in self.runs(split))).cpu()

    def core(self, site: Site, rank: int = 1) -> Core:
        """The core of that rank at a site, from the extraction split."""
        key = (site.index, rank)
        if key not in self._cores:
            states, gradients = (found[site.index] for found in self.observed)
            self._cores[key] = self.extractor(states, gradients, rank=Fixed(rank))
        return self._cores[key]

    def replace_core(self, site: Site, core: Core) -> None:
        """Put another subspace in the place of a site's core of its rank."""
        self._cores[site.index, core.dimension] = core

    def push(self, split: Split, site: Site, interventions: Sequence[Intervention]) -> Array:
        """(m, n) contrasts under each intervention at the scored position."""
        parts = (
            run.push(site, torch.stack([each.apply(run.states(site)) for each in interventions]))
            for run in self.runs(split)
        )
        return _plain(scattered(self.encoded(split), parts, axis=1))

    def ablated(self, split: Split, site: Site, rank: int = 1, projector: str = "orthogonal") -> Array:
        """(3, n) contrasts under keep, remove and flip of the core of that rank."""
        core = self.core(site, rank)
        return self.push(split, site, [Intervention(core, mode, projector=projector) for mode in MODES])

    def discriminate(self, split: Split, scores: Array) -> Discrimination:
        """AUC and accuracy of contrasts (m, n), bootstrapped over head nouns.

        Under own labels a contrast is on the right side when it is on the same side of the clean contrasts' median.
        """
        middle = np.median(self.base(split)) if self.own_labels else 0.0
        return discriminate(scores - middle, self.labels(split), self.prompts(split).clusters)

    @cached_property
    def behaviour(self) -> Discrimination:
        """AUC and accuracy of the model as it is, on the evaluation split."""
        return self.discriminate(Split.EVALUATION, self.base(Split.EVALUATION)[None])

    def require_behaviour(self, name: str) -> None:
        """Refuse claims about how a model does what it does not do.

        Raises:
            Inapplicable: the lower end of the AUC's interval is not above .7.
        """
        low, high = np.quantile(self.behaviour.auc_replicates[0], [0.025, 0.975])
        if low <= BEHAVES:
            raise Inapplicable(
                f"{name} does not agree: AUC {self.behaviour.auc[0]:.3f} [{low:.3f}, {high:.3f}] of the contrast for"
                f" the head's number on {len(self.prompts(Split.EVALUATION))} prompts; the lower end should exceed"
                f" {BEHAVES}"
            )

    @cached_property
    def sweep(self) -> dict[str, Array]:
        """Mode -> (L + 1) AUC of rank-1 cores on the selection split; "base" with it."""
        labels = self.labels(Split.SELECTION)
        edits = {site.index: [Intervention(self.core(site), mode) for mode in MODES] for site in self.sites}
        swept = [
            run.push_all(
                {
                    site.index: torch.stack([edit.apply(run.states(site)) for edit in edits[site.index]])
                    for site in self.sites
                }
            )
            for run in self.runs(Split.SELECTION)
        ]
        groups = self.encoded(Split.SELECTION)
        rows = [
            simple_auc(_plain(scattered(groups, (part[site.index] for part in swept), axis=1)), labels)
            for site in self.sites
        ]
        found = dict(zip(MODES, np.array(rows).T, strict=True))
        base = simple_auc(self.base(Split.SELECTION)[None], labels)
        return {"base": np.repeat(base, len(self.sites)), **found}

    def choose(self, deepest: float) -> Choice:
        """Site and rank by the selection split, among sites at most that deep."""
        sweep = self.sweep
        worst = np.max(
            [sweep["base"] - sweep["keep"], np.abs(sweep["remove"] - 0.5), sweep["flip"] - (1 - sweep["base"])], axis=0
        )
        candidates = [site for site in self.sites if site.depth <= deepest]
        best = min(worst[site.index] for site in candidates)
        site = next(site for site in candidates if worst[site.index] <= best + MARGIN)
        return Choice(site, self.sufficient(Split.SELECTION, site))

    def sufficient(self, split: Split, site: Site) -> RankChoice:
        """Smallest rank up to 8 whose keeping leaves the AUC within .02 of the model's own."""
        states, gradients = (found[site.index] for found in self.observed)
        most = min(RANKS, states.shape[1], int(torch.linalg.matrix_rank(gradients.double())))
        cores = [self.core(site, rank) for rank in range(1, most + 1)]
        kept = simple_auc(self.push(split, site, [Intervention(core, "keep") for core in cores]), self.labels(split))
        base = float(simple_auc(self.base(split)[None], self.labels(split))[0])
        return sufficient_rank(torch.from_numpy(kept), base, MARGIN)

    @cached_property
    def top(self) -> Choice:
        """The choice among all sites below the final norm: there, any contrast has such an axis."""
        return self.choose(self.sites[-2].depth)

    @cached_property
    def deep(self) -> Choice:
        """The choice among sites in the lower 80 % of depth."""
        return self.choose(DEEP)


def rank_of(choice: Choice) -> int:
    """The rank claims are measured at: the one that suffices, or 1 where none was reached."""
    return choice.rank.value or 1


def _plain(values: Tensor) -> Array:
    return values.detach().cpu().double().numpy()
