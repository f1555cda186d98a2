"""Does extraction find a better axis than a mean difference, a gradient, a probe, or a search trained on exchanges?"""

from __future__ import annotations

from ace.core import OBLIQUE
from ace.families.agreement.alternatives import comparison, methods_table
from ace.families.agreement.axes import EXTRACTED, best_axes, extracted_axis
from ace.stats import Estimate
from ace.study.measurement import Measurement, measures
from ace.study.prompt_seeds import PromptSubject

UNSCALED, AUC = "flips as they are", "flip AUC"
MIRROR = "flips as they are, distance from the mirror"  # below -1 is not better there


@measures()
def advantage(subject: PromptSubject) -> Measurement:
    """Separation under each alternative's flip less that under ACE's, when both move states equally far.

    Each alternative comes with its best projector by the selection split; ACE with the oblique one, at the site that
    the selection split chose for ACE.
    """
    models = subject.trained
    estimates: list[Estimate] = []
    beside: dict[str, list[Estimate]] = {UNSCALED: [], MIRROR: [], AUC: []}
    for k, study in enumerate(models.studies):
        compared, ours = comparison(study), extracted_axis(study)
        for method, axis in best_axes(study).items():
            if method == EXTRACTED:
                continue
            label = f"{k}, {method}"
            estimates.append(compared.beyond(label, axis, ours, "matched flip"))
            beside[UNSCALED].append(compared.beyond(label, axis, ours, "flip"))
            beside[MIRROR].append(compared.off_the_mirror(label, axis, ours))
            beside[AUC].append(compared.beyond(label, axis, ours, "flip", "auc"))
    return Measurement(
        tuple(estimates),
        {},
        details={"seeds": [methods_table(study) for study in models.studies]},
        site=models.sites(OBLIQUE),
        beside={name: tuple(rows) for name, rows in beside.items()},
    )
