"""A language model analysed once: prompts, contrasts, states and cores at every site, and edits pushed from any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
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
from ace.study.memory import Memory, remembered
from ace.study.subject import Subject
from ace.tasks.base import Split
from ace.tasks.prompt import Contrast, Prompts, PromptTask

SIZES = {Split.EXTRACTION: 400, Split.SELECTION: 200, Split.EVALUATION: 400}
OTHER_SIZES = {
    Split.EXTRACTION: 100,
    Split.SELECTION: 60,
    Split.EVALUATION: 100,
}  # of contrasts that only serve to compare
MODES = ("keep", "remove", "flip")
RANKS = 8  # the largest rank looked at
MARGIN = 0.02  # of sufficiency, and what counts as a tie between sites
DEEP = 0.8  # "below the top": sites at this depth or less
BEHAVES = 0.7  # AUC from which on a model agrees at all


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


class PromptStudy:
    """One model on one source of prompts under one contrast.

    Args:
        contrast: in place of the prompts' own.
        own_labels: label prompts by whether the model's own contrast is above its median, instead of by their head:
            what any contrast of any model does about itself.
        extractor: stands in for `ace.extract.extract_core`.
        sizes: prompts of each split.
        memory: where results are kept; one of its own by default.
    """

    def __init__(
        self,
        language: LanguageModel,
        source: PromptTask,
        *,
        contrast: Contrast | None = None,
        own_labels: bool = False,
        extractor: Extractor = extract_core,
        sizes: Mapping[Split, int] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.language, self.source = language, source
        self.contrast, self.own_labels = contrast, own_labels
        self.extractor = extractor
        self.sizes = dict(sizes or SIZES)
        self.memory = memory or Memory()

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites of the model."""
        return self.language.anatomy.sites

    @remembered
    def prompts(self, split: Split) -> Prompts:
        """The prompts of a split."""
        given = self.source.prompts(split, self.sizes[split])
        return given.under(self.contrast) if self.contrast else given

    @remembered
    def encoded(self, split: Split) -> list[Encoded]:
        """Token ids of a split, group by group."""
        return encode_prompts(self.language, self.prompts(split))

    @remembered
    def runs(self, split: Split) -> Runs:
        """The groups of a split, run once while memory lasts. For those of the extraction split see `observed`."""
        return Runs(PrefixRun(self.language, group) for group in self.encoded(split))

    @remembered
    def base(self, split: Split) -> Array:
        """(n) contrasts of the model as it is."""
        return _plain(scattered(self.encoded(split), (run.base for run in self.runs(split))))

    def labels(self, split: Split) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """(n) number of the head, or under `own_labels` whether the contrast is above its median."""
        if not self.own_labels:
            return self.prompts(split).labels
        base = self.base(split)
        return (base > np.median(base)).astype(np.int64)

    @property
    @remembered
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

        def extract() -> Core:
            states, gradients = (by_site[site.index] for by_site in self.observed)
            return self.extractor(states, gradients, rank=Fixed(rank))

        return self.memory.get(("core", self, site.index, rank), extract)

    def replace_core(self, site: Site, core: Core) -> None:
        """Put another subspace in the place of a site's core of its rank."""
        self.memory.put(("core", self, site.index, core.dimension), core)

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

    @property
    @remembered
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

    @property
    @remembered
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
        states, gradients = (by_site[site.index] for by_site in self.observed)
        most = min(RANKS, states.shape[1], int(torch.linalg.matrix_rank(gradients.double())))
        cores = [self.core(site, rank) for rank in range(1, most + 1)]
        kept = simple_auc(self.push(split, site, [Intervention(core, "keep") for core in cores]), self.labels(split))
        base = float(simple_auc(self.base(split)[None], self.labels(split))[0])
        return sufficient_rank(torch.from_numpy(kept), base, MARGIN)

    @property
    @remembered
    def top(self) -> Choice:
        """The choice among all sites below the final norm: there, any contrast has such an axis."""
        return self.choose(self.sites[-2].depth)

    @property
    @remembered
    def deep(self) -> Choice:
        """The choice among sites in the lower 80 % of depth."""
        return self.choose(DEEP)


class PromptStudies:
    """Seeds of one language model on one source of prompts, or their twins before training.

    Args:
        load: gives the model of seed k, called when it is first needed.
        count: how many seeds there are.
        source: the prompts, and what is known of them.
        extractor, memory: as for `PromptStudy`.
    """

    def __init__(
        self,
        load: Callable[[int], LanguageModel],
        count: int,
        source: PromptTask,
        *,
        extractor: Extractor = extract_core,
        memory: Memory | None = None,
    ) -> None:
        self._load, self._count = load, count
        self.source, self.extractor = source, extractor
        self.memory = memory or Memory()

    def __len__(self) -> int:
        return self._count

    @property
    def studies(self) -> tuple[PromptStudy, ...]:
        """One study for each seed."""
        return tuple(self.study(index) for index in range(len(self)))

    @remembered
    def language(self, index: int) -> LanguageModel:
        """The model of one seed."""
        return self._load(index)

    @remembered
    def study(self, index: int, own_labels: bool = False) -> PromptStudy:
        """One seed on the prompts; under `own_labels` on fewer, labelled by its own contrast: see `PromptStudy`."""
        return PromptStudy(
            self.language(index),
            self.source,
            own_labels=own_labels,
            extractor=self.extractor,
            sizes=OTHER_SIZES if own_labels else SIZES,
            memory=self.memory,
        )

    @property
    def site(self) -> str:
        """Where the models are read and edited, by the selection split's choice."""
        return " or ".join(dict.fromkeys(str(study.top.site) for study in self.studies))

    def require_behaviour(self, name: str) -> None:
        """Refuse claims about how models do what they do not do.

        Raises:
            Inapplicable: see `PromptStudy.require_behaviour`.
        """
        for index, study in enumerate(self.studies):
            study.require_behaviour(f"{name}, seed {index}" if len(self) > 1 else name)


def rank_of(choice: Choice) -> int:
    """The rank claims are measured at: the one that suffices, or 1 where none was reached."""
    return choice.rank.value or 1


def _plain(values: Tensor) -> Array:
    return values.detach().cpu().double().numpy()


PromptSubject = Subject[PromptStudies]
