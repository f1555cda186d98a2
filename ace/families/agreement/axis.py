"""Does the model agree, and does one dimension carry it?"""

from __future__ import annotations

from typing import Any

from ace.core import Core
from ace.extract import extract_core
from ace.families.agreement.luck import reach_of_luck
from ace.rank import Null
from ace.stats import Estimate, exact
from ace.study.measurement import Measurement, measures
from ace.study.prompt_seeds import TWINS, PromptSubject
from ace.study.prompts import BEHAVES, PromptStudy
from ace.study.site_choice import sufficient_at_site
from ace.tasks.base import Split

NULL = Null(quantile=0.99, draws=99)


@measures("untrained, by luck")
def behaviour(subject: PromptSubject) -> Measurement:
    """AUC of the contrast for the head's number, and the AUC that hardly any untrained model exceeds by luck."""
    models = subject.trained

    def agrees(label: str, study: PromptStudy) -> Estimate:
        return study.behaviour.estimate(label, lambda part: part.auc[0])

    def untrained(index: int) -> float:
        with subject.twins().alone(index) as study:
            return float(study.behaviour.auc[0])

    luck, aucs = reach_of_luck(untrained, BEHAVES)
    return Measurement(
        tuple(agrees(str(k), study) for k, study in enumerate(models.studies)),
        {"untrained, by luck": (luck,)},
        details={
            "untrained": aucs,
            "accuracy": [float(study.behaviour.accuracy[0]) for study in models.studies],
            "prompts": len(models.studies[0].prompts(Split.EVALUATION)),
            "examples": list(models.studies[0].prompts(Split.EVALUATION).texts[:4]),
        },
    )


@measures("untrained, own labels")
def one_dimension(subject: PromptSubject) -> Measurement:
    """The larger of r_suf and of how many sigma exceed the null's; 1 where both say that one dimension is all."""
    models = subject.trained

    def dimensions(study: PromptStudy, index: int) -> dict[str, Any]:
        site = study.sites[index]
        core = _above_null(study, index)
        suffices = sufficient_at_site(study, Split.EVALUATION, site).value
        return {
            "r_suf": suffices,
            "above the null": core.dimension,
            "sigma": core.sigma[:8].tolist() if core.balanced else [],
            "null sigma": core.rank.evidence.get("null sigma"),
        }

    def larger(label: str, found: dict[str, Any]) -> Estimate:
        # A rank that suffices may lie beyond those looked at: then it is no one dimension either.
        return exact(label, max(found["r_suf"] or len(models.studies[0].sites) + 8, found["above the null"]))

    places = [study.choice().site.index for study in models.studies]
    seeds = [dimensions(study, place) for study, place in zip(models.studies, places, strict=True)]

    twins = subject.twins().each_alone(
        max(TWINS, len(models)), lambda index, study: dimensions(study, places[index % len(places)])
    )
    return Measurement(
        tuple(larger(str(k), found) for k, found in enumerate(seeds)),
        {"untrained, own labels": tuple(larger(str(k), found) for k, found in enumerate(twins))},
        details={"seeds": seeds, "untrained": twins},
    )


def _above_null(study: PromptStudy, site: int) -> Core:
    """The core of as many dimensions as sigma exceed their null; of one where none does."""
    states, gradients = (by_site[site] for by_site in study.observed)
    return extract_core(states, gradients, rank=NULL)
