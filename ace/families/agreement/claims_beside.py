"""Claims that hold the axis of number against what else there is: other contrasts, and other ways to find an axis."""

from __future__ import annotations

from ace.families.agreement import advantage, specificity
from ace.study.claim import OURS, Bound, Claim

BESIDE = (
    Claim(
        "agreement.specificity",
        "The flip moves agreement and little else.",
        OURS,
        "effect of the flip on the contrast over the median of its effects on 20 contrasts of words as likely there,"
        " each in units of its own s.d. over prompts, oblique projector",
        Bound(">=", 5.0),
        "equivalence margin",
        "a fifth of the effect, at most, on half of all other contrasts; words within 2 nats of the contrast's own",
        controls=("the rest",),
        measure=specificity.specificity,
        kind="S",
    ),
    Claim(
        "agreement.advantage",
        "ACE finds a better axis than the alternatives do.",
        OURS,
        "separation under each alternative's flip minus that under ACE's, by its oblique projector, all flips moving"
        " states equally far",
        Bound(">=", 0.05),
        "equivalence margin",
        "better is more than as good: beyond a twentieth of the separation, against each alternative with the projector"
        " that suits it best",
        controls=(),
        measure=advantage.advantage,
        kind="S",
    ),
)
