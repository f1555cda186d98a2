"""A core found once in a language model, with all that it takes to edit with it again: kept in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ace.auc import separations
from ace.check import check_choice, check_count, check_rank
from ace.core import ORTHOGONAL, PROJECTORS, Core
from ace.core_file import read_use
from ace.errors import ArtifactError, InputError
from ace.model.language import LanguageModel
from ace.model.observe import states_at
from ace.model.sites import Site
from ace.model.steer import Steering, core_component, first_tokens
from ace.rank import RankChoice
from ace.study.fingerprint import ELSEWHERE, tokenizer_digest, weights_digest
from ace.study.prompts import PromptStudy
from ace.study.site_choice import MODES, Choice, rank_of, sufficient_at_site
from ace.tasks.base import Split
from ace.tasks.prompt import Contrast

EDITS = ("flip", "keep", "remove", "scale")
STAGES = ("states and sensitivities", "site and rank", "evaluation")
ENTRIES: Mapping[str, type] = {"model": str, "index": int, "path": str, "projector": str, "auc": float}
DIGESTS = ("weights", "tokenizer")  # not in files that were written before these were kept


@dataclass(frozen=True, eq=False)
class FoundCore:
    """A core, and where and how it acts.

    Attributes:
        core: with its rank's rule and evidence; `site`, `task` and `split` say where its states came from.
        model: name of the model that it was found in.
        index, path: of its site: number, and name of the module whose input it is.
        projector: orthogonal or oblique: what the site and the rank were chosen for.
        contrast: the continuations that it was extracted for.
        auc: of the model as it is, on the evaluation split.
        separation: under keep, remove and flip, on the evaluation split.
        weights, tokenizer: SHA-256 of those of that model; empty where it is not known.
    """

    core: Core
    model: str
    index: int
    path: str
    projector: str
    contrast: Contrast
    auc: float
    separation: Mapping[str, float]
    weights: str = ""
    tokenizer: str = ""

    def save(self, path: str | Path) -> None:
        """Write it to one file, which `ace.Core.load` reads, too.

        Raises:
            ArtifactError: the file cannot be written.
        """
        entries = {name: getattr(self, name) for name in (*ENTRIES, *DIGESTS)}
        sets = {"wanted": list(self.contrast.wanted), "other": list(self.contrast.other)}
        self.core.save(path, {**entries, **sets, "separation": dict(self.separation)})

    @classmethod
    def load(cls, path: str | Path) -> FoundCore:
        """What `save` wrote, to the bit.

        Raises:
            ArtifactError: no such file, one that is damaged, or a core that is not known to belong to a language
                model's site and contrast.
        """
        core, use = Core.load(path), read_use(Path(path))
        if use is None:
            raise ArtifactError(
                f"{path}: expected a core with a site and a contrast, as `ace extract MODEL --contrast` writes, got one"
                f" of width {core.width} without"
            )
        fault = _fault(use)
        if fault:
            raise ArtifactError(f"{path}: {fault}")
        try:
            contrast = Contrast(tuple(use["wanted"]), tuple(use["other"]))
        except (InputError, TypeError) as error:
            raise ArtifactError(f"{path}: expected a contrast: {error}") from error
        entries = {name: use[name] for name in ENTRIES} | {name: use.get(name, "") for name in DIGESTS}
        return cls(core, **entries, contrast=contrast, separation=use["separation"])

    def foreign(self, language: LanguageModel) -> str | None:
        """Why a model is not known to be the one that the core was found in; None where it is.

        All weights are read, about a second for each half GB.
        """
        if ELSEWHERE in (self.weights or ELSEWHERE, self.tokenizer or ELSEWHERE):
            return f"found in {self.model}, and it is not known which weights and tokenizer that had"
        weights, tokenizer = weights_digest(language.model), tokenizer_digest(language.tokenizer)
        if weights != self.weights:
            return f"found in {self.model} with other weights or dtype: SHA-256 {self.weights[:12]}, not {weights[:12]}"
        if tokenizer != self.tokenizer:
            shown = f"SHA-256 {self.tokenizer[:12]}, not {tokenizer[:12]}"
            return f"found in {self.model} with another tokenizer: {shown}"
        return None

    def site_in(self, language: LanguageModel) -> Site:
        """The site of a model that it acts at: the same module's input, of the same width.

        Raises:
            InputError: the model has no such site, or one of another width.
        """
        sites = language.anatomy.sites
        site = next((site for site in sites if site.path == self.path), None)
        if site is None:
            raise InputError(
                f"core: expected one at a site of {language.name}, {sites[0].path} to {sites[-1].path}, got one at the"
                f" input of {self.path} in {self.model}"
            )
        width = _width(language, site)
        if self.core.width != width:
            raise InputError(
                f"core: expected width {width}, that of {language.name}, got {self.core.width}, that of {self.model}"
            )
        return site

    def steering(
        self,
        language: LanguageModel,
        text: str,
        edit: str,
        strength: float | None = None,
        *,
        any_model: bool = False,
    ) -> Steering:
        """What is done at each token that continues a text.

        Args:
            edit: flip (as far as it takes to turn the contrast round), keep, remove, or scale.
            strength: for scale: 1 leaves the state as it is, 0 removes the core's part, -1 reflects it once.
            any_model: whether the model may be another than that which the core was found in.

        Raises:
            InputError: as `site_in`, another model without `any_model`, another edit, a strength without scale or
                scale without, or continuations that the model's tokenizer does not tell apart.
        """
        check_choice("edit", edit, EDITS)
        if (edit == "scale") != (strength is not None):
            raise InputError(f"strength: expected with scale and only there, got {edit}, {strength!r}")
        site = self.site_in(language)
        foreign = None if any_model else self.foreign(language)
        if foreign:
            raise InputError(f"core: expected one of {language.name}, got one {foreign}")
        component = core_component(self.core, self.projector, outside=edit == "keep")
        tokens = first_tokens(language, text, self.contrast)
        if edit == "flip":
            return Steering(site, component, *tokens)
        return Steering(site, component, *tokens, strengths=(strength or 0.0,), mirrors=False)


def find_core(
    study: PromptStudy,
    *,
    task: str = "",
    index: int | None = None,
    rank: int | None = None,
    projector: str = ORTHOGONAL,
    stage: Callable[[str], object] = lambda name: None,
) -> FoundCore:
    """The core of a language model under its prompts.

    Args:
        task: what the prompts are called.
        index: of the site; by default the selection split chooses it.
        rank: by default the smallest that suffices there on the selection split, or 1 where none up to 8 does.
        projector: that the site and the rank are chosen for, and that edits use.
        stage: called with a name of `STAGES` before each of them.

    Raises:
        SiteError: no such site.
        InputError: another projector, or a rank that the site does not have.
        Inapplicable: the model does not tell the prompts' classes apart.
    """
    check_choice("projector", projector, PROJECTORS)
    given = None if rank is None else check_count("rank", rank)
    site = None if index is None else study.language.anatomy.site(index)
    if given is not None:
        # What the search would end in: no subspace has more dimensions than states, or than the prompts that give them.
        width = _width(study.language, site or study.sites[0])
        check_rank("rank", given, min(width, len(study.prompts(Split.EXTRACTION))))
    study.require_behaviour(study.language.name)
    stage(STAGES[0])
    _ = study.observed
    stage(STAGES[1])
    if site is None:
        choice = study.choice(projector)
    elif given is None:
        choice = Choice(site, sufficient_at_site(study, Split.SELECTION, site, projector), projector)
    else:
        choice = Choice(site, RankChoice(given, f"fixed {given}", {}), projector)
    size = rank_of(choice) if given is None else given
    core = study.core(choice.site, size)
    stage(STAGES[2])
    contrasts = study.ablated(Split.EVALUATION, choice.site, size, projector)
    apart = separations(contrasts, study.base(Split.EVALUATION), study.labels(Split.EVALUATION))
    reason = choice.rank if given is None else core.rank
    return FoundCore(
        replace(
            core,
            site=str(choice.site),
            task=task,
            split=Split.EXTRACTION.value,
            rank=RankChoice(size, reason.rule if reason.value else f"{reason.rule}, not reached", reason.evidence),
        ),
        study.language.name,
        choice.site.index,
        choice.site.path,
        projector,
        study.contrast or study.source.contrast or study.prompts(Split.EXTRACTION).contrasts[0],
        float(study.behaviour.auc[0]),
        dict(zip(MODES, apart.tolist(), strict=True)),
        weights_digest(study.language.model),
        tokenizer_digest(study.language.tokenizer),
    )


def _width(language: LanguageModel, site: Site) -> int:
    """Of the states at a site, by running one token."""
    token = torch.zeros(1, 1, dtype=torch.int64, device=language.device)
    return int(states_at(language.model, token, site).shape[-1])


def _fault(use: Mapping[str, Any]) -> str | None:
    """What is wrong with the entries of a file, in words."""
    for name, kind in ENTRIES.items():
        if type(use.get(name)) is not kind:
            return f"expected {name} as {kind.__name__}, got {use.get(name)!r}"
    for name in DIGESTS:
        if not isinstance(use.get(name, ""), str):
            return f"expected {name} as a SHA-256, got {use[name]!r}"
    if use["projector"] not in PROJECTORS:
        return f"expected projector as one of {', '.join(PROJECTORS)}, got {use['projector']!r}"
    for name in ("wanted", "other"):
        if not isinstance(use.get(name), list):
            return f"expected a contrast with {name} continuations, got {use.get(name)!r}"
    apart = use.get("separation")
    if not isinstance(apart, dict) or set(apart) != set(MODES) or {type(value) for value in apart.values()} != {float}:
        return f"expected separations under {', '.join(MODES)}, got {apart!r}"
    return None
