"""A language model analysed once: prompts, contrasts, states and cores at every site, and edits pushed from any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import Discrimination, discriminate
from ace.core import Core
from ace.errors import Inapplicable
from ace.extract import Extractor, extract_core, extracted
from ace.model.continuation import Encoded, encode_prompts, scattered
from ace.model.intervene import Intervention
from ace.model.language import LanguageModel
from ace.model.prefix import PrefixRun, run_together
from ace.model.sites import Site
from ace.rank import Fixed
from ace.study.memory import Memory, remembered
from ace.study.site_choice import Choice, choose_site
from ace.tasks.base import Split
from ace.tasks.prompt import Contrast, Prompts, PromptTask

SIZES = {Split.EXTRACTION: 240, Split.SELECTION: 120, Split.EVALUATION: 240}
OTHER_SIZES = {
    Split.EXTRACTION: 100,
    Split.SELECTION: 60,
    Split.EVALUATION: 100,
}  # of contrasts that only serve to compare
MODES = ("keep", "remove", "flip")
DEEP = 0.8  # "below the top": sites at this depth or less
FEW = 24  # prompts on which much is tried first
BEHAVES = 0.7  # AUC from which on a model agrees at all
# What prompts to try on a model that does not agree on those it was asked, by how much shorter sentences they have.
SIMPLER = {"agreement-simple": "short sentences", "agreement-story": "the same within a story, for models of stories"}


class Runs(tuple[PrefixRun, ...]):
    """The groups of a split, each run once."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all of them take."""
        return sum(run.nbytes for run in self)


class PromptStudy:
    """One model on one source of prompts under one contrast.

    Args:
        language: the model, or what gives it each time it is needed, where it is not kept.
        contrast: in place of the prompts' own.
        own_labels: label prompts by whether the model's own contrast is above its median, instead of by their head.
            Any contrast of any model tells such labels apart: a control.
        extractor: stands in for `ace.extract.extract_core`.
        sizes: prompts of each split.
        memory: where results are kept; one of its own by default.
    """

    def __init__(
        self,
        language: LanguageModel | Callable[[], LanguageModel],
        source: PromptTask,
        *,
        contrast: Contrast | None = None,
        own_labels: bool = False,
        extractor: Extractor = extract_core,
        sizes: Mapping[Split, int] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._language, self.source = language, source
        self.contrast, self.own_labels = contrast, own_labels
        self.extractor = extractor
        self.sizes = dict(sizes or SIZES)
        self.memory = memory or Memory()

    @property
    def language(self) -> LanguageModel:
        """The model."""
        return self._language() if callable(self._language) else self._language

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
        return encoded_once(self, self.prompts(split))

    @remembered
    def runs(self, split: Split) -> Runs:
        """The groups of a split, run once and kept while memory allows. For the extraction split see `observed`."""
        return Runs(run_together(self.language, self.encoded(split)))

    @remembered
    def base(self, split: Split) -> Array:
        """(n) contrasts of the model as it is."""
        return plain(scattered(self.encoded(split), (run.base for run in self.runs(split))))

    @remembered
    def few_rows(self, split: Split) -> Ints:
        """Up to `FEW` rows of a split, half of each label, spread over it."""
        labels = self.labels(split)
        rows = [np.flatnonzero(labels == label) for label in (0, 1)]
        spread = [np.unique(np.linspace(0, len(each) - 1, FEW // 2).astype(int)) for each in rows]
        return np.sort(np.concatenate([each[places] for each, places in zip(rows, spread, strict=True)]))

    def few(self, split: Split) -> tuple[list[Encoded], Runs]:
        """The groups of those prompts, and their runs."""
        return encoded_once(self, self.prompts(split).take(self.few_rows(split))), self._few_runs(split)

    @remembered
    def _few_runs(self, split: Split) -> Runs:
        groups = encoded_once(self, self.prompts(split).take(self.few_rows(split)))
        return Runs(run_together(self.language, groups))

    def labels(self, split: Split) -> Ints:
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
        # Each is freed at once: keys and values are large.
        for run in run_together(self.language, self.encoded(Split.EXTRACTION), gradients=True):
            for site in self.sites:
                states[site.index].append(run.states(site).cpu())
                gradients[site.index].append(run.gradients[site.index].cpu())
        return (
            {index: torch.cat(parts) for index, parts in states.items()},
            {index: torch.cat(parts) for index, parts in gradients.items()},
        )

    def observed_labels(self) -> Ints:
        """(n) labels of the extraction split in the order of `observed`."""
        rows = torch.cat([group.rows for group in self.encoded(Split.EXTRACTION)]).numpy()
        return self.labels(Split.EXTRACTION)[rows]

    def states(self, split: Split, site: Site) -> Tensor:
        """(n, d) states at a site at the scored position, in the order of the prompts."""
        return scattered(self.encoded(split), (run.states(site) for run in self.runs(split))).cpu()

    def varies(self, site: Site) -> bool:
        """Whether the states that cores are extracted from differ between prompts at a site."""
        states = self.observed[0][site.index]
        return not bool((states == states[0]).all())

    def core(self, site: Site, rank: int = 1) -> Core:
        """The core of that rank at a site, from the extraction split.

        Raises:
            Inapplicable: all prompts have the same state there.
        """

        def extract() -> Core:
            if not self.varies(site):
                raise Inapplicable(f"all prompts to extract from have the same state at {site}, so it has no core")
            states, gradients = (by_site[site.index] for by_site in self.observed)
            return extracted(self.extractor, states, gradients, rank=Fixed(rank), labels=self.observed_labels)

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
        return plain(scattered(self.encoded(split), parts, axis=1))

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
        """Refuse claims about how agreement is computed to a model that does not agree.

        Raises:
            Inapplicable: the lower end of the AUC's interval is not above .7.
        """
        low, high = self.behaviour.estimate(name, lambda part: part.auc[0]).interval()
        if low <= BEHAVES:
            raise Inapplicable(
                f"{name} does not agree: AUC {self.behaviour.auc[0]:.3f} [{low:.3f}, {high:.3f}] of the contrast for"
                f" the head's number on {len(self.prompts(Split.EVALUATION))} prompts; the lower end should exceed"
                f" {BEHAVES}{self._to_try()}"
            )

    def _to_try(self) -> str:
        """What prompts to ask in place of these; of a contrast of somebody's own there are none."""
        if not self.source.name.startswith("agreement"):
            return ""
        simpler = [f"--task {name} ({why})" for name, why in SIMPLER.items() if name != self.source.name]
        return f". Try {', '.join(simpler)}, or pairs of your own (--task FILE); for pytest it is --ace-task"

    @remembered
    def choice(self, projector: str = "orthogonal", *, deep: bool = False) -> Choice:
        """The site and rank of a projector, by the selection split, among sites below the final norm.

        At the norm itself any contrast has such an axis.

        Args:
            deep: only sites in the lower 80 % of depth.
        """
        return choose_site(self, projector, DEEP if deep else self.sites[-2].depth)


def encoded_once(study: PromptStudy, prompts: Prompts) -> list[Encoded]:
    """Token ids of prompts, group by group: once for all studies that share a memory and encode alike, as seeds do."""
    key = ("encoded", study.language.encoding, prompts.texts, prompts.contrasts)
    return study.memory.get(key, lambda: encode_prompts(study.language, prompts))


def plain(values: Tensor) -> Array:
    """As a float64 array."""
    return values.detach().cpu().double().numpy()
