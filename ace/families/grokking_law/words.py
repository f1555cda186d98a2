"""What the controls of this family mean, beside those that all families share."""

from __future__ import annotations

from collections.abc import Mapping

from ace.families.grokking_law.measures import GIVEN, NO_DECAY, OTHERS, POWER
from ace.families.grokking_law.shuffles import SHUFFLED

CONTROLS: Mapping[str, str] = {
    SHUFFLED: "the same delays with weight decays and moduli dealt out anew among the runs of each seed, ranked draw by"
    " draw; to foretell a modulus, among the runs of the others: no law may be left",
    GIVEN: "runs that start from weights that generalised, all but the head: nothing of a delay is left to explain",
    NO_DECAY: "the same moduli without weight decay: a law of what weight decay does must say nothing there",
    POWER: "the same scatter about the best power of the modulus: what the law must not seem to explain better",
    OTHERS: "the mean delay of the other moduli, which takes no law to know",
}
