"""What claims about subject-verb agreement speak about: a model, or seeds of one, with controls made on demand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ace.auc import Discrimination, Ints
from ace.check import check_choice
from ace.errors import ClaimError, Inapplicable
from ace.linalg import random_frames, weighted_frames
from ace.model.continuation import encode_prompts, scattered
from ace.model.intervene import GAINS
from ace.model.language import LanguageModel, wrap_model
from ace.model.prefix import PrefixRun
from ace.model.sites import Site
from ace.stats import Array
from ace.study.controls import DRAWS, KINDS
from ace.study.prompts import MODES, Choice, LanguageStudy, rank_of
from ace.tasks.base import Split
from ace.tasks.fragment import vocabulary
from ace.tasks.prompt import Contrast, Prompts

CONTROL_PROMPTS = 16  # of the evaluation split, half of each number, that random subspaces are pushed through
OTHERS = 3  # arbitrary contrasts
OTHER_SIZES = {Split.EXTRACTION: 100, Split.SELECTION: 60, Split.EVALUATION: 100}
ROWS = 1536  # states pushed at a time


@dataclass(frozen=True, eq=False)
class AgreementSubject:
    """Seeds of one language model on one source of prompts.

    Attributes:
        name: shown in tables.
        studies: one for each seed.
        untrained: gives the twin of seed k before training.
        transfers: contrasts of verbs that no core was extracted for, by name.
        rerun: the command that reruns one of its claims, with `{claim}` in the claim's place.
        attractors: whether prompts have a noun between head and verb.
    """

    name: str
    studies: tuple[LanguageStudy, ...]
    untrained: Callable[[int], LanguageModel]
    transfers: Mapping[str, Contrast] = field(default_factory=dict)
    rerun: str = ""
    attractors: bool = True

    def __len__(self) -> int:
        return len(self.studies)

    @property
    def site(self) -> str:
        """Where the models are read and edited, by the selection split's choice."""
        sites = list(dict.fromkeys(str(study.top.site) for study in self.studies))
        return " or ".join(sites)

    def require_behaviour(self) -> None:
        """Refuse claims about how models agree that do not agree.

        Raises:
            Inapplicable: see `LanguageStudy.require_behaviour`.
        """
        for index, study in enumerate(self.studies):
            study.require_behaviour(f"{self.name}, seed {index}" if len(self) > 1 else self.name)

    def command(self, claim: str) -> str:
        """The command that reruns one claim on this subject."""
        return self.rerun.format(claim=claim)


@dataclass(frozen=True, eq=False)
class UnusableSubject:
    """A model that no claim can be put to, with the reason."""

    name: str
    reason: str
    rerun: str = ""
    site: str = "no site"

    def require_behaviour(self) -> None:
        """Refuse every claim.

        Raises:
            Inapplicable: always.
        """
        raise Inapplicable(self.reason)

    def command(self, claim: str) -> str:
        """The command that reruns one claim on this subject."""
        return self.rerun.format(claim=claim)


def fresh_twin(language: LanguageModel, seed: int = 0) -> LanguageModel:
    """The same architecture with weights as its own code initialises them, in float32, on the same device."""
    config = copy.deepcopy(language.model.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(language.model)(config)
    return wrap_model(model.float().to(language.device), language.tokenizer, f"{language.name}, untrained")


def agreement_of(subject: object) -> AgreementSubject:
    """The subject as one of agreement, or `ClaimError`."""
    if not isinstance(subject, AgreementSubject):
        raise ClaimError(f"subject: expected a language model that agrees, got {type(subject).__name__}")
    return subject


@lru_cache(maxsize=32)
def untrained_study(subject: AgreementSubject, index: int, *, own_labels: bool = False) -> LanguageStudy:
    """The twin of one seed before training, on the same prompts."""
    study = subject.studies[index]
    sizes = OTHER_SIZES if own_labels else study.sizes
    return LanguageStudy(
        subject.untrained(index), study.source, own_labels=own_labels, extractor=study.extractor, sizes=sizes
    )


@lru_cache(maxsize=32)
def other_studies(study: LanguageStudy) -> tuple[LanguageStudy, ...]:
    """The same model under arbitrary contrasts, each prompt labelled by whether its contrast is above the median.

    What an axis does for agreement it may do for the contrast of any four words: these studies tell.
    """
    text = study.prompts(Split.EVALUATION).texts[0]
    order = np.random.default_rng(0).permutation([word for word in vocabulary() if word.isalpha()])
    start, *wholes = study.language.encode_all([text, *(f"{text} {word}" for word in order)])
    single = [whole[:-1] == start for whole in wholes]
    words = [f" {word}" for word, fits in zip(order, single, strict=True) if fits][: 4 * OTHERS]
    contrasts = [Contrast(tuple(words[k : k + 2]), tuple(words[k + 2 : k + 4])) for k in range(0, len(words) - 3, 4)]
    return tuple(
        LanguageStudy(
            study.language,
            study.source,
            contrast=contrast,
            own_labels=True,
            extractor=study.extractor,
            sizes=OTHER_SIZES,
        )
        for contrast in contrasts
    )


@lru_cache(maxsize=256)
def ablation(study: LanguageStudy, site: Site, rank: int, projector: str = "orthogonal") -> Discrimination:
    """Rows base, keep, remove and flip on the evaluation split, at a site and rank."""
    base = study.base(Split.EVALUATION)[None]
    scores = np.concatenate([base, study.ablated(Split.EVALUATION, site, rank, projector)])
    return study.discriminate(Split.EVALUATION, scores)


def chosen_ablation(study: LanguageStudy, choice: Choice) -> Discrimination:
    """`ablation` at the choice of the selection split."""
    return ablation(study, choice.site, rank_of(choice))


@dataclass(frozen=True, eq=False)
class RandomContrasts:
    """What random subspaces in a core's place do to a few prompts.

    Attributes:
        base: (n) contrasts of the model as it is. labels: (n).
        edited: mode -> (draws, n) contrasts.
    """

    base: Array
    labels: Ints
    edited: Mapping[str, Array]


@lru_cache(maxsize=64)
def random_contrasts(
    study: LanguageStudy,
    site: Site,
    rank: int,
    kind: str,
    contrast: Contrast | None = None,
    modes: tuple[str, ...] = MODES,
) -> RandomContrasts:
    """Contrasts of `CONTROL_PROMPTS` prompts under keep, remove and flip of `DRAWS` random subspaces of equal rank."""
    check_choice("kind", kind, KINDS)
    prompts, labels = control_prompts(study)
    if contrast is not None:
        prompts = prompts.under(contrast)
    core = study.core(site, rank)
    frames = random_bases_at(study, site, rank, kind)
    groups = encode_prompts(study.language, prompts)
    runs = [PrefixRun(study.language, group) for group in groups]
    edited = {}
    for mode in modes:
        parts = (pushed_subspaces(run, site, core.mean, frames, mode) for run in runs)
        edited[mode] = scattered(groups, parts, axis=1).double().numpy()
    base = scattered(groups, (run.base for run in runs)).double().numpy()
    return RandomContrasts(base, labels, edited)


def control_prompts(study: LanguageStudy) -> tuple[Prompts, Ints]:
    """The first prompts of the evaluation split of each label, and their labels."""
    labels = study.labels(Split.EVALUATION)
    rows = np.sort(np.concatenate([np.flatnonzero(labels == k)[: CONTROL_PROMPTS // 2] for k in (0, 1)]))
    return study.prompts(Split.EVALUATION).take(rows), labels[rows]


def random_bases_at(study: LanguageStudy, site: Site, rank: int, kind: str) -> Tensor:
    """(draws, d, r) random orthonormal bases: Haar, or weighted by the states' covariance."""
    core, generator = study.core(site, rank), torch.Generator().manual_seed(site.index)
    if kind == "random, Haar":
        return random_frames(core.width, rank, DRAWS, generator)
    states = study.observed[0][site.index].double() - core.mean
    return weighted_frames(states, rank, DRAWS, generator)


def pushed_subspaces(run: PrefixRun, site: Site, mean: Tensor, frames: Tensor, mode: str | float) -> Tensor:
    """(draws, n) contrasts of one group under keep, remove or flip, or a strength, of every subspace (draws, d, r)."""
    states = run.states(site)
    centre, shifted = mean.to(states), states - mean.to(states)
    gain = GAINS.get(mode) if isinstance(mode, str) else mode
    found = []
    for part in frames.to(states).split(max(1, ROWS // (len(states) * run.tails))):
        component = (shifted @ part) @ part.transpose(1, 2)  # (g, n, d)
        found.append(run.push(site, centre + component if gain is None else states + (gain - 1.0) * component))
    return torch.cat(found)
