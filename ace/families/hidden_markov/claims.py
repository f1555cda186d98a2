"""Claims about transformers trained on a hidden Markov process."""

from __future__ import annotations

from ace.families.hidden_markov import belief, inner
from ace.families.hidden_markov.subjects import INNER
from ace.study.claim import OURS, Bound, Claim

HALF_WAY = (
    "fixed before these models were measured, half-way between cores and controls of two models of base seed 1000"
)

CLAIMS = (
    Claim(
        "hidden_markov.belief",
        "For a hidden Markov process the core linearly carries the belief state.",
        f"{OURS}; belief states in the residual stream: arXiv 2405.15943",
        "held-out R2 of the belief from the core minus that from the whole state",
        Bound(">=", -0.03),
        "oracle",
        "within .03 of what the whole state carries; the current token, untrained cores and the model's own next-token"
        " probabilities must lie below",
        controls=("current token", "untrained", "outputs"),
        measure=belief.belief,
    ),
    Claim(
        "hidden_markov.alignment",
        "Those cores agree across seeds beyond what the current token explains.",
        OURS,
        "smallest held-out canonical correlation after token and position are regressed out",
        Bound(">=", 0.0, "larger of null and untrained"),
        "null",
        "above the 99.9 % quantile over permuted sequences and above the upper end of every untrained pair; where the"
        " models' outputs agree so as well, the sentence is about behaviour",
        controls=("outputs",),
        measure=belief.alignment,
    ),
    Claim(
        "hidden_markov.inner_belief",
        "Inside a deeper model the core carries what the model's own outputs do not show of the belief.",
        f"{OURS}; belief states that the last layer drops: arXiv 2405.15943",
        "held-out share of what outputs, token and position leave of the belief that the core explains linearly",
        Bound(">=", 0.4),
        "equivalence margin",
        f"{HALF_WAY}, at the last block: cores .49 and .58, random subspaces of the rest at most .30",
        controls=("untrained", "outputs", "symbols", "other sequences", "the rest"),
        measure=inner.belief,
        about=INNER,
    ),
    Claim(
        "hidden_markov.inner_alignment",
        "Cores inside deeper models agree across seeds beyond what their outputs and the symbols show.",
        OURS,
        "held-out share of what outputs and all symbols so far leave of one model's core that another's explains",
        Bound(">=", 0.25),
        "equivalence margin",
        f"{HALF_WAY}, at the last block: other models' cores .40 and .41, those of untrained ones at most .10",
        controls=("untrained", "outputs", "other sequences"),
        measure=inner.alignment,
        about=INNER,
    ),
    Claim(
        "hidden_markov.inner_transplant",
        "Core coordinates of one model run another from an inner site on.",
        OURS,
        "score of a host on a donor's mapped coordinates minus its own, over its own minus chance",
        Bound(">=", -0.02),
        "equivalence margin",
        "a fiftieth of what the host scores above chance, as core.transplant",
        controls=("shuffled map", "untrained donor", "outputs"),
        measure=inner.transplant,
        about=INNER,
    ),
)
