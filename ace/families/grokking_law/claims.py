"""Claims about the delay between memorising and generalising, against weight decay and modulus."""

from __future__ import annotations

import math

from ace.families.grokking_law import as_published, measures
from ace.families.grokking_law.measures import GIVEN, NO_DECAY, OTHERS, POWER, REACH
from ace.families.grokking_law.shuffles import SHUFFLED
from ace.study.claim import OURS, Bound, Claim, Replication

PAPER = "arXiv 2602.22600, the law of the grokking delay"
TENTH = 0.1
QUARTER = math.log(1.25)

CLAIMS = (
    Claim(
        "law.omega",
        "The grokking delay is inversely proportional to the weight decay.",
        PAPER,
        "exponent of the delay in the weight decay, censored delays kept",
        Bound.between(-1 - TENTH, -1 + TENTH),
        "equivalence margin",
        "-1 within .1: another study finds -.757 (arXiv 2605.20441), which must lie outside",
        controls=(SHUFFLED, GIVEN),
        measure=measures.omega,
        kind="P",
        replication=Replication("-1.02", as_published.omega, "means of the runs that grokked there, all runs here"),
    ),
    Claim(
        "law.redundancy",
        "The delay follows -Omega log(1 - p_crit / p) in the modulus p.",
        PAPER,
        "log of the seen mean delay over that which the law foretells of a modulus from the others, at each modulus",
        Bound.between(-QUARTER, QUARTER),
        "equivalence margin",
        "every modulus within a quarter either way, as law.consistency allows: two numbers fitted to seven means in"
        " sample say little, and a share of what moduli differ by hides a modulus that is missed",
        controls=(SHUFFLED, GIVEN, NO_DECAY),
        measure=measures.redundancy,
        kind="P",
        replication=Replication(
            "R2 near 1", as_published.redundancy, "R2 in sample there, the largest miss of a modulus left out here"
        ),
    ),
    Claim(
        "law.rivals",
        "That law foretells delays better than a power of the modulus, and than the norms of the weights.",
        f"{OURS}; the law of norms: arXiv 2603.13331",
        "held-out R2 of the law minus that of the better rival",
        Bound(">=", reference=REACH),
        "null",
        "a law with as many numbers, and one with fewer, must do worse, by more than in 95 of 100 draws in which the"
        " power is the law and the moduli lie off it by as much; nor may this one do so where they lie off the power"
        " just as they lie off it",
        controls=(POWER,),
        measure=measures.rivals,
    ),
    Claim(
        "law.consistency",
        "Weight decays and moduli give one constant where they meet.",
        OURS,
        "log of the delay at weight decay 1 that other decays foretell over that which other moduli foretell",
        Bound.between(-QUARTER, QUARTER),
        "equivalence margin",
        "within a quarter either way; the mean of the other moduli must miss by more for the law to be needed",
        controls=(OTHERS,),
        measure=measures.consistency,
    ),
    Claim(
        "law.split",
        "The law does not hang on one deal of the pairs.",
        OURS,
        "change of the exponent, and of the mean log delay at each modulus, where every seed has a deal of its own",
        Bound.between(-TENTH, TENTH),
        "equivalence margin",
        "a tenth, as law.omega allows the exponent; at each modulus, for in a mean over them a change of shape cancels",
        controls=(SHUFFLED,),
        measure=measures.split,
    ),
)
